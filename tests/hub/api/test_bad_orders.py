"""Orders of guest clusters that make no sense: a clear 4xx with its place, and nothing made by it."""

from typing import Any

import pytest

from hub.core.ids import uuid7
from hub.operations.models import Operation
from hub.provisioning.models import GuestCluster, Machine, NodePool
from node_driver.errors import InfrastructureUnavailable
from tests.hub.api.callers import Answer, Caller
from tests.hub.api.orders import Place, make_place, order, pool
from tests.hub.builders import make_cluster, make_tenant
from tests.workers.stage import Stage

SERVERS = pool("servers", "server", 3)


def refused(caller: Caller, place: Place, **changes: Any) -> Answer:
    """The answer to a bad order; proves that nothing was made."""
    answer = caller.post("guest-clusters", order(place, **changes))
    assert 400 <= answer.status < 500, answer.body
    assert answer.code
    for model in (GuestCluster, NodePool, Machine, Operation):
        assert model.objects.count() == 0
    return answer


def pools(**changes: Any) -> list[dict[str, Any]]:
    """Good servers, and workers with these changes."""
    return [SERVERS, {**pool("workers", "worker", 2), **changes}]


@pytest.mark.parametrize(
    "name", ["", "Web", "we_b", "-web", "web-", "we.b", "1web", "wéb", "we b", "we\nb", "x" * 41, "x" * 254]
)
def test_a_name_beyond_dns_rules(stage: Stage, owner: Caller, place: Place, name: str) -> None:
    faults = refused(owner, place, name=name).faults
    assert faults in ({"/name": "guest_cluster.name_invalid"}, {"/name": "field.length"})


@pytest.mark.parametrize("name", ["", "Workers", "a_b", "x" * 17, "wörk", "a.b"])
def test_a_pools_name_beyond_dns_rules(stage: Stage, owner: Caller, place: Place, name: str) -> None:
    faults = refused(owner, place, pools=pools(name=name)).faults
    assert faults in ({"/pools/1/name": "guest_cluster.name_invalid"}, {"/pools/1/name": "field.length"})


@pytest.mark.parametrize("count", [0, -1, 10_001, 2**62, -(2**62)])
def test_a_pool_of_a_nonsensical_size(stage: Stage, owner: Caller, place: Place, count: int) -> None:
    answer = refused(owner, place, pools=pools(count=count))
    places = ["/pools/1/count", "/pools"] if count > 0 else ["/pools/1/count"]  # too many in all, too
    assert (answer.status, answer.faults) == (422, dict.fromkeys(places, "node_pool.count_invalid"))
    assert answer.body["errors"][0]["params"]["most"] == 500


@pytest.mark.parametrize("count", ["3", 3.0, 3.5, None, True, [3], {}])
def test_a_size_that_is_no_whole_number(stage: Stage, owner: Caller, place: Place, count: Any) -> None:
    answer = refused(owner, place, pools=pools(count=count))
    assert (answer.status, answer.faults) == (400, {"/pools/1/count": "field.type"})


@pytest.mark.parametrize("count", [2, 4, 9])
def test_an_even_number_of_servers_with_the_numbers_that_are_taken(
    stage: Stage, owner: Caller, place: Place, count: int
) -> None:
    answer = refused(owner, place, pools=[pool("servers", "server", count)])
    assert (answer.status, answer.faults) == (422, {"/pools": "guest_cluster.server_count"})
    assert answer.body["errors"][0]["params"]["allowed"] == [1, 3, 5, 7]


def test_no_servers_at_all(stage: Stage, owner: Caller, place: Place) -> None:
    assert refused(owner, place, pools=[pool("w", "worker", 1)]).faults == {"/pools": "guest_cluster.server_count"}
    assert refused(owner, place, pools=[]).faults == {"/pools": "field.length"}


def test_two_pools_of_one_name(stage: Stage, owner: Caller, place: Place) -> None:
    answer = refused(owner, place, pools=pools(name="servers"))
    assert (answer.status, answer.faults) == (422, {"/pools/1/name": "node_pool.name_taken"})


def test_more_pools_than_a_cluster_has(stage: Stage, owner: Caller, place: Place) -> None:
    many = [SERVERS, *(pool(f"w{number}", "worker", 1) for number in range(20))]
    assert refused(owner, place, pools=many).faults == {"/pools": "field.length"}


