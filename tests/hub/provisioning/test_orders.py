"""Orders are checked as a whole; what is wrong is told with its place, and nothing is stored."""

from typing import Any

import pytest

from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.federation.models import ClusterKind
from hub.provisioning import services
from hub.provisioning.models import GuestCluster, Machine, NodePool
from hub.provisioning.orders import GuestClusterOrder
from node_driver.errors import InfrastructureUnavailable
from tests.hub.builders import make_cluster, make_project
from tests.workers.stage import Stage, build_order, default_pools, pool

SERVERS = pool("servers", "server", 1)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9p0gxv3ZtCHrZJy1kGkT5pS5y1kRr8jI6Yq9vTqk7W me"


def refusal(order: GuestClusterOrder) -> dict[str | None, str]:
    """The refusal's causes as {pointer: code}; proves that nothing was stored."""
    with pytest.raises(HubError) as caught:
        services.order_guest_cluster(SYSTEM, order)
    assert GuestCluster.objects.count() == NodePool.objects.count() == Machine.objects.count() == 0
    assert 400 <= caught.value.status < 500
    return {cause.pointer: cause.code for cause in caught.value.causes or (caught.value,)}


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_a_pool_of_a_nonsensical_size_is_refused(stage: Stage, count: int) -> None:
    found = refusal(build_order(SERVERS, pool("workers", "worker", count)))
    assert found.pop("/pools/1/count") == "node_pool.count_invalid"
    assert set(found) <= {"/pools"}


@pytest.mark.parametrize("count", [2, 4, 9])
def test_an_even_or_too_large_number_of_servers_is_refused(stage: Stage, count: int) -> None:
    assert refusal(build_order(pool("servers", "server", count))) == {"/pools": "guest_cluster.server_count"}


def test_an_order_without_servers_is_refused(stage: Stage) -> None:
    assert refusal(build_order(pool("workers", "worker", 1))) == {"/pools": "guest_cluster.server_count"}


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "-a", "a.b", "1st", "x" * 41, "a\nb", "ä"])
def test_sec66_a_name_beyond_dns_rules_is_refused(stage: Stage, name: str) -> None:
    assert refusal(build_order(SERVERS, name=name)) == {"/name": "guest_cluster.name_invalid"}


def test_two_pools_of_one_name_are_refused(stage: Stage) -> None:
    assert refusal(build_order(SERVERS, pool("servers", "worker", 1))) == {"/pools/1/name": "node_pool.name_taken"}


def test_a_version_that_is_not_in_the_release_table_is_refused_with_those_that_are(stage: Stage) -> None:
    with pytest.raises(HubError) as caught:
        services.order_guest_cluster(SYSTEM, build_order(SERVERS, kubernetes_version="v9.9.9+k3s1"))
    (cause,) = caught.value.causes
    assert cause.pointer == "/kubernetes_version"
    assert cause.params["known"]


def test_an_image_and_a_network_that_do_not_exist_are_refused_with_their_place(stage: Stage) -> None:
    settings = {"image": "fake/none", "network": "fake/neither"}
    found = refusal(build_order(SERVERS, pool("workers", "worker", 1, settings=settings)))
    assert found == {
        "/pools/1/settings/image": "node_pool.settings_invalid",
        "/pools/1/settings/network": "node_pool.settings_invalid",
    }


def test_settings_that_the_driver_does_not_have_are_refused(stage: Stage) -> None:
    found = refusal(build_order(pool("servers", "server", 1, settings={"colour": "red"})))
    assert found == {"/pools/0/settings/colour": "node_pool.settings_invalid"}


def test_an_infrastructure_that_is_away_does_not_stop_an_order(stage: Stage) -> None:
    stage.infrastructure.fail("check", InfrastructureUnavailable("away"))
    guest, operation = services.order_guest_cluster(SYSTEM, build_order(SERVERS))
    assert GuestCluster.objects.get() == guest
    assert operation.target_id == guest.pk


