"""Migrations wait only briefly for locks and may run long."""

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


def limits() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name IN ('lock_timeout', 'statement_timeout')")
        return dict(cursor.fetchall())


def test_flt38_statements_of_a_migration_have_a_lock_timeout_and_no_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    monkeypatch.setattr(migrate.Command, "handle", lambda self, *args, **options: seen.update(limits()))
    call_command("migrate", stdout=io.StringIO())
    assert seen == {"lock_timeout": "5000", "statement_timeout": "0"}


def test_afterwards_the_usual_limits_hold_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *args: Any, **options: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(migrate.Command, "handle", broken)
    with pytest.raises(ZeroDivisionError):
        call_command("migrate", stdout=io.StringIO())
    assert limits() == {"lock_timeout": "5000", "statement_timeout": "30000"}


def test_a_second_migrate_has_nothing_to_do() -> None:
    out = io.StringIO()
    call_command("migrate", stdout=out)
    assert "No migrations to apply" in out.getvalue()
