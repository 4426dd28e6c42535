"""What anybody can cause without an account is in the trail, and cannot fill it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.audit import strangers
from hub.audit.models import AuditEvent
from hub.audit.services import delete_events_older_than
from hub.audit.strangers import record_bad_credentials, record_denied_login
from hub.core.access import Actor
from hub.core.ids import uuid7
from hub.core.requests import bind_request

pytestmark = pytest.mark.django_db

ANNA = Actor("user", uuid7(), "anna")


@pytest.fixture(autouse=True)
def _small_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "STRANGERS_AN_HOUR", 10)
    monkeypatch.setattr(strangers, "ACCOUNTS_AN_HOUR", 20)


def test_a_failed_login_of_an_account_names_it() -> None:
    record_denied_login(ANNA, {"method": "password"})
    event = AuditEvent.objects.get()
    assert (event.actor_name, event.object_id, event.verb, event.outcome) == ("anna", ANNA.id, "login", "denied")


def test_sec03_a_failed_login_of_nobody_keeps_nothing_that_was_typed() -> None:
    with bind_request("r", "192.0.2.1"):
        record_denied_login(None, {"method": "password"})
    event = AuditEvent.objects.get()
    assert (event.actor_kind, event.actor_name, event.object_name, event.source_ip) == (
        "anonymous",
        "",
        "",
        "192.0.2.1",
    )


@pytest.mark.parametrize(
    ("cause", "budget"),
    [
        (lambda number: record_denied_login(None, {}), 10),
        (lambda number: record_denied_login(Actor("user", uuid7(), f"u{number}"), {}), 20),
    ],
)
def test_sec72_the_events_of_an_hour_are_bounded_and_the_last_says_so(
    cause: Callable[[int], None], budget: int, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(budget * 3):
        cause(number)
    notes = [event.detail.get("note") for event in AuditEvent.objects.order_by("at", "id")]
    assert notes == [None] * (budget - 1) + ["audit.more_not_recorded"]
    assert "was not recorded" in caplog.text


def test_sec72_strangers_cannot_use_up_what_is_kept_for_accounts() -> None:
    for _ in range(50):
        record_denied_login(None, {})
    record_denied_login(ANNA, {})
    assert AuditEvent.objects.filter(actor_name="anna").count() == 1


def test_after_an_hour_there_is_a_new_budget() -> None:
    for _ in range(30):
        record_denied_login(None, {})
    events = list(AuditEvent.objects.all())
    delete_events_older_than(timedelta(0))
    for event in events:
        event.at -= timedelta(hours=1)
        event.save(force_insert=True)
    record_denied_login(None, {})
    assert AuditEvent.objects.filter(at__gt=timezone.now() - timedelta(minutes=1)).count() == 1


def test_credentials_that_open_nothing_are_one_event_for_each_address() -> None:
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"):
        with bind_request("r", address):
            record_bad_credentials("request.unauthenticated", {"path": "/api/v1/users"})
    assert sorted(AuditEvent.objects.values_list("source_ip", flat=True)) == ["192.0.2.1", "192.0.2.2"]


def test_sec72_many_addresses_have_one_budget_together() -> None:
    for number in range(40):
        with bind_request("r", f"192.0.2.{number}"):
            record_bad_credentials("request.unauthenticated", {})
    assert AuditEvent.objects.count() == 10