def test_an_image_and_a_network_that_do_not_exist(stage: Stage, owner: Caller, place: Place) -> None:
    answer = refused(owner, place, pools=pools(settings={"image": "fake/none", "network": "fake/neither"}))
    assert (answer.status, answer.faults) == (
        422,
        {
            "/pools/1/settings/image": "node_pool.settings_invalid",
            "/pools/1/settings/network": "node_pool.settings_invalid",
        },
    )
    assert all(error["detail"] for error in answer.body["errors"])


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({}, {"/pools/1/settings/image", "/pools/1/settings/network"}),
        ({"image": 5, "network": "fake/network"}, {"/pools/1/settings/image"}),
        ({"image": "fake/image", "network": "fake/network", "colour": "red"}, {"/pools/1/settings/colour"}),
        ({"image": "fake/image", "network": "fake/network", "a/b~c": 1}, {"/pools/1/settings/a~1b~0c"}),
        ({"image": "fake/image", "network": "fake/network", "cpu_count": 0}, {"/pools/1/settings/cpu_count"}),
        ({"image": "fake/image", "network": "fake/network", "cpu_count": "4"}, {"/pools/1/settings/cpu_count"}),
    ],
)
def test_settings_that_the_driver_does_not_take(
    stage: Stage, owner: Caller, place: Place, settings: dict[str, Any], places: set[str]
) -> None:
    answer = refused(owner, place, pools=pools(settings=settings))
    assert (answer.status, set(answer.faults)) == (422, places)


@pytest.mark.parametrize("settings", [None, [], "image", 5])
def test_settings_that_are_no_object(stage: Stage, owner: Caller, place: Place, settings: Any) -> None:
    assert refused(owner, place, pools=pools(settings=settings)).faults == {"/pools/1/settings": "field.type"}


@pytest.mark.parametrize("version", ["v9.9.9+k3s1", "latest", "", "1.35", "v1.35.7+rke2r1", "../../etc"])
def test_a_version_that_is_not_in_the_release_table_with_those_that_are(
    stage: Stage, owner: Caller, place: Place, version: str
) -> None:
    answer = refused(owner, place, kubernetes_version=version)
    assert (answer.status, answer.faults) == (422, {"/kubernetes_version": "guest_cluster.version_unknown"})
    known = answer.body["errors"][0]["params"]["known"]
    assert known
    assert all("+k3s" in version for version in known)


def test_the_row_version_cannot_be_taken_for_it(stage: Stage, owner: Caller, place: Place) -> None:
    assert refused(owner, place, version="v1.35.7+k3s1").faults == {"/version": "field.unknown"}


@pytest.mark.parametrize(
    ("driver", "fault"), [("openstack", "driver.unknown"), ("", "driver.unknown"), (5, "field.type")]
)
def test_a_driver_that_there_is_not(stage: Stage, owner: Caller, place: Place, driver: Any, fault: str) -> None:
    assert refused(owner, place, driver=driver).faults == {"/driver": fault}


def test_an_infrastructure_that_the_driver_does_not_work_on(stage: Stage, owner: Caller, place: Place) -> None:
    own = make_cluster(project=place.project)
    answer = refused(owner, place, infrastructure=str(own.pk))
    assert (answer.status, answer.faults) == (422, {"/infrastructure": "driver.wrong_cluster"})


def test_sec33_another_tenants_ids(stage: Stage, owner: Caller, place: Place) -> None:
    foreign = make_place(make_tenant())
    assert refused(owner, place, project=str(foreign.project.pk)).faults == {"/project": "reference.not_found"}
    assert refused(owner, place, infrastructure=str(foreign.cluster.pk)).faults == {
        "/infrastructure": "reference.not_found"
    }
    missing = refused(owner, place, project=str(uuid7())).problem
    assert refused(owner, place, project=str(foreign.project.pk)).problem == missing


@pytest.mark.parametrize("id", ["", "x", 5, None, [], {}, "018f3c8e-0000-7000-8000", "\x00"])
@pytest.mark.parametrize("member", ["project", "infrastructure"])
def test_ids_that_are_none(stage: Stage, owner: Caller, place: Place, member: str, id: Any) -> None:
    answer = refused(owner, place, **{member: id})
    assert (answer.status, list(answer.faults)) == (400, [f"/{member}"])


