"""The audit table takes new rows only."""

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from hub.audit.models import AuditEvent
from hub.audit.services import record
from hub.core.access import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> AuditEvent:
    return record(SYSTEM, "create", "pumps", object_name="p1")


def refuse(statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_an_event_cannot_be_changed(event: AuditEvent) -> None:
    refuse("UPDATE audit_auditevent SET outcome = 'denied'")
    assert AuditEvent.objects.get().outcome == "succeeded"


def test_an_event_cannot_be_changed_inside_the_retention_job_either(event: AuditEvent) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL paddock.audit_retention = 'on'")
    refuse("UPDATE audit_auditevent SET outcome = 'denied'")


@pytest.mark.parametrize("setting", ["", "off", "truncate"])
def test_an_event_cannot_be_deleted_outside_the_retention_job(event: AuditEvent, setting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL paddock.audit_retention = '{setting}'")
    refuse("DELETE FROM audit_auditevent")
    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize("setting", ["", "off", "on"])
def test_the_table_cannot_be_emptied(event: AuditEvent, setting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL paddock.audit_retention = '{setting}'")
    refuse("TRUNCATE audit_auditevent")


def test_the_orm_cannot_change_or_delete_either(event: AuditEvent) -> None:
    event.outcome = "denied"
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        event.save()
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
        event.delete()
