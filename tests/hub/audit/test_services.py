"""Recording and retention of audit events."""

import contextlib
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from hub.audit.models import AuditEvent, Outcome
from hub.audit.services import delete_events_older_than, record
from hub.core.access import SYSTEM, Actor
from hub.core.errors import HubError
from hub.core.requests import bind_request
from tests.rows import Pump

pytestmark = pytest.mark.django_db

ANNA = Actor(kind="user", id=uuid4(), name="anna")


def test_an_event_says_who_did_what_to_which_object_from_where() -> None:
    pump = Pump(name="p1", tenant_id=uuid4())
    with bind_request("req-9", "192.0.2.7"):
        record(ANNA, "update", "pumps", pump, detail={"fields": ["speed"]})
    event = AuditEvent.objects.get()
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("user", ANNA.id, "anna")
    assert (event.verb, event.resource, event.object_id, event.object_name) == ("update", "pumps", pump.pk, "p1")
    assert (event.tenant_id, event.project_id, event.cluster_id) == (pump.tenant_id, None, None)
    assert (event.request_id, event.source_ip) == ("req-9", "192.0.2.7")
    assert (event.outcome, event.detail) == ("succeeded", {"fields": ["speed"]})


def test_what_is_given_wins_over_the_object() -> None:
    pump = Pump(name="p1", tenant_id=uuid4())
    tenant, project, cluster = uuid4(), uuid4(), uuid4()
    record(ANNA, "create", "pumps", pump, object_name="p2", tenant_id=tenant, project_id=project, cluster_id=cluster)
    event = AuditEvent.objects.get()
    assert (event.object_name, event.tenant_id, event.project_id, event.cluster_id) == ("p2", tenant, project, cluster)


def test_a_denial_has_its_code() -> None:
    record(ANNA, "delete", "clusters", outcome=Outcome.DENIED, code="request.denied", object_id=uuid4())
    event = AuditEvent.objects.get()
    assert (event.outcome, event.code) == ("denied", "request.denied")


def test_an_unknown_outcome_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="maybe"):
        record(ANNA, "create", "pumps", outcome="maybe")


def test_sec03_a_token_is_named_by_its_id_alone() -> None:
    token_id = uuid4()
    record(Actor(kind="user", id=ANNA.id, name="anna", token_id=token_id), "get", "secrets")
    event = AuditEvent.objects.get()
    assert (event.token_id, event.detail) == (token_id, {})


def test_names_that_are_too_long_are_cut() -> None:
    record(Actor(kind="user", id=None, name="n" * 300), "create", "pumps", object_name="o" * 300)
    event = AuditEvent.objects.get()
    assert (len(event.actor_name), len(event.object_name)) == (253, 253)


def test_flt42_no_event_no_effect() -> None:
    with pytest.raises(HubError, match=r"audit\.unavailable"), transaction.atomic():
        record(SYSTEM, "create", "pumps", code="x" * 200)
    assert not AuditEvent.objects.exists()


def test_an_effect_that_is_rolled_back_leaves_no_event() -> None:
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        record(SYSTEM, "create", "pumps")
        raise ZeroDivisionError
    assert not AuditEvent.objects.exists()


class TestRetention:
    @pytest.fixture(autouse=True)
    def _events(self) -> None:
        for days in (1, 10, 20, 30):
            AuditEvent.objects.create(
                at=timezone.now() - timedelta(days=days),
                actor_kind="system",
                actor_name=f"{days}",
                verb="x",
                resource="y",
                outcome="succeeded",
            )

    def test_events_older_than_the_age_go_in_batches_oldest_first(self) -> None:
        assert delete_events_older_than(timedelta(days=5), batch=2) == 2
        assert set(AuditEvent.objects.values_list("actor_name", flat=True)) == {"1", "10"}
        assert delete_events_older_than(timedelta(days=5), batch=2) == 1
        assert delete_events_older_than(timedelta(days=5), batch=2) == 0

    def test_after_the_job_deleting_is_refused_again_even_in_the_same_transaction(self) -> None:
        delete_events_older_than(timedelta(days=25))
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            AuditEvent.objects.all().delete()
        assert AuditEvent.objects.count() == 3
