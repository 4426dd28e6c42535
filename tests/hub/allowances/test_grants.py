"""Grants: what is not granted is refused, everywhere and in the same words."""

import pytest

from hub.allowances.grants import check_granted, remove_grant, set_grants
from hub.allowances.models import Grant, GrantKind
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.federation.models import ClusterKind
from hub.provisioning import services
from hub.provisioning.models import GuestCluster
from tests.hub.builders import grant_everything, make_cluster, make_project, make_tenant
from tests.workers.stage import Stage, build_order, pool

SERVERS = pool("servers", "server", 1)
WORKERS = pool("workers", "worker", 1)
IMAGE, NETWORK = ("image", "fake/image"), ("network", "fake/network")


def causes(error: HubError) -> dict[str | None, str]:
    return {cause.pointer: cause.code for cause in error.causes}


def test_by_default_nothing_is_granted_and_the_order_says_each_place(stage: Stage) -> None:
    with pytest.raises(HubError) as caught:
        services.order_guest_cluster(SYSTEM, build_order(SERVERS, WORKERS, granted=False))
    assert causes(caught.value) == {
        f"/pools/{index}/settings/{member}": "grant.missing" for index in (0, 1) for member in ("image", "network")
    }
    assert not GuestCluster.objects.exists()


def test_what_is_granted_is_enough_and_the_other_kind_is_not(stage: Stage) -> None:
    order = build_order(SERVERS, granted=False)
    set_grants(SYSTEM, order.project.tenant, order.infrastructure, [IMAGE, ("network", "fake/image")])
    with pytest.raises(HubError) as caught:
        services.order_guest_cluster(SYSTEM, order)
    assert causes(caught.value) == {"/pools/0/settings/network": "grant.missing"}
    set_grants(SYSTEM, order.project.tenant, order.infrastructure, [NETWORK])
    services.order_guest_cluster(SYSTEM, order)


def test_sec40_a_refusal_tells_nothing_of_what_exists_or_of_whose_it_is(stage: Stage) -> None:
    other = build_order(SERVERS)
    grant_everything(make_tenant(), other.infrastructure)
    refusals = []
    for image in ("fake/image", "fake/none"):  # one exists and is others', one does not exist
        order = build_order(
            pool("servers", "server", 1, settings={"image": image}), infrastructure=other.infrastructure, granted=False
        )
        set_grants(SYSTEM, order.project.tenant, order.infrastructure, [NETWORK])
        with pytest.raises(HubError) as caught:
            services.order_guest_cluster(SYSTEM, order)
        (cause,) = caught.value.causes
        assert cause.params["name"] == image
        refusals.append((caught.value.code, cause.code, cause.pointer, {**cause.params, "name": ""}))
    assert refusals[0] == refusals[1]
    assert "check" not in stage.infrastructure.calls


def test_a_grant_of_another_cluster_or_tenant_does_not_count(stage: Stage) -> None:
    order = build_order(SERVERS, granted=False)
    grant_everything(order.project.tenant, make_cluster(kind=ClusterKind.HARVESTER))
    grant_everything(make_tenant(), order.infrastructure)
    with pytest.raises(HubError, match=r"guest_cluster\.invalid"):
        services.order_guest_cluster(SYSTEM, order)


def test_a_pool_grows_only_with_its_grants_and_shrinks_without(stage: Stage) -> None:
    guest, _ = services.order_guest_cluster(SYSTEM, build_order(SERVERS, pool("workers", "worker", 2)))
    Grant.objects.filter(kind="image").delete()
    workers = guest.pools.get(name="workers")
    with pytest.raises(HubError) as caught:
        services.scale_pool(SYSTEM, workers, 3)
    assert causes(caught.value) == {"/settings/image": "grant.missing"}
    assert guest.pools.get(name="workers").count == 2
    services.scale_pool(SYSTEM, workers, 1)
    assert guest.pools.get(name="workers").count == 1


def test_every_name_that_is_not_granted_is_told(db: None) -> None:
    project, cluster = make_project(), make_cluster()
    set_grants(SYSTEM, project.tenant, cluster, [("ip_pool", "public")])
    check_granted(project, cluster, GrantKind.IP_POOL, ["public"])
    check_granted(project, cluster, GrantKind.IP_POOL, [])
    with pytest.raises(HubError) as caught:
        check_granted(project, cluster, GrantKind.IP_POOL, ["public", "inner", "outer"])
    assert [cause.params["name"] for cause in caught.value.causes] == ["inner", "outer"]


def test_granting_again_changes_nothing_and_is_recorded_once(db: None) -> None:
    tenant, cluster = make_tenant(), make_cluster()
    first = set_grants(SYSTEM, tenant, cluster, [IMAGE, NETWORK, IMAGE])
    again = set_grants(SYSTEM, tenant, cluster, [NETWORK, IMAGE])
    assert [grant.pk for grant in again] == [grant.pk for grant in reversed(first)]
    assert AuditEvent.objects.filter(resource="grants", verb="create").count() == 2
    remove_grant(SYSTEM, first[0])
    assert Grant.objects.get() == first[1]
    assert AuditEvent.objects.filter(resource="grants", verb="delete", object_id=first[0].pk).count() == 1


@pytest.mark.parametrize("name", ["", "a/b/c", "A", "a b", "/", "a/", "*/a", "a" * 321, "a\n"])
def test_a_name_that_no_object_can_have_is_refused_with_its_place(db: None, name: str) -> None:
    with pytest.raises(HubError) as caught:
        set_grants(SYSTEM, make_tenant(), make_cluster(), [IMAGE, ("network", name), ("colour", "red")])
    assert causes(caught.value) == {"/grants/1/name": "grant.name_invalid", "/grants/2/kind": "grant.kind_unknown"}
    assert not Grant.objects.exists()


def test_sec33_nothing_of_another_tenant_s_own_cluster_is_granted(db: None) -> None:
    with pytest.raises(HubError, match=r"cluster\.foreign"):
        set_grants(SYSTEM, make_tenant(), make_cluster(project=make_project()), [IMAGE])
