"""/api/v1/audit-events/export"""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections

from hub.api.resources import audit_export
from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Answer, Caller, make_caller
from tests.hub.builders import make_tenant


def lines(answer: Answer) -> list[Any]:
    assert answer.status == 200
    return [json.loads(line) for line in b"".join(answer.response.streaming_content).splitlines()]


@pytest.fixture(autouse=True)
def _every_place_is_given_back() -> Iterator[None]:
    yield
    taken = [audit_export._places.acquire(blocking=False) for _ in range(audit_export.MOST_AT_ONCE)]
    assert all(taken)
    for _ in taken:
        audit_export._places.release()


def test_an_export_is_the_list_whole_and_in_its_order(admin: Caller, tenant: Tenant) -> None:
    for number in range(5):
        record(SYSTEM, "update", "tenants", tenant, detail={"number": number})
    answer = admin.get(f"audit-events/export?object={tenant.pk}")
    assert answer.response["Content-Type"] == "application/x-ndjson"
    assert answer.response["Content-Disposition"] == 'attachment; filename="audit-events.ndjson"'
    assert answer.response["X-Request-Id"]
    assert not answer.response.has_header("Content-Length")
    listed = admin.items(f"audit-events?object={tenant.pk}")
    assert lines(answer) == [{name: value for name, value in event.items() if name != "can"} for event in listed]


def test_as_csv_it_has_a_column_for_each_member(admin: Caller, tenant: Tenant) -> None:
    record(SYSTEM, "update", "tenants", tenant, object_name="=1+1")
    answer = admin.get(f"audit-events/export?format=csv&object={tenant.pk}&verb=update")
    text = b"".join(answer.response.streaming_content).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert answer.response["Content-Type"] == "text/csv; charset=utf-8"
    assert (row["verb"], row["object_id"], row["object_name"]) == ("update", str(tenant.pk), "'=1+1")


def test_sec41_an_export_holds_what_the_list_would_and_nothing_more(
    owner: Caller, nobody: Caller, foreigner: Caller, tenant: Tenant
) -> None:
    other = make_tenant()
    for row in (tenant, other):
        record(SYSTEM, "update", "tenants", row)
    record(SYSTEM, "update", "hub")
    for caller in (owner, nobody, foreigner, make_caller("project-viewer", tenant)):
        answer = caller.get("audit-events/export")
        found = {event["id"] for event in lines(answer)}
        assert found == caller.ids("audit-events?limit=500")
        assert not found & {event["id"] for event in foreigner.items(f"audit-events?tenant={other.pk}")}


def test_without_credentials_there_is_no_export(stranger: Caller) -> None:
    assert stranger.get("audit-events/export").status == 401


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("format=xml", "query.invalid"),
        ("limit=5", "query.unknown"),
        ("sort=at", "query.unknown"),
        ("format=csv&format=csv", "query.repeated"),
        ("detail__contains=x", "query.unknown"),
        ("tenant=x", "query.invalid"),
    ],
)
def test_parameters_are_those_of_the_list_but_for_its_pages(admin: Caller, query: str, code: str) -> None:
    assert admin.get(f"audit-events/export?{query}").code == code


def leave(answer: Answer) -> None:
    """What the server does when the client is gone; the test's own connection to the database stays."""
    request_finished.disconnect(close_old_connections)
    answer.response.close()
    request_finished.connect(close_old_connections)


def test_few_export_at_once_because_each_holds_a_thread(admin: Caller) -> None:
    under_way = [admin.get("audit-events/export") for _ in range(audit_export.MOST_AT_ONCE)]
    refused = admin.get("audit-events/export")
    assert (refused.status, refused.code, refused.response["Retry-After"]) == (503, "export.busy", "5")
    leave(under_way.pop())  # unread
    again = admin.get("audit-events/export")
    assert again.status == 200
    for answer in (*under_way, again):
        leave(answer)


def test_an_export_that_takes_too_long_breaks_off_rather_than_looking_whole(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "LONGEST_SECONDS", -1.0)
    answer = admin.get("audit-events/export")
    with pytest.raises(TimeoutError):
        b"".join(answer.response.streaming_content)


def test_head_sends_no_events(admin: Caller) -> None:
    answer = admin.call("HEAD", "audit-events/export")
    assert answer.status == 200
    assert b"".join(answer.response.streaming_content) == b""
