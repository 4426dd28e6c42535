"""A sign-on remembers the session that came of it, so that the same answer brought twice can end it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0004_session_method")]
    operations = [
        migrations.AddField(
            model_name="signon",
            name="session",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="identity.session",
            ),
        ),
    ]
