"""User data and network data: the whole document, the tenant's own merged in, and cloud-init's own verdict."""

import base64
import gzip
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.cloudinit import MAX_OWN_BYTES, render_network_data, render_user_data
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.install import install_script
from hub.provisioning.bootstrap.model import NodeBootstrap
from hub.provisioning.bootstrap.network import StaticAddress
from hub.provisioning.bootstrap.pki import GuestPki, ca_hash
from hub.provisioning.bootstrap.registries import Mirror, Registries, RegistryAccess

BuildNode = Callable[..., NodeBootstrap]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFAwOtBnQYYyBl3Jd0Lf6wW8yYzTnJv3VbR2yqLq0m1Q ops: team #1"


def read(text: str) -> dict[str, Any]:
    """The document as cloud-init reads it: PyYAML's safe loader."""
    assert text.startswith("#cloud-config\n")
    assert text.isascii()
    document = yaml.safe_load(text)
    assert isinstance(document, dict)
    return document


def contents(document: dict[str, Any]) -> dict[str, str]:
    """Every written file by path, decoded as cloud-init decodes it."""
    written: dict[str, str] = {}
    for entry in document["write_files"]:
        content = entry["content"]
        if entry.get("encoding") == "gzip+b64":
            content = gzip.decompress(base64.b64decode(content)).decode()
        written[entry["path"]] = content
    return written


def test_an_agents_document_whole(build_node: BuildNode) -> None:
    node = build_node(ssh_authorized_keys=(KEY,))
    document = read(render_user_data(node))
    config, environment, script = document.pop("write_files")
    assert document == {
        "hostname": "shop-agent-0",
        "preserve_hostname": False,
        "ssh_authorized_keys": [KEY],
        "package_update": True,
        "packages": ["qemu-guest-agent"],
        "runcmd": [
            ["systemctl", "enable", "--now", "qemu-guest-agent"],
            ["sh", "/usr/local/lib/paddock/install.sh"],
        ],
    }
    path = "/etc/rancher/k3s/config.yaml.d/50-paddock.yaml"
    assert {key: config[key] for key in ("path", "owner", "permissions")} == {
        "path": path,
        "owner": "root:root",
        "permissions": "0600",
    }
    assert yaml.safe_load(config["content"]) == node.distribution.config(node)
    assert (environment["path"], environment["permissions"]) == ("/etc/paddock/install.env", "0600")
    assert (script["encoding"], script["permissions"]) == ("gzip+b64", "0755")
    assert contents({"write_files": [script]}) == {"/usr/local/lib/paddock/install.sh": install_script()}


@pytest.mark.parametrize("distribution", ["k3s", "rke2"])
def test_the_first_server_gets_the_very_bytes_its_token_pins(
    build_node: BuildNode, pki: GuestPki, distribution: str
) -> None:
    node = build_node("first", distribution)
    document = read(render_user_data(node))
    tls = f"/var/lib/rancher/{distribution}/server/tls"
    files = contents(document)
    config = yaml.safe_load(files[f"/etc/rancher/{distribution}/config.yaml.d/50-paddock.yaml"])
    assert config["token"].startswith(f"K10{ca_hash(files[f'{tls}/server-ca.crt'])}::server:")
    assert files[f"{tls}/etcd/peer-ca.key"] == pki.etcd_peer_ca.key_pem
    assert {entry["permissions"] for entry in document["write_files"] if entry["path"].startswith(tls)} == {"0600"}
    make_folder = ["cloud-init-per", "instance", "paddock-tls", "install", "-d", "-m", "0700", tls, f"{tls}/etcd"]
    assert document["bootcmd"] == [make_folder]


def test_sec09_an_agent_is_told_neither_the_servers_token_nor_any_key(build_node: BuildNode) -> None:
    node = build_node()
    document = read(render_user_data(node))
    text = "\n".join(contents(document).values())
    assert node.server_token not in text
    assert "PRIVATE KEY" not in text
    assert "bootcmd" not in document


def test_an_air_gapped_node_installs_no_package(build_node: BuildNode) -> None:
    document = read(render_user_data(build_node(air_gapped=True)))
    assert "packages" not in document
    assert "package_update" not in document


def test_the_same_node_renders_the_same_text(build_node: BuildNode) -> None:
    assert render_user_data(build_node("first")) == render_user_data(build_node("first"))


def test_the_tenants_files_are_written_beside_ours(build_node: BuildNode) -> None:
    files = (NodeFile("/etc/motd", "caf\u00e9\x00\n", "0644"), NodeFile("/etc/empty", ""))
    document = read(render_user_data(build_node(files=files)))
    assert contents(document)["/etc/motd"] == "caf\u00e9\x00\n"
    assert contents(document)["/etc/empty"] == ""
    assert document["write_files"][0]["encoding"] == "gzip+b64"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/rancher/k3s/config.yaml.d/50-paddock.yaml",
        "/etc/paddock/install.env",
        "/usr/local/lib/paddock/install.sh",
        "/etc/twice",
    ],
)
def test_a_file_of_the_tenants_takes_no_place_of_ours(build_node: BuildNode, path: str) -> None:
    files = (NodeFile("/etc/twice", ""), NodeFile(path, "mine"))
    with pytest.raises(BootstrapInvalid) as refused:
        render_user_data(build_node(files=files))
    assert (refused.value.pointer, refused.value.code) == ("/files/1/path", "conflict")


OWN = """#cloud-config
hostname: mine
packages: [htop, qemu-guest-agent]
runcmd:
- [echo, before]
write_files:
- {path: /etc/own, content: own}
ntp: {enabled: true, servers: [10.0.0.3]}
chpasswd: {expire: false}
"""


