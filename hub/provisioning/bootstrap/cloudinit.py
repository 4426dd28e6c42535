"""The cloud-init documents of a node: user data and network data, built from data structures and never from strings.

User data is a secret (join tokens; on the first server the cluster's CA keys): it belongs in a Secret and nowhere
else (SEC-09).
"""

from __future__ import annotations

import base64
import gzip
import posixpath
import re
from typing import Any

import yaml

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.install import SCRIPT_PATH, install_files
from hub.provisioning.bootstrap.model import NodeBootstrap
from hub.provisioning.bootstrap.network import StaticAddress
from kube.strict_yaml import RefusedYaml, load_strict

HEADER = "#cloud-config"
# A Kubernetes Secret holds 1 MiB in all, and user data is not alone in it.
MAX_USER_DATA_BYTES = 768 * 1024
MAX_OWN_BYTES = 64 * 1024

_GUEST_AGENT = "qemu-guest-agent"
_PACKED_FROM = 1024
# What YAML shows as it is; anything else travels as base64, so that no parser has an opinion on it.
_PLAIN_CONTENT = re.compile(r"[\n\t\x20-\x7e]*")


class _PlainDumper(yaml.SafeDumper):
    """Without anchors: a list that stands in two places is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def render_user_data(node: NodeBootstrap) -> str:
    """The node's `#cloud-config`. The tenant's own is merged in: his list entries come first, and our keys win.

    Raises BootstrapInvalid when the tenant's cloud-config is not one, claims a path of ours, or the whole is too large.
    """
    files = _all_files(node)
    document = _merge(_parse_own(node.user_data, {file.path for file in files}), _document(node, files))
    text = f"{HEADER}\n{_dump(document)}"
    if len(text) > MAX_USER_DATA_BYTES:
        raise BootstrapInvalid("/files", "too_long", f"user data of {len(text)} bytes, at most {MAX_USER_DATA_BYTES}")
    return text


def render_network_data(address: StaticAddress | None) -> str | None:
    """cloud-init's network configuration, or None where DHCP decides.

    Version 2: the form that names an interface by its MAC, takes IPv4 and IPv6 addresses in one list and is netplan's
    own, so images with netplan take it as it is and cloud-init turns it into what others want. Default routes are
    written as networks, because `gateway4` is deprecated in netplan and `default` unknown to older cloud-init.
    """
    if address is None:
        return None
    interface: dict[str, object] = {"dhcp4": False, "dhcp6": False, "addresses": list(address.addresses)}
    if address.mac_address is not None:
        interface = {"match": {"macaddress": address.mac_address}, "set-name": address.interface, **interface}
    if address.gateways:
        interface["routes"] = [{"to": "::/0" if ":" in via else "0.0.0.0/0", "via": via} for via in address.gateways]
    resolver = {"addresses": list(address.nameservers), "search": list(address.search_domains)}
    known = {key: value for key, value in resolver.items() if value}
    if known:
        interface["nameservers"] = known
    return _dump({"version": 2, "ethernets": {address.interface: interface}})


def _dump(data: object) -> str:
    """ASCII block-style YAML in the order given, that reads back as the very same values."""
    return yaml.dump(
        data, Dumper=_PlainDumper, sort_keys=False, allow_unicode=False, default_flow_style=False, width=120
    )


def _all_files(node: NodeBootstrap) -> list[NodeFile]:
    ours = [*node.distribution.files(node), *install_files(node)]
    taken = {file.path for file in ours}
    for index, file in enumerate(node.files):
        if file.path in taken:
            raise BootstrapInvalid(f"/files/{index}/path", "conflict", f"{file.path} is written already")
        taken.add(file.path)
    return [*node.files, *ours]


def _document(node: NodeBootstrap, files: list[NodeFile]) -> dict[str, Any]:
    document: dict[str, Any] = {"hostname": node.node_name, "preserve_hostname": False}
    if node.ssh_authorized_keys:
        document["ssh_authorized_keys"] = list(node.ssh_authorized_keys)
    if not node.air_gapped:
        # Without the guest agent a bridged machine's address is never reported. An air-gapped image brings it along.
        document["package_update"] = True
        document["packages"] = [_GUEST_AGENT]
    if node.pki is not None:
        # Before write_files, which would leave the folder of the CA keys open to be listed.
        tls = node.distribution.tls_folder
        folders = ["install", "-d", "-m", "0700", tls, f"{tls}/etcd"]
        document["bootcmd"] = [["cloud-init-per", "instance", "paddock-tls", *folders]]
    document["write_files"] = [_write_file(file) for file in files]
    document["runcmd"] = [["systemctl", "enable", "--now", _GUEST_AGENT], ["sh", SCRIPT_PATH]]
    return document


def _write_file(file: NodeFile) -> dict[str, str]:
    entry = {"path": file.path, "owner": "root:root", "permissions": file.permissions}
    if len(file.content) <= _PACKED_FROM and _PLAIN_CONTENT.fullmatch(file.content):
        return {**entry, "content": file.content}
    packed = gzip.compress(file.content.encode(), mtime=0)
    return {**entry, "encoding": "gzip+b64", "content": base64.b64encode(packed).decode()}


def _parse_own(text: str | None, taken: set[str]) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    first, _, body = text.partition("\n")
    if first.rstrip() != HEADER:
        raise BootstrapInvalid("/user_data", "format", f"only cloud-config is merged: its first line is {HEADER}")
    try:
        document = load_strict(body, max_bytes=MAX_OWN_BYTES)
    except RefusedYaml as error:
        raise BootstrapInvalid("/user_data", "format", f"not a cloud-config: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise BootstrapInvalid("/user_data", "format", "a cloud-config is a mapping of names")
    files = document.get("write_files")
    for index, entry in enumerate(files if isinstance(files, list) else []):
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str) and posixpath.normpath(path) in taken:
            raise BootstrapInvalid(f"/user_data/write_files/{index}", "conflict", f"{path} is written by the hub")
    return document


def _merge(own: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    merged = dict(own)
    for key, value in ours.items():
        other = merged.get(key)
        if other is None or not isinstance(value, list):
            merged[key] = value
        elif isinstance(other, list):
            merged[key] = [*other, *(item for item in value if item not in other)]
        else:
            raise BootstrapInvalid(f"/user_data/{key}", "format", "a list is wanted")
    return merged
