"""The audit table takes new rows only: a trigger refuses the rest, whoever asks.

``DELETE`` passes inside the retention job, which says so for its transaction (``paddock.audit_retention = on``). ``TRUNCATE``
passes only where a database was set up for it by its owner (``= truncate``), as the tests do with theirs.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    permitted text := coalesce(current_setting('paddock.audit_retention', true), '');
BEGIN
    IF TG_OP = 'DELETE' AND permitted = 'on' THEN
        RETURN OLD;
    ELSIF TG_OP = 'TRUNCATE' AND permitted = 'truncate' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'audit events are append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
"""
DROP = """
DROP TRIGGER audit_append_only ON audit_auditevent;
DROP TRIGGER audit_no_truncate ON audit_auditevent;
DROP FUNCTION audit_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
