"""SEC-66: whatever a name, label, taint, key, registry, argument or file holds, it is refused or means the same to the node.

The node reads YAML by PyYAML (cloud-init) and, inside it, JSON by a YAML parser (K3s and RKE2).
"""

import base64
import gzip
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.cloudinit import render_network_data, render_user_data
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.install import render_environment
from hub.provisioning.bootstrap.model import NodeBootstrap, Taint
from hub.provisioning.bootstrap.network import ClusterNetwork, StaticAddress
from hub.provisioning.bootstrap.registries import Mirror, Registries, RegistryAccess

BuildNode = Callable[..., NodeBootstrap]

PIECES = [
    "\n", "\r", "\t", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\u202e", "\ud800",
    "\U0001f600", "\u00e9", "'", '"', "\\", "`", "$(id)", "${IFS}", ";", "&&", "|", ": ", " #", "#cloud-config",
    "---", "...", "- ", "? ", "&a", "*a", "!!python/object", "{", "}", "[", "]", ",", "%", "@", "<<", "~",
    "null", "true", "no", "0o17", "1e3", "0x1f", "2024-01-01", "runcmd: [id]", "a", "b", "7", "-", ".", "/",
    "=", ":", " ", "x" * 130,
]  # fmt: skip
HOSTILE = st.one_of(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(max_size=40))
SHAPES = ["first", "server", "agent"]
QUICK = settings(max_examples=60, deadline=None)


def written(node: NodeBootstrap) -> dict[str, str]:
    """Every file the node would write, by path, after the whole way through user data."""
    text = render_user_data(node)
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    known = {
        "hostname", "preserve_hostname", "ssh_authorized_keys", "package_update", "packages", "bootcmd", "write_files",
        "runcmd",
    }  # fmt: skip
    assert set(document) <= known
    assert document["runcmd"] == [["systemctl", "enable", "--now", "qemu-guest-agent"], ["sh", SCRIPT]]
    assert document["hostname"] == node.node_name
    files: dict[str, str] = {}
    for entry in document["write_files"]:
        packed = entry.get("encoding") == "gzip+b64"
        content = gzip.decompress(base64.b64decode(entry["content"])).decode() if packed else entry["content"]
        files[entry["path"]] = content
    return files


SCRIPT = "/usr/local/lib/paddock/install.sh"


def config_of(node: NodeBootstrap) -> dict[str, Any]:
    """The configuration as the distribution reads it; JSON and YAML readers must agree on it."""
    text = written(node)[node.distribution.config_path]
    document = yaml.safe_load(text)
    assert document == json.loads(text)
    assert isinstance(document, dict)
    return document


def built_or_refused(build_node: BuildNode, *shape: str, **fields: Any) -> NodeBootstrap | None:
    try:
        return build_node(*shape, **fields)
    except BootstrapInvalid as refused:
        place = (refused.pointer[:1], bool(refused.code))
    assert place == ("/", True)
    return None


@QUICK
@given(name=HOSTILE, shape=st.sampled_from(SHAPES))
def test_sec66_names_round_trip_or_are_refused(build_node: BuildNode, name: str, shape: str) -> None:
    node = built_or_refused(build_node, shape, node_name=name, cluster_name=name)
    if node is not None:
        assert config_of(node)["node-name"] == name


@QUICK
@given(key=HOSTILE, value=HOSTILE, shape=st.sampled_from(SHAPES))
def test_sec66_labels_round_trip_or_are_refused(build_node: BuildNode, key: str, value: str, shape: str) -> None:
    for labels in ({key: value}, {"zone": value}, {key: "a"}):
        node = built_or_refused(build_node, shape, labels=labels)
        if node is not None:
            assert config_of(node)["node-label"] == [f"{k}={v}" for k, v in labels.items()]


@QUICK
@given(key=HOSTILE, value=HOSTILE, effect=st.one_of(HOSTILE, st.sampled_from(["NoSchedule", "NoExecute"])))
def test_sec66_taints_round_trip_or_are_refused(build_node: BuildNode, key: str, value: str, effect: str) -> None:
    for taint in (Taint(key, effect, value), Taint("a", "NoExecute", value), Taint(key, "NoExecute")):
        node = built_or_refused(build_node, taints=(taint,))
        if node is not None:
            (text,) = config_of(node)["node-taint"]
            assert Taint.parse(text) == taint


@QUICK
@given(comment=HOSTILE)
def test_sec66_ssh_keys_round_trip_or_are_refused(build_node: BuildNode, comment: str) -> None:
    kind = b"ssh-ed25519"
    blob = base64.b64encode(struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + b"\x01" * 32).decode()
    for key in (f"ssh-ed25519 {blob} {comment}", f"ssh-ed25519 {comment}", comment):
        node = built_or_refused(build_node, ssh_authorized_keys=(key,))
        if node is not None:
            assert yaml.safe_load(render_user_data(node))["ssh_authorized_keys"] == [key]


