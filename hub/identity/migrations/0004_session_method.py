from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('identity', '0003_cli_login_token'),
    ]

    operations = [
        migrations.AddField(
            model_name='session',
            name='method',
            field=models.CharField(choices=[('password', 'Password'), ('provider', 'Provider'), ('link', 'Link')], db_default='password', default='password', max_length=20),
        ),
    ]
