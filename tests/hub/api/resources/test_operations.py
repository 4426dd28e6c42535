"""/api/v1/operations"""

import pytest
from django.db import transaction

from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.core.ids import uuid7
from hub.operations import services as operations
from hub.operations.models import Operation, State
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller
from tests.hub.builders import make_cluster, make_project, make_tenant


def start(tenant: Tenant, kind: str = "guest_cluster.create") -> Operation:
    project = make_project(tenant)
    with transaction.atomic():
        return operations.start(SYSTEM, kind, project, project_id=project.pk, steps=("first", "second"))


def test_an_operation_tells_how_far_it_is(owner: Caller, tenant: Tenant) -> None:
    operation = start(tenant)
    operations.step(operation.pk, "first", "succeeded", "well done")
    operations.step(operation.pk, "second", "running")
    body = owner.get(f"operations/{operation.pk}").body
    assert (body["state"], body["progress"], body["error"], body["finished_at"]) == ("running", 50, None, None)
    assert [(step["name"], step["state"], step["message"]) for step in body["steps"]] == [
        ("first", "succeeded", "well done"),
        ("second", "running", ""),
    ]
    assert body["steps"][0]["finished_at"] is not None
    assert body["actor"] == {"kind": "system", "id": None, "name": "system"}


def test_a_failed_operation_says_why_by_code(owner: Caller, tenant: Tenant) -> None:
    operation = start(tenant)
    operations.finish(operation.pk, State.FAILED, HubError("object.in_use", inside={"pods": 3}))
    body = owner.get(f"operations/{operation.pk}").body
    assert (body["state"], body["error"]) == ("failed", {"code": "object.in_use", "params": {"inside": {"pods": 3}}})


def test_operations_are_filtered(owner: Caller, tenant: Tenant) -> None:
    first, second = start(tenant), start(tenant, "guest_cluster.delete")
    operations.finish(second.pk, State.SUCCEEDED)
    for query, found in (
        (f"target={first.target_id}", first),
        ("kind=guest_cluster.delete", second),
        ("state=succeeded", second),
        (f"project={first.project_id}", first),
    ):
        assert owner.ids(f"operations?{query}") == {str(found.pk)}, query
    assert owner.ids(f"operations?tenant={tenant.pk}") == {str(first.pk), str(second.pk)}
    assert owner.get("operations?state=started").body["params"]["known"] == list(State.values)


def test_another_tenants_operation_is_as_good_as_none(owner: Caller) -> None:
    foreign = start(make_tenant())
    assert owner.get(f"operations/{foreign.pk}").problem == owner.get(f"operations/{uuid7()}").problem
    assert owner.ids("operations") == set()


def test_the_platforms_own_operations_are_for_administrators(admin: Caller, owner: Caller) -> None:
    with transaction.atomic():
        operation = operations.start(SYSTEM, "cluster.import", make_cluster())
    assert admin.get(f"operations/{operation.pk}").status == 200
    assert owner.get(f"operations/{operation.pk}").status == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_an_operation_cannot_be_written(admin: Caller, tenant: Tenant, method: str) -> None:
    path = "operations" if method == "POST" else f"operations/{start(tenant).pk}"
    assert admin.call(method, path, {}, headers={"If-Match": "*"}).status == 405
