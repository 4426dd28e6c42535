"""The access epoch: database triggers raise it at the commit of anything that access depends on.

Deferred to the commit, so the one row of the counter is locked for a moment only, and once a transaction however many
rows it changed. Columns that change without meaning (last use of a token, status of a cluster) do not raise it.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION access_raise_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('paddock.access_epoch', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        PERFORM set_config('paddock.access_epoch', pg_current_xact_id()::text, true);
        INSERT INTO access_accessepoch AS epoch (id, value) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET value = epoch.value + 1;
    END IF;
    RETURN NULL;
END $$;
"""

# Table to the columns whose change counts.
WATCHED = {
    "identity_user": ("username", "is_active"),
    "identity_apitoken": ("user_id", "secret_hash", "pepper_id", "scope", "expires_at", "revoked_at"),
    "access_rolebinding": ("role", "user_id", "scope_kind", "tenant_id", "project_id", "cluster_id"),
    "federation_cluster": (
        "tenant_id",
        "project_id",
        "endpoints",
        "ca_pem",
        "tls_server_name",
        "access_token",
        "groups",
        "conditions",
        "deletion_requested_at",
    ),
    "federation_projectnamespace": ("tenant_id", "project_id", "cluster_id", "deletion_requested_at"),
}


def _create(table, columns):
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return f"""
CREATE CONSTRAINT TRIGGER access_epoch_rows AFTER INSERT OR DELETE ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION access_raise_epoch();
CREATE CONSTRAINT TRIGGER access_epoch_columns AFTER UPDATE ON {table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION access_raise_epoch();
"""


def _drop(table):
    return f"DROP TRIGGER access_epoch_rows ON {table}; DROP TRIGGER access_epoch_columns ON {table};"


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("federation", "0001_initial"),
        ("identity", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION access_raise_epoch()"),
        *(migrations.RunSQL(_create(table, columns), _drop(table)) for table, columns in WATCHED.items()),
    ]