@pytest.mark.parametrize(
    ("network", "pointer"),
    [
        ({"cluster_cidrs": ["10.42.0.0"]}, "/network/cluster_cidrs/0"),
        ({"cluster_cidrs": ["10.42.0.1/16"]}, "/network/cluster_cidrs/0"),
        ({"cluster_cidrs": []}, "/network/cluster_cidrs"),
        ({"cluster_cidrs": "10.42.0.0/16"}, "/network/cluster_cidrs"),
        ({"cluster_cidrs": [5]}, "/network/cluster_cidrs/0"),
        ({"cluster_cidrs": ["10.43.0.0/16"]}, "/network/service_cidrs/0"),
        ({"cluster_dns": "8.8.8.8"}, "/network/cluster_dns"),
        ({"cluster_dns": 5}, "/network/cluster_dns"),
        ({"cluster_domain": "not a domain"}, "/network/cluster_domain"),
        ({"cni": ["none-such"]}, "/network/cni"),
        ({"cluster_cidr": "10.42.0.0/16"}, "/network/cluster_cidr"),
    ],
)
def test_networks_that_cannot_be(
    stage: Stage, owner: Caller, place: Place, network: dict[str, Any], pointer: str
) -> None:
    assert pointer in {fault for fault in refused(owner, place, network=network).faults if fault.startswith(pointer)}


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"ssh_authorized_keys": ["not a key"]}, "/options/ssh_authorized_keys/0"),
        ({"tls_sans": ["a b"]}, "/options/tls_sans/0"),
        ({"tls_sans": "example.org"}, "/options/tls_sans"),
        ({"distribution_options": {"token": "x"}}, "/options/distribution_options"),
        ({"distribution_options": {"debug": {"a": 1}}}, "/options/distribution_options/debug"),
        ({"distribution_options": ["debug"]}, "/options/distribution_options"),
        ({"component_args": {"sshd": ["x=y"]}}, "/options/component_args"),
        ({"component_args": {"kubelet": "x=y"}}, "/options/component_args/kubelet"),
        ({"user_data": "#cloud-config"}, "/options/user_data"),
    ],
)
def test_options_that_cannot_be(
    stage: Stage, owner: Caller, place: Place, options: dict[str, Any], pointer: str
) -> None:
    assert list(refused(owner, place, options=options).faults) == [pointer]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"labels": {"a b": "c"}}, "/pools/1/labels"),
        ({"labels": {"node-role.kubernetes.io/master": ""}}, "/pools/1/labels/node-role.kubernetes.io~1master"),
        ({"labels": {"a": "b c"}}, "/pools/1/labels/a"),
        ({"labels": ["a"]}, "/pools/1/labels"),
        ({"taints": [{"key": "a b", "effect": "NoSchedule"}]}, "/pools/1/taints/0/key"),
        ({"taints": [{"key": "a", "effect": "Sometimes"}]}, "/pools/1/taints/0/effect"),
        ({"taints": ["a:NoSchedule"]}, "/pools/1/taints/0"),
        ({"static_addresses": [{"addresses": ["10.0.0.5/24"]}]}, "/pools/1/static_addresses"),
        ({"count": 1, "static_addresses": [{"addresses": ["10.0.0.5"]}]}, "/pools/1/static_addresses/0/addresses/0"),
        ({"count": 1, "static_addresses": [{"addresses": []}]}, "/pools/1/static_addresses/0/addresses"),
        ({"count": 1, "static_addresses": [{"address": "10.0.0.5/24"}]}, "/pools/1/static_addresses/0/addresses"),
        (
            {"count": 1, "static_addresses": [{"addresses": ["10.42.0.5/24"]}]},
            "/pools/1/static_addresses/0/addresses/0",
        ),
        ({"role": "master"}, "/pools/1/role"),
        ({"size": 3}, "/pools/1/size"),
    ],
)
def test_pools_that_cannot_be(stage: Stage, owner: Caller, place: Place, changes: dict[str, Any], pointer: str) -> None:
    assert pointer in refused(owner, place, pools=pools(**changes)).faults


@pytest.mark.parametrize("distribution", ["k8s", "K3S", "", None, 5, ["k3s"]])
def test_a_distribution_that_there_is_not(stage: Stage, owner: Caller, place: Place, distribution: Any) -> None:
    assert list(refused(owner, place, distribution=distribution).faults) == ["/distribution"]


def test_everything_that_is_wrong_is_told_at_once(stage: Stage, owner: Caller, place: Place) -> None:
    answer = refused(
        owner,
        place,
        name="Web",
        pools=[
            pool("a", "server", 3),
            pool("a", "worker", 0),
            pool("b_c", "worker", 1, settings={"image": "fake/image"}),
        ],
    )
    assert answer.faults == {
        "/name": "guest_cluster.name_invalid",
        "/pools/1/name": "node_pool.name_taken",
        "/pools/1/count": "node_pool.count_invalid",
        "/pools/2/name": "guest_cluster.name_invalid",
        "/pools/2/settings/network": "node_pool.settings_invalid",
    }


def send_raw(caller: Caller, raw: bytes) -> Answer:
    answer = caller.call("POST", "guest-clusters", raw=raw)
    assert 400 <= answer.status < 500
    assert not GuestCluster.objects.exists()
    return answer


def test_sec72_a_body_of_10_mb(owner: Caller) -> None:
    answer = send_raw(owner, b'{"name": "' + b"x" * (10 * 1024 * 1024) + b'"}')
    assert (answer.status, answer.code) == (413, "body.too_large")


def test_broken_json_with_line_and_column(owner: Caller) -> None:
    answer = send_raw(owner, b'{"name": "web",\n "pools": [}')
    assert (answer.status, answer.code) == (400, "body.not_json")
    assert (answer.body["params"]["line"], answer.body["params"]["column"]) == (2, 12)


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'"web"', b"5", b"true"])
def test_a_body_that_is_no_order(owner: Caller, raw: bytes) -> None:
    assert send_raw(owner, raw).code == "request.invalid"


def test_an_infrastructure_that_is_away_does_not_stop_an_order(stage: Stage, owner: Caller, place: Place) -> None:
    stage.infrastructure.fail("check", InfrastructureUnavailable("away"))
    assert owner.post("guest-clusters", order(place)).status == 202