def test_the_tenants_cloud_config_is_merged_lists_first_and_our_keys_win(build_node: BuildNode) -> None:
    document = read(render_user_data(build_node(user_data=OWN)))
    assert document["hostname"] == "shop-agent-0"
    assert document["packages"] == ["htop", "qemu-guest-agent"]
    assert document["runcmd"][0] == ["echo", "before"]
    assert document["runcmd"][-1] == ["sh", "/usr/local/lib/paddock/install.sh"]
    assert document["write_files"][0] == {"path": "/etc/own", "content": "own"}
    assert len(document["write_files"]) == 4
    assert document["ntp"] == {"enabled": True, "servers": ["10.0.0.3"]}
    assert document["chpasswd"] == {"expire": False}


@pytest.mark.parametrize("nothing", [None, "", " \n", "#cloud-config", "#cloud-config\n", "#cloud-config\n# later\n"])
def test_an_empty_cloud_config_adds_nothing(build_node: BuildNode, nothing: str | None) -> None:
    assert render_user_data(build_node(user_data=nothing)) == render_user_data(build_node())


@pytest.mark.parametrize(
    ("own", "pointer"),
    [
        ("#!/bin/sh\nid\n", "/user_data"),
        ("## template: jinja\n#cloud-config\n", "/user_data"),
        ("packages: [htop]\n", "/user_data"),
        (" #cloud-config\n", "/user_data"),
        ("#cloud-config-archive\n- a\n", "/user_data"),
        ("Content-Type: multipart/mixed\n", "/user_data"),
        ("#cloud-config\n- a\n", "/user_data"),
        ("#cloud-config\n1: a\n", "/user_data"),
        ("#cloud-config\na: [\n", "/user_data"),
        ("#cloud-config\npackages: htop\n", "/user_data/packages"),
        ("#cloud-config\nruncmd: {a: b}\n", "/user_data/runcmd"),
        ("#cloud-config\nwrite_files: [{path: /etc/paddock//install.env}]\n", "/user_data/write_files/0"),
    ],
)
def test_what_is_no_cloud_config_or_takes_our_place_is_refused(build_node: BuildNode, own: str, pointer: str) -> None:
    with pytest.raises(BootstrapInvalid) as refused:
        render_user_data(build_node(user_data=own))
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    "body",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "a: " + "[" * 5000,
        "a: 1\na: 2\n",
        "a: !!python/object/apply:os.system [id]\n",
        "a: b\n---\na: c\n",
        "a: " + "x" * MAX_OWN_BYTES,
    ],
    ids=["aliases", "deep", "twice", "tag", "two documents", "large"],
)
def test_sec65_a_yaml_bomb_of_the_tenants_is_refused(build_node: BuildNode, body: str) -> None:
    with pytest.raises(BootstrapInvalid):
        render_user_data(build_node(user_data=f"#cloud-config\n{body}"))


def test_a_document_too_large_for_a_secret_is_refused(build_node: BuildNode) -> None:
    noise = base64.b64encode(bytes(range(256))).decode()
    files = tuple(
        NodeFile(f"/x/{n}", "".join(f"{n * i * i * 7919 % 104729:x}{noise[i % 300]}" for i in range(40_000)))
        for n in range(1, 12)
    )
    with pytest.raises(BootstrapInvalid) as refused:
        render_user_data(build_node(files=files))
    assert refused.value.code == "too_long"


def test_without_a_static_address_dhcp_decides() -> None:
    assert render_network_data(None) is None


def test_a_static_address_by_interface_name() -> None:
    text = render_network_data(StaticAddress(("10.0.0.5/24",), ("10.0.0.1",), ("10.0.0.2",), ("shop.example",)))
    assert text is not None
    assert yaml.safe_load(text) == {
        "version": 2,
        "ethernets": {
            "enp1s0": {
                "dhcp4": False,
                "dhcp6": False,
                "addresses": ["10.0.0.5/24"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}],
                "nameservers": {"addresses": ["10.0.0.2"], "search": ["shop.example"]},
            }
        },
    }


def test_a_static_address_by_mac_for_both_families_and_no_resolver() -> None:
    address = StaticAddress(
        ("10.0.0.5/24", "fd00::5/64"), ("10.0.0.1", "fd00::1"), mac_address="52:54:00:12:34:56", interface="eth0"
    )
    text = render_network_data(address)
    assert text is not None
    assert yaml.safe_load(text) == {
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": {"macaddress": "52:54:00:12:34:56"},
                "set-name": "eth0",
                "dhcp4": False,
                "dhcp6": False,
                "addresses": ["10.0.0.5/24", "fd00::5/64"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}, {"to": "::/0", "via": "fd00::1"}],
            }
        },
    }


@pytest.mark.parametrize("distribution", ["k3s", "rke2"])
@pytest.mark.parametrize("kind", ["first", "server", "agent"])
def test_cloud_init_itself_finds_no_fault(
    build_node: BuildNode, cloud_init_schema: Callable[[str], list[str]], kind: str, distribution: str
) -> None:
    node = build_node(
        kind,
        distribution,
        ssh_authorized_keys=(KEY,),
        files=(NodeFile("/etc/motd", "caf\u00e9: $(id)\n", "0644"), NodeFile("/etc/empty", "")),
        registries=Registries({"*": Mirror(("https://m.example",))}, {"m.example": RegistryAccess("u", "p: '\"$`")}),
        user_data=OWN,
    )
    assert cloud_init_schema(render_user_data(node)) == []


def test_cloud_init_itself_would_find_a_fault(
    build_node: BuildNode, cloud_init_schema: Callable[[str], list[str]]
) -> None:
    node = build_node(user_data="#cloud-config\npackages: [htop, 1.2]\n")
    assert any(fault.startswith("packages") for fault in cloud_init_schema(render_user_data(node)))
