"""RKE2: the whole configuration of a first server, a joining server and an agent."""

from collections.abc import Callable

import pytest

from hub.provisioning.bootstrap.model import NodeBootstrap
from hub.provisioning.bootstrap.network import ClusterNetwork
from hub.provisioning.bootstrap.pki import GuestPki

BuildNode = Callable[..., NodeBootstrap]


def test_the_first_server_founds_the_cluster_by_joining_nobody(build_node: BuildNode, pki: GuestPki) -> None:
    node = build_node(
        "first",
        "rke2",
        network=ClusterNetwork(cni=("calico",)),
        options={"cloud-provider-name": "external", "ingress-controller": "none"},
        component_args={"etcd": ("quota-backend-bytes=4294967296",)},
    )
    assert node.distribution.config(node) == {
        "token": f"K10{pki.server_ca_hash}::server:{node.server_token}",
        "agent-token": node.agent_token,
        "node-name": "shop-first-0",
        "cluster-cidr": "10.42.0.0/16",
        "service-cidr": "10.43.0.0/16",
        "cluster-dns": "10.43.0.10",
        "cluster-domain": "cluster.local",
        "cni": "calico",
        "write-kubeconfig-mode": "0600",
        "cloud-provider-name": "external",
        "ingress-controller": "none",
        "etcd-arg": ["quota-backend-bytes=4294967296"],
    }


def test_the_authorities_lie_where_rke2_looks_for_them(build_node: BuildNode) -> None:
    node = build_node("first", "rke2")
    paths = [file.path for file in node.distribution.files(node)]
    assert paths[0] == "/etc/rancher/rke2/config.yaml.d/50-paddock.yaml"
    assert len(paths) == 12
    assert all(path.startswith("/var/lib/rancher/rke2/server/tls/") for path in paths[1:])


def test_a_joining_server_comes_in_through_the_supervisors_own_port(build_node: BuildNode) -> None:
    first, second = build_node("first", "rke2", node_name="n"), build_node("server", "rke2", node_name="n")
    joining = second.distribution.config(second)
    assert joining.pop("server") == "https://10.0.0.5:9345"
    assert joining == first.distribution.config(first)


def test_an_agent_gets_its_own_token_and_only_what_an_agent_reads(build_node: BuildNode, pki: GuestPki) -> None:
    node = build_node(
        distribution="rke2",
        join_address="fd00::5",
        options={"profile": "cis", "ingress-controller": "none"},
    )
    assert node.distribution.config(node) == {
        "token": f"K10{pki.server_ca_hash}::node:{node.agent_token}",
        "server": "https://[fd00::5]:9345",
        "node-name": "shop-agent-0",
        "profile": "cis",
    }


@pytest.mark.parametrize(("cni", "rendered"), [(("cilium",), "cilium"), (("multus", "canal"), ["multus", "canal"])])
def test_multus_stands_before_another_plugin_in_a_list(
    build_node: BuildNode, cni: tuple[str, ...], rendered: object
) -> None:
    node = build_node("server", "rke2", network=ClusterNetwork(cni=cni))
    assert node.distribution.config(node)["cni"] == rendered


def test_units_are_named_by_role(build_node: BuildNode) -> None:
    rke2 = build_node(distribution="rke2").distribution
    assert (rke2.unit("server"), rke2.unit("agent"), rke2.supervisor_port) == ("rke2-server", "rke2-agent", 9345)
