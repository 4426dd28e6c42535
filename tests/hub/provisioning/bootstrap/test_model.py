"""The model refuses nonsense when it is built, with the place and a code."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.model import NodeBootstrap, Taint
from hub.provisioning.bootstrap.network import ClusterNetwork, StaticAddress
from hub.provisioning.bootstrap.pki import GuestPki, generate_authority

BuildNode = Callable[..., NodeBootstrap]
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFAwOtBnQYYyBl3Jd0Lf6wW8yYzTnJv3VbR2yqLq0m1Q"


def refusal(build: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(BootstrapInvalid) as refused:
        build()
    return refused.value.pointer, refused.value.code


@pytest.mark.parametrize("kind", ["first", "server", "agent"])
@pytest.mark.parametrize("distribution", ["k3s", "rke2"])
def test_a_plain_node_of_every_kind_is_taken(build_node: BuildNode, kind: str, distribution: str) -> None:
    assert build_node(kind, distribution).distribution.name == distribution


@pytest.mark.parametrize(
    ("kind", "fields", "pointer", "code"),
    [
        ("agent", {"node_name": ""}, "/node_name", "format"),
        ("agent", {"node_name": "Node"}, "/node_name", "format"),
        ("agent", {"node_name": "a.b"}, "/node_name", "format"),
        ("agent", {"node_name": "n" * 64}, "/node_name", "format"),
        ("agent", {"node_name": None}, "/node_name", "format"),
        ("agent", {"cluster_name": "shop one"}, "/cluster_name", "format"),
        ("agent", {"role": "worker"}, "/role", "unknown"),
        ("agent", {"first": True}, "/first", "conflict"),
        ("agent", {"join_address": None}, "/join_address", "required"),
        ("agent", {"join_address": "https://10.0.0.5"}, "/join_address", "format"),
        ("agent", {"join_address": "10.0.0.256"}, "/join_address", "format"),
        ("first", {"join_address": "10.0.0.5"}, "/join_address", "conflict"),
        ("agent", {"architecture": "s390x"}, "/architecture", "unknown"),
        ("server", {"server_token": ""}, "/server_token", "required"),
        ("server", {"agent_token": "guess"}, "/agent_token", "weak"),
        ("agent", {"server_ca_pem": ""}, "/server_ca_pem", "format"),
        ("agent", {"server_ca_pem": "-----BEGIN CERTIFICATE-----"}, "/server_ca_pem", "format"),
        ("first", {"pki": None}, "/pki", "conflict"),
        ("agent", {"labels": {"a b": "c"}}, "/labels", "format"),
        ("agent", {"labels": {"zone": "a b"}}, "/labels/zone", "format"),
        ("agent", {"labels": {"zone": None}}, "/labels/zone", "format"),
        ("agent", {"taints": (Taint("a b", "NoSchedule"),)}, "/taints/0/key", "format"),
        ("agent", {"taints": (Taint("a", "Never"),)}, "/taints/0/effect", "unknown"),
        ("agent", {"taints": (Taint("a", "NoSchedule", "x:y"),)}, "/taints/0/value", "format"),
        ("agent", {"taints": (Taint("a", "NoExecute"), Taint("a", "NoExecute", "b"))}, "/taints/1", "duplicate"),
        ("agent", {"tls_sans": ("api.example", "api.example")}, "/tls_sans/1", "duplicate"),
        ("agent", {"tls_sans": ("api example",)}, "/tls_sans/0", "format"),
        ("agent", {"network": ClusterNetwork(cluster_cidrs=("10.43.0.0/16",))}, "/network/service_cidrs/0", "overlap"),
        ("agent", {"network": ClusterNetwork(cni=("weave",))}, "/network/cni", "unknown"),
        ("agent", {"static_address": StaticAddress(("10.42.7.7/24",))}, "/static_address/addresses/0", "overlap"),
        ("agent", {"options": {"node-lable": "x"}}, "/options", "unknown"),
        ("agent", {"options": {"disable": {"a": 1}}}, "/options/disable", "format"),
        ("agent", {"options": {"disable": ["a", "b\nc"]}}, "/options/disable/1", "format"),
        ("agent", {"options": {"resolv-conf": "/etc/r\u00e9solv"}}, "/options/resolv-conf", "format"),
        ("agent", {"options": {"debug": None}}, "/options/debug", "format"),
        ("agent", {"component_args": {"docker": ("a=b",)}}, "/component_args", "unknown"),
        ("agent", {"component_args": {"kubelet": ("--v=2",)}}, "/component_args/kubelet/0", "format"),
        ("agent", {"component_args": {"kubelet": ("v=2", "")}}, "/component_args/kubelet/1", "required"),
        ("agent", {"files": (NodeFile("etc/x", ""),)}, "/files/0/path", "format"),
        ("agent", {"files": (NodeFile("/etc/../x", ""),)}, "/files/0/path", "format"),
        ("agent", {"files": (NodeFile("/x", "", "600"),)}, "/files/0/permissions", "format"),
        ("agent", {"files": (NodeFile("/x", "y" * 300_000),)}, "/files/0/content", "too_long"),
        ("agent", {"files": (NodeFile("/x", "\ud800"),)}, "/files/0/content", "format"),
        ("agent", {"ssh_authorized_keys": (ED25519, "ssh-dss AAAA")}, "/ssh_authorized_keys/1", "format"),
        ("agent", {"ssh_authorized_keys": (ED25519 + "\n" + ED25519,)}, "/ssh_authorized_keys/0", "format"),
        ("agent", {"ssh_authorized_keys": ("ssh-rsa " + ED25519.split()[1],)}, "/ssh_authorized_keys/0", "format"),
        ("agent", {"ssh_authorized_keys": ('command="id" ' + ED25519,)}, "/ssh_authorized_keys/0", "format"),
        ("agent", {"ssh_authorized_keys": ("ssh-ed25519 %%%",)}, "/ssh_authorized_keys/0", "format"),
    ],
)
def test_nonsense_is_refused_with_pointer_and_code(
    build_node: BuildNode, kind: str, fields: dict[str, Any], pointer: str, code: str
) -> None:
    assert refusal(lambda: build_node(kind, **fields)) == (pointer, code)


OWNED = ["token", "server", "cluster-init", "node-name", "node-ip", "data-dir", "datastore-endpoint", "tls-san"]


@pytest.mark.parametrize("distribution", ["k3s", "rke2"])
@pytest.mark.parametrize("key", OWNED)
def test_what_the_hub_decides_cannot_be_set_as_an_option(build_node: BuildNode, distribution: str, key: str) -> None:
    assert refusal(lambda: build_node("server", distribution, options={key: "x"})) == ("/options", "unknown")


@pytest.mark.parametrize(
    ("distribution", "option"),
    [("k3s", "profile"), ("k3s", "ingress-controller"), ("rke2", "docker"), ("rke2", "secrets-encryption")],
)
def test_an_option_of_the_other_distribution_is_refused(build_node: BuildNode, distribution: str, option: str) -> None:
    assert refusal(lambda: build_node("server", distribution, options={option: "x"})) == ("/options", "unknown")


@pytest.mark.parametrize(
    ("distribution", "cni"),
    [
        ("k3s", ("calico",)),
        ("k3s", ("vxlan", "none")),
        ("rke2", ("vxlan",)),
        ("rke2", ("multus",)),
        ("rke2", ("calico", "multus")),
        ("rke2", ("multus", "calico", "cilium")),
    ],
)
def test_a_network_plugin_of_the_other_distribution_is_refused(
    build_node: BuildNode, distribution: str, cni: tuple[str, ...]
) -> None:
    network = ClusterNetwork(cni=cni)
    assert refusal(lambda: build_node("server", distribution, network=network)) == ("/network/cni", "unknown")


@pytest.mark.parametrize(
    "key",
    [
        "node-role.kubernetes.io/worker",
        "kubernetes.io/role",
        "k8s.io/x",
        "storage.k8s.io/x",
        "node-restriction.kubernetes.io/x",
    ],
)
def test_a_label_that_kubelet_may_not_give_itself_is_refused(build_node: BuildNode, key: str) -> None:
    assert refusal(lambda: build_node(labels={key: ""})) == (f"/labels/{key.replace('/', '~1')}", "restricted")


@pytest.mark.parametrize(
    "key", ["zone", "example.com/x", "topology.kubernetes.io/zone", "node.kubernetes.io/x", "mykubernetes.io/x"]
)
def test_a_label_that_kubelet_may_give_itself_is_taken(build_node: BuildNode, key: str) -> None:
    assert build_node(labels={key: "a"}).labels == {key: "a"}


def test_sec09_the_authorities_travel_to_the_first_server_alone(build_node: BuildNode, pki: GuestPki) -> None:
    for kind in ("server", "agent"):
        assert refusal(lambda kind=kind: build_node(kind, pki=pki)) == ("/pki", "conflict")  # type: ignore[misc]


def test_the_pinned_ca_must_be_that_of_the_authorities(build_node: BuildNode) -> None:
    other = generate_authority("other").cert_pem
    assert refusal(lambda: build_node("first", server_ca_pem=other)) == ("/server_ca_pem", "conflict")


def test_sec09_agents_and_servers_never_share_a_token(build_node: BuildNode) -> None:
    node = build_node()
    same = node.server_token
    assert refusal(lambda: dataclasses.replace(node, agent_token=same)) == ("/agent_token", "conflict")


def test_sec09_no_secret_shows_in_repr(build_node: BuildNode) -> None:
    file = NodeFile("/x", "file-secret")
    node = build_node("first", files=(file,), user_data="own-secret")
    for secret in (node.server_token, node.agent_token, "PRIVATE KEY", "file-secret", "own-secret"):
        assert secret not in repr(node)


@pytest.mark.parametrize("text", ["dedicated=db:NoSchedule", "example.com/gpu:NoExecute", "a=:PreferNoSchedule"])
def test_a_taint_is_read_from_kubectls_form(text: str) -> None:
    assert str(Taint.parse(text)) == text.replace("=:", ":")


@pytest.mark.parametrize("text", ["", "a", "a=b", "a=b:No", "a=b=c:NoExecute", "a=b:NoExecute\n", "a b:NoExecute"])
def test_a_broken_taint_is_refused(text: str) -> None:
    with pytest.raises(BootstrapInvalid):
        Taint.parse(text)


@pytest.mark.parametrize("host", ["10.0.0.5", "fd00::5", "api.shop.example", "cp-0"])
def test_nodes_join_by_address_or_name(build_node: BuildNode, host: str) -> None:
    assert build_node(join_address=host).join_address == host
