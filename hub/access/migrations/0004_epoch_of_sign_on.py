"""What access has come to depend on raises the epoch too: custom roles, groups, sessions, and bindings that end.

A session's last use does not: it changes all the time, and idle sessions are ended by a job, which does.
"""

from django.db import migrations

# Table to the columns whose change counts.
WATCHED = {
    "access_role": ("rules", "kubernetes_rules", "inherits", "scopes"),
    "identity_group": ("key",),
    "identity_groupmembership": ("identity_id", "group_id"),
    "identity_externalidentity": ("user_id", "groups_confirmed_at", "disabled_at"),
    "identity_session": ("user_id", "expires_at", "ended_at"),
    "tenancy_serviceaccount": ("project_id",),
}
# Tables that were watched before, with the columns that came since.
ADDED = {
    "access_rolebinding": ("group_id", "custom_role_id", "expires_at"),
    "identity_apitoken": ("session_id",),
}
USER = "identity_user"
USER_COLUMNS = ("username", "is_active", "must_change_password")  # the older trigger may be gone: see identity's 0002


def _trigger(table, name, columns):
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return f"""
CREATE CONSTRAINT TRIGGER {name} AFTER UPDATE ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION access_raise_epoch();
"""


def _rows(table):
    return f"""
CREATE CONSTRAINT TRIGGER access_epoch_rows AFTER INSERT OR DELETE ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION access_raise_epoch();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_custom_roles_groups_invitations"),
        ("identity", "0002_sign_on"),
        ("tenancy", "0002_service_accounts_and_credentials"),
    ]
    operations = [
        *(
            migrations.RunSQL(
                _rows(table) + _trigger(table, "access_epoch_columns", columns),
                f"DROP TRIGGER access_epoch_rows ON {table}; DROP TRIGGER access_epoch_columns ON {table};",
            )
            for table, columns in WATCHED.items()
        ),
        migrations.RunSQL(
            f"DROP TRIGGER IF EXISTS access_epoch_columns ON {USER};"
            + _trigger(USER, "access_epoch_columns", USER_COLUMNS),
            migrations.RunSQL.noop,
        ),
        *(
            migrations.RunSQL(
                _trigger(table, "access_epoch_added", columns), f"DROP TRIGGER access_epoch_added ON {table};"
            )
            for table, columns in ADDED.items()
        ),
    ]