@QUICK
@given(host=HOSTILE, endpoint=HOSTILE, user=HOSTILE, password=HOSTILE)
def test_sec66_registries_round_trip_or_are_refused(
    build_node: BuildNode, host: str, endpoint: str, user: str, password: str
) -> None:
    cases = [
        Registries({host: Mirror((f"https://{endpoint}",))}, {host: RegistryAccess(user, password)}),
        Registries({"docker.io": Mirror((endpoint,))}),
        Registries({"docker.io": Mirror(("https://m.example",), {user: password})}),
        Registries({}, {"m.example": RegistryAccess(user, password)}),
    ]
    for registries in cases:
        node = built_or_refused(build_node, registries=registries)
        if node is None:
            continue
        text = written(node)["/etc/rancher/k3s/registries.yaml"]
        document = yaml.safe_load(text)
        assert document == json.loads(text)
        for name, mirror in registries.mirrors.items():
            assert document["mirrors"][name]["endpoint"] == list(mirror.endpoints)
            assert document["mirrors"][name].get("rewrite", {}) == mirror.rewrites
        for name, access in registries.access.items():
            assert document["configs"][name]["auth"] == {"username": access.username, "password": access.password}


@QUICK
@given(value=HOSTILE, shape=st.sampled_from(SHAPES))
def test_sec66_arguments_and_options_round_trip_or_are_refused(build_node: BuildNode, value: str, shape: str) -> None:
    for argument in (value, f"node-labels={value}"):
        node = built_or_refused(build_node, shape, component_args={"kubelet": (argument,)})
        if node is not None:
            assert config_of(node)["kubelet-arg"] == [argument]
    for option in (value, [value], ["a", value]):
        node = built_or_refused(build_node, shape, options={"node-external-ip": option})
        if node is not None:
            assert config_of(node)["node-external-ip"] == option


@QUICK
@given(key=HOSTILE)
def test_sec66_an_option_key_or_component_is_one_of_ours_or_refused(build_node: BuildNode, key: str) -> None:
    assert built_or_refused(build_node, "server", options={key: True}) is None
    assert built_or_refused(build_node, "server", component_args={key: ("v=2",)}) is None


@QUICK
@given(host=HOSTILE)
def test_sec66_hosts_and_networks_round_trip_or_are_refused(build_node: BuildNode, host: str) -> None:
    node = built_or_refused(build_node, "server", join_address=host, tls_sans=(host,))
    if node is not None:
        assert config_of(node)["tls-san"] == [host]
        assert config_of(node)["server"] == f"https://{host}:6443"
    for network in (ClusterNetwork(cluster_domain=host), ClusterNetwork(cluster_cidrs=(host,))):
        node = built_or_refused(build_node, "server", network=network)
        if node is not None:
            assert config_of(node)["cluster-domain"] == network.cluster_domain


@QUICK
@given(text=HOSTILE)
def test_sec66_network_data_round_trips_or_is_refused(text: str) -> None:
    cases: list[dict[str, Any]] = [
        {"addresses": (text,)},
        {"gateways": (text,)},
        {"nameservers": (text,)},
        {"search_domains": (text,)},
        {"interface": text},
        {"mac_address": text},
    ]
    for fields in cases:
        address = StaticAddress(**{"addresses": ("10.0.0.5/24",), **fields})
        try:
            address.check("/static_address")
        except BootstrapInvalid:
            continue
        rendered = render_network_data(address)
        assert rendered is not None
        document = yaml.safe_load(rendered)
        assert list(document["ethernets"]) == [address.interface]
        interface = document["ethernets"][address.interface]
        assert interface["addresses"] == list(address.addresses)
        assert interface.get("nameservers", {}).get("search", []) == list(address.search_domains)


@QUICK
@given(path=HOSTILE, content=HOSTILE)
def test_sec66_files_round_trip_or_are_refused(build_node: BuildNode, path: str, content: str) -> None:
    for file in (NodeFile("/etc/own", content), NodeFile(path, "x"), NodeFile(f"/etc/{path}", content)):
        node = built_or_refused(build_node, files=(file,))
        if node is not None:
            assert written(node)[file.path] == file.content


@QUICK
@given(value=HOSTILE)
def test_sec66_install_parameters_stay_one_line_each_or_are_refused(value: str) -> None:
    try:
        text = render_environment({"PADDOCK_SOURCE": value, "PADDOCK_ROLE": "agent"})
    except BootstrapInvalid:
        return
    assert text == f"PADDOCK_SOURCE={value}\nPADDOCK_ROLE=agent\n"
    assert text.count("\n") == 2


@QUICK
@given(value=HOSTILE)
def test_sec66_the_tenants_cloud_config_cannot_become_another_document(build_node: BuildNode, value: str) -> None:
    own = f"#cloud-config\nnote: {json.dumps(value)}\n"
    try:
        text = render_user_data(build_node(user_data=own))
    except BootstrapInvalid:
        return
    document = yaml.safe_load(text)
    assert document["hostname"] == "shop-agent-0"
    # JSON and YAML differ in what they make of a lone surrogate; everything else is the same text.
    if not any("\ud800" <= char <= "\udfff" for char in value):
        assert document["note"].encode("utf-16", "surrogatepass").decode("utf-16", "replace") == value


@pytest.mark.parametrize("name", ["null", "true", "no", "1e3", "0x1f", "2024-01-01", "17", "0o17"])
def test_sec66_a_name_that_looks_like_another_type_stays_a_name(build_node: BuildNode, name: str) -> None:
    node = build_node(node_name=name, labels={"zone": name}, tls_sans=())
    assert yaml.safe_load(render_user_data(node))["hostname"] == name
    assert config_of(node)["node-name"] == name
