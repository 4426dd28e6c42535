"""/api/v1/audit-events"""

from typing import Any

import pytest
from django.db import connection

from hub.audit.models import AuditEvent
from hub.audit.services import build_event, record
from hub.core.access import SYSTEM, Actor
from hub.core.ids import uuid7
from hub.core.requests import bind_request
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_project, make_tenant


def test_an_event_says_who_did_what_to_what_and_when(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("projects", {"name": "web", "tenant": str(tenant.pk)})
    (event,) = owner.items(f"audit-events?object={made.body['id']}")
    assert event["actor"] == {"kind": "user", "id": str(owner.user_id), "name": owner.user.name}
    assert (event["verb"], event["outcome"], event["code"]) == ("create", "succeeded", "")
    assert event["object"] == {"kind": "projects", "id": made.body["id"], "name": "web"}
    assert event["tenant"] == str(tenant.pk)
    assert event["request_id"] == made.response["X-Request-Id"]
    assert event["source_ip"] == "127.0.0.1"
    assert owner.get(f"audit-events/{event['id']}").body == event


def test_the_trail_is_told_from_the_newest_event_on_and_in_pages(owner: Caller, tenant: Tenant) -> None:
    for number in range(5):
        record(SYSTEM, "update", "tenants", tenant, detail={"number": number})
    first = owner.get("audit-events?verb=update&limit=3").body
    rest = owner.get(f"audit-events?verb=update&limit=3&continue={first['continue']}").body
    assert [event["detail"]["number"] for event in first["items"] + rest["items"]] == [4, 3, 2, 1, 0]


def test_events_are_filtered(admin: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    cluster, token, session, operation = uuid7(), uuid7(), uuid7(), uuid7()
    actor = Actor("user", uuid7(), "maria", token_id=token, session_id=session)
    with bind_request("request-9", "192.0.2.9"):
        event = record(
            actor,
            "use",
            "clusters",
            project,
            outcome="denied",
            project_id=project.pk,
            cluster_id=cluster,
            operation_id=operation,
            object_name="vm-1",
            namespace="blue",
            code="request.denied",
        )
    for query in (
        "verb=use",
        "resource=clusters",
        "outcome=denied",
        "code=request.denied",
        "request_id=request-9",
        "source_ip=192.0.2.9",
        "actor_name=maria&actor_kind=user",
        f"actor={actor.id}",
        f"token_id={token}",
        f"session={session}",
        f"operation={operation}",
        f"cluster={cluster}",
        f"cluster={cluster}&resource=clusters&namespace=blue&object_name=vm-1",
        f"tenant={tenant.pk}&verb=use",
        f"project={project.pk}&verb=use",
        f"object={project.pk}&verb=use",
        f"verb=use&from={event.at.isoformat().replace('+', '%2B')}",
    ):
        assert admin.ids(f"audit-events?{query}") == {str(event.pk)}, query
    for query in (f"actor={uuid7()}", "verb=use&namespace=red", f"verb=use&to={event.at:%Y-%m-%dT%H:%M:%S.%fZ}"):
        assert admin.ids(f"audit-events?{query}") == set(), query


@pytest.mark.parametrize("time", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "1" * 100, "%00"])
def test_a_time_without_its_offset_is_refused(admin: Caller, time: str) -> None:
    assert admin.get(f"audit-events?from={time}").code == "query.invalid"


def test_who_changed_this_is_one_question(owner: Caller, admin: Caller, tenant: Tenant) -> None:
    project = make_project(tenant, "before")
    was = project.name
    assert owner.patch(f"projects/{project.pk}", {"name": "after"}).status == 200
    assert admin.patch(f"projects/{project.pk}", {"display_name": "After"}).status == 200
    history = owner.items(f"audit-events?object={project.pk}&verb=update")
    assert [(event["actor"]["name"], event["changes"]) for event in history] == [
        (admin.user.name, {"display_name": ["", "After"]}),
        (owner.user.name, {"name": [was, "after"]}),
    ]
    assert history[1]["token"] is not None


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"actor_id": uuid7()}, "audit_actor_at"),
        ({"project_id": uuid7()}, "audit_project_at"),
        ({"tenant_id": uuid7()}, "audit_tenant_at"),
        ({"object_id": uuid7()}, "audit_object_at"),
        ({"token_id": uuid7()}, "audit_token_at"),
        ({"operation_id": uuid7()}, "audit_operation"),
        ({"request_id": "r"}, "audit_request"),
        ({"cluster_id": uuid7(), "resource": "pods", "object_name": "p"}, "audit_cluster_object_at"),
    ],
)
def test_what_auditors_ask_for_is_found_by_an_index(admin: Caller, query: dict[str, Any], index: str) -> None:
    many = [build_event(SYSTEM, "update", "pods", object_name=f"p{n}", object_id=uuid7()) for n in range(2000)]
    AuditEvent.objects.bulk_create(many)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_auditevent")
    assert index in AuditEvent.objects.filter(**query).order_by("-at", "-id")[:100].explain()


def test_sec41_a_tenants_trail_is_for_its_owner_and_nobody_elses(owner: Caller, tenant: Tenant) -> None:
    other = make_tenant()
    own, foreign = (record(SYSTEM, "update", "tenants", row) for row in (tenant, other))
    platform = record(SYSTEM, "update", "hub")
    seen = owner.ids("audit-events")
    assert str(own.pk) in seen
    assert not seen & {str(foreign.pk), str(platform.pk)}
    assert [owner.get(f"audit-events/{event.pk}").status for event in (own, foreign, platform)] == [200, 404, 404]
    assert make_caller("project-viewer", tenant).items("audit-events") == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_the_trail_cannot_be_written_or_cut(admin: Caller, tenant: Tenant, method: str) -> None:
    event = record(SYSTEM, "update", "tenants", tenant)
    path = "audit-events" if method == "POST" else f"audit-events/{event.pk}"
    assert admin.call(method, path, {}, headers={"If-Match": "*"}).status == 405
