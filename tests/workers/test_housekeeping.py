"""Retention over all tables."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.api.models import KeptAnswer
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.core.models import Change
from hub.operations import services as operations
from hub.operations.models import LogLine
from tests.rows import Pump
from workers import housekeeping
from workers.housekeeping import clean_once


@pytest.mark.django_db
def test_what_is_older_than_the_settings_say_goes_and_the_rest_stays() -> None:
    for days in (0, 500):
        at = timezone.now() - timedelta(days=days)
        Change.objects.create(kind="pump", object_id=Pump().pk, version=1, at=at)
        AuditEvent.objects.create(
            at=at, actor_kind="system", actor_name="x", verb="y", resource="z", outcome="succeeded"
        )
        expires_at = at + timedelta(hours=1)
        KeptAnswer.objects.create(actor_id=uuid7(), key="k", digest="d", locked_until=at, expires_at=expires_at)
        operation = operations.start(SYSTEM, "x", Pump())
        operations.log("line", operation_id=operation.pk)
        LogLine.objects.filter(operation_id=operation.pk).update(at=at)
    assert clean_once() == 4
    assert (AuditEvent.objects.count(), LogLine.objects.count(), KeptAnswer.objects.count()) == (1, 1, 1)
    assert not Change.objects.filter(at__lt=timezone.now() - timedelta(days=1)).exists()
    assert clean_once() == 0


def test_a_long_backlog_does_not_take_a_whole_round(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def endless(name: str) -> Callable[[timedelta], int]:
        def job(age: timedelta) -> int:
            calls.append(name)
            return 10

        return job

    jobs = [name for name in vars(housekeeping) if name.startswith("delete_")]
    for name in jobs:
        monkeypatch.setattr(housekeeping, name, endless(name))
    clean_once()
    assert len(calls) == len(jobs) * housekeeping.BATCHES
