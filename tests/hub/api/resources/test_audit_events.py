"""/api/v1/audit-events"""

import pytest

from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
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
    cluster = uuid7()
    event = record(
        SYSTEM,
        "use",
        "clusters",
        project,
        outcome="denied",
        project_id=project.pk,
        cluster_id=cluster,
        code="request.denied",
    )
    for query in (
        "verb=use",
        "resource=clusters",
        "outcome=denied",
        f"cluster={cluster}",
        f"tenant={tenant.pk}&verb=use",
        f"project={project.pk}&verb=use",
        f"object={project.pk}&verb=use",
    ):
        assert admin.ids(f"audit-events?{query}") == {str(event.pk)}, query
    assert admin.ids(f"audit-events?actor={uuid7()}") == set()


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
