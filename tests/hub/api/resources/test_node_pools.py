"""/api/v1/node-pools"""

from typing import Any

import pytest

from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.operations.models import Operation
from hub.provisioning.models import NodePool
from hub.provisioning.services import delete_guest_cluster
from node_driver.fake.driver import FakeDriver
from node_driver.settings import MASK, Setting, SettingsSchema
from tests.hub.api.callers import Caller, make_caller
from tests.hub.api.world import Estate, make_estate
from tests.workers.stage import Stage


@pytest.fixture
def estate(stage: Stage) -> Estate:
    return make_estate()


@pytest.fixture
def tenant_owner(estate: Estate) -> Caller:
    return make_caller("tenant-owner", estate.tenant)


def path_of(pool: NodePool) -> str:
    return f"node-pools/{pool.pk}"


def test_a_pool_shows_what_was_ordered(estate: Estate, tenant_owner: Caller) -> None:
    body = tenant_owner.get(path_of(estate.pool)).body
    assert body["guest_cluster"] == str(estate.guest.pk)
    assert body["tenant"] == str(estate.tenant.pk)
    assert (body["name"], body["role"], body["count"], body["ready"]) == ("workers", "worker", 2, 0)
    assert body["settings"]["image"] == "fake/image"
    assert body["operation"] == str(estate.guest.operation_id)


def test_a_changed_count_answers_202_with_the_operation(estate: Estate, tenant_owner: Caller) -> None:
    etag = tenant_owner.get(path_of(estate.pool)).etag
    answer = tenant_owner.patch(path_of(estate.pool), {"count": 4}, etag=etag)
    assert (answer.status, answer.body["count"]) == (202, 4)
    assert answer.location == f"/api/v1/operations/{answer.body['operation']}"
    assert tenant_owner.get(answer.location).body["kind"] == "guest_cluster.scale"
    assert answer.etag == tenant_owner.get(path_of(estate.pool)).etag != etag


def test_a_pool_of_workers_may_be_emptied(estate: Estate, tenant_owner: Caller) -> None:
    assert tenant_owner.patch(path_of(estate.pool), {"count": 0}).body["count"] == 0


@pytest.mark.parametrize(
    ("patch", "status", "faults"),
    [
        ({"count": -1}, 422, {"/count": "node_pool.count_invalid"}),
        ({"count": 10_001}, 422, {"/count": "node_pool.count_invalid"}),
        ({"count": 2**62}, 422, {"/count": "node_pool.count_invalid"}),
        ({"count": "3"}, 400, {"/count": "field.type"}),
        ({"count": 3.0}, 400, {"/count": "field.type"}),
        ({"count": True}, 400, {"/count": "field.type"}),
        ({"count": None}, 400, {"/count": "field.required"}),
        ({"role": "server"}, 400, {"/role": "field.unknown"}),
        ({"settings": {"image": "other/image"}}, 400, {"/settings": "field.unknown"}),
        ({"guest_cluster": str(uuid7())}, 400, {"/guest_cluster": "field.unknown"}),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_its_place(
    estate: Estate, tenant_owner: Caller, patch: dict[str, Any], status: int, faults: dict[str, str]
) -> None:
    answer = tenant_owner.patch(path_of(estate.pool), patch)
    assert (answer.status, answer.faults) == (status, faults)
    estate.pool.refresh_from_db()
    assert estate.pool.count == 2
    assert Operation.objects.filter(kind="guest_cluster.scale").count() == 0


def test_the_number_of_servers_is_fixed(estate: Estate, tenant_owner: Caller) -> None:
    servers = estate.guest.pools.get(name="servers")
    answer = tenant_owner.patch(path_of(servers), {"count": 5})
    assert (answer.status, answer.faults) == (422, {"/count": "node_pool.servers_fixed"})


def test_a_pool_of_a_cluster_that_is_being_deleted_is_not_scaled(estate: Estate, tenant_owner: Caller) -> None:
    delete_guest_cluster(SYSTEM, estate.guest)
    assert tenant_owner.patch(path_of(estate.pool), {"count": 3}).code == "object.being_deleted"


def test_a_stale_change_is_refused(estate: Estate, tenant_owner: Caller) -> None:
    etag = tenant_owner.get(path_of(estate.pool)).etag
    assert tenant_owner.patch(path_of(estate.pool), {"count": 3}, etag=etag).status == 202
    assert tenant_owner.patch(path_of(estate.pool), {"count": 4}, etag=etag).status == 412
    assert tenant_owner.patch(path_of(estate.pool), {"count": 4}, etag=None).status == 428
    estate.pool.refresh_from_db()
    assert estate.pool.count == 3


def test_the_pools_of_one_cluster_are_listed_as_they_were_ordered(estate: Estate, tenant_owner: Caller) -> None:
    items = tenant_owner.items(f"node-pools?guest_cluster={estate.guest.pk}")
    assert [item["name"] for item in items] == ["servers", "workers"]


def test_sec01_a_secret_setting_is_masked(
    estate: Estate, tenant_owner: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = SettingsSchema(Setting(name="image", type="string", title="Image", secret=True))
    monkeypatch.setattr(FakeDriver, "settings", schema)
    settings = tenant_owner.get(path_of(estate.pool)).body["settings"]
    assert set(settings.values()) == {MASK}


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_pools_come_and_go_with_their_cluster(estate: Estate, tenant_owner: Caller, method: str) -> None:
    path = "node-pools" if method == "POST" else path_of(estate.pool)
    assert tenant_owner.call(method, path, {}, headers={"If-Match": "*"}).status == 405