def test_a_second_cluster_of_the_name_in_the_project_is_refused_and_elsewhere_not(stage: Stage) -> None:
    project, infrastructure = make_project(), make_cluster(kind=ClusterKind.HARVESTER)
    services.order_guest_cluster(SYSTEM, build_order(SERVERS, project=project, infrastructure=infrastructure))
    with pytest.raises(HubError, match=r"guest_cluster\.name_taken"):
        services.order_guest_cluster(SYSTEM, build_order(SERVERS, project=project, infrastructure=infrastructure))
    services.order_guest_cluster(SYSTEM, build_order(SERVERS, infrastructure=infrastructure))
    assert GuestCluster.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"options": {"tls_sans": ["a b"]}}, "/options/tls_sans/0"),
        ({"options": {"ssh_authorized_keys": ["nonsense"]}}, "/options/ssh_authorized_keys/0"),
        ({"options": {"surprise": 1}}, "/options/surprise"),
        (
            {"network": {"cluster_cidrs": ["10.42.0.0/16"], "service_cidrs": ["10.42.0.0/16"]}},
            "/network/service_cidrs/0",
        ),
        ({"network": {"cluster_cidrs": ["nonsense"]}}, "/network/cluster_cidrs/0"),
        ({"options": {"distribution_options": {"token": "x"}}}, "/options/distribution_options/token"),
    ],
)
def test_options_that_cannot_be_rendered_are_refused_with_their_place(
    stage: Stage, changes: dict[str, Any], pointer: str
) -> None:
    found = refusal(build_order(SERVERS, **changes))
    assert len(found) == 1
    (place,) = found
    assert place is not None
    assert place.startswith(pointer.rsplit("/", 1)[0])


def test_labels_taints_and_addresses_are_refused_with_the_place_in_their_pool(stage: Stage) -> None:
    bad = [
        pool("a", "worker", 1, labels={"node-role.kubernetes.io/x": "y"}),
        pool("b", "worker", 1, taints=[{"key": "k", "effect": "Nonsense"}]),
        pool("c", "worker", 1, static_addresses=[{"addresses": ["nonsense"]}]),
        pool("d", "worker", 1, static_addresses=[{"surprise": 1}]),
    ]
    places = [str(pointer) for pointer in refusal(build_order(SERVERS, *bad))]
    assert [place.split("/")[2] for place in places] == ["1", "2", "3", "4"]


def test_static_addresses_are_one_for_each_machine(stage: Stage) -> None:
    order = build_order(SERVERS, pool("workers", "worker", 2, static_addresses=[{"addresses": ["10.0.0.5/24"]}]))
    assert refusal(order) == {"/pools/1/static_addresses": "node_pool.addresses_mismatch"}


def test_an_accepted_order_keeps_its_secrets_sealed_and_its_defaults_filled(stage: Stage) -> None:
    guest, _ = services.order_guest_cluster(
        SYSTEM, build_order(*default_pools(), options={"ssh_authorized_keys": [KEY]})
    )
    stored = GuestCluster.objects.filter(pk=guest.pk).values_list("pki", "server_token", "agent_token").get()
    assert all(str(value).startswith("v1.") for value in stored)
    assert guest.kubernetes_version.endswith("+k3s1")
    given = default_pools()[0].settings
    assert set(guest.pools.get(role="server").settings) > set(given)


def test_servers_cannot_be_scaled_and_workers_only_within_bounds(stage: Stage) -> None:
    guest, _ = services.order_guest_cluster(SYSTEM, build_order())
    with pytest.raises(HubError, match=r"node_pool\.servers_fixed"):
        services.scale_pool(SYSTEM, guest.pools.get(role="server"), 5)
    for count in (-1, 501):
        with pytest.raises(HubError, match=r"node_pool\.count_invalid"):
            services.scale_pool(SYSTEM, guest.pools.get(role="worker"), count)
    services.delete_guest_cluster(SYSTEM, guest)
    with pytest.raises(HubError, match=r"object\.being_deleted"):
        services.scale_pool(SYSTEM, guest.pools.get(role="worker"), 1)


def test_sec72_a_huge_order_is_refused_before_anything_is_rendered(stage: Stage) -> None:
    crowd = [pool(f"w{index}", "worker", 500) for index in range(3)]
    assert refusal(build_order(SERVERS, *crowd)) == {"/pools": "node_pool.count_invalid"}


def test_sec02_secrets_of_a_backup_target_are_no_plain_options(stage: Stage) -> None:
    order = build_order(SERVERS, options={"distribution_options": {"etcd-s3-secret-key": "canary"}})
    assert set(refusal(order)) == {"/options/distribution_options"}
