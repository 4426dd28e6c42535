"""The configuration of one K3s or RKE2 node, read by the distributions' own rules.

`config.yaml` first, then `config.yaml.d/*.yaml` in alphabetical order, then the command line; the last value of a key
wins and `key+` appends. Keys of another sub-command are skipped with a warning, as in life. Source: contract
guest-bootstrap §1 and §4. What a node does with the result is `service.py`'s part.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kube.names import is_dns_subdomain, is_label_key, is_label_value
from simulator.guests.distribution import API_PORT, CRITICAL_DEFAULTS, Distribution, Role
from simulator.guests.documents import load_mapping

# Ways to run that exist in life and not here: named when asked for, never ignored.
_NOT_SIMULATED = (
    "cluster-reset",
    "datastore-endpoint",
    "disable-apiserver",
    "disable-controller-manager",
    "disable-etcd",
    "disable-scheduler",
    "data-dir",
    "token-file",
    "agent-token-file",
    "docker",
    "rootless",
)
_TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)")
# Labels below kubernetes.io and k8s.io that a kubelet may put on itself.
_KUBELET_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_OWN = """
    kubernetes.io/hostname kubernetes.io/arch kubernetes.io/os beta.kubernetes.io/arch beta.kubernetes.io/os
    beta.kubernetes.io/instance-type topology.kubernetes.io/region topology.kubernetes.io/zone
    failure-domain.beta.kubernetes.io/region failure-domain.beta.kubernetes.io/zone
"""
_KUBELET_LABELS = frozenset(_KUBELET_OWN.split())


class ConfigRefused(ValueError):
    """The service would not start with this configuration."""


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A node's configuration with defaults filled. `critical` is what all servers of a cluster must agree on."""

    role: Role
    node_name: str | None
    with_node_id: bool
    node_addresses: tuple[str, ...]
    server: str | None
    token: str
    agent_token: str
    cluster_init: bool
    tls_names: tuple[str, ...]
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    has_network: bool
    kubelet_is_external: bool
    runs_cloud_controller: bool
    critical: Mapping[str, str]
    service_cidr: str
    warnings: tuple[str, ...]


def merge_config_files(files: Mapping[str, bytes], folder: str) -> dict[str, Any]:
    """The merged configuration of `{folder}/config.yaml` and its `config.yaml.d`. Raises ConfigRefused."""
    drop_ins = sorted(
        path for path in files if path.startswith(f"{folder}/config.yaml.d/") and path.endswith((".yaml", ".yml"))
    )
    merged: dict[str, Any] = {}
    for path in [f"{folder}/config.yaml", *drop_ins]:
        if path in files:
            try:
                document = load_mapping(files[path].decode(), path)
            except (ValueError, UnicodeDecodeError) as error:
                raise ConfigRefused(str(error)) from error
            merge_config(merged, document)
    return merged


def merge_config(merged: dict[str, Any], document: Mapping[str, Any]) -> None:
    """Lays one document over `merged`."""
    for key, value in document.items():
        if key.endswith("+"):
            name = key[:-1]
            earlier = merged.get(name)
            merged[name] = [*_items(earlier), *_items(value)]
        else:
            merged[key] = value


def parse_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """Command line flags as configuration: `--key value`, `--key=value`, bare flags are true, repeated ones lists."""
    values: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise ConfigRefused(f"argument {flag!r} is not a long flag")
        key, has_value, value = flag[2:].partition("=")
        if not has_value:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        values[key] = [*_items(values[key]), value] if key in values else value
    return values


def build_node_config(distribution: Distribution, role: Role, values: Mapping[str, Any]) -> NodeConfig:
    """Reads merged values. Raises ConfigRefused for what the service would refuse, or what is not simulated."""
    known = {key: value for key, value in values.items() if key in distribution.keys[role]}
    warnings = tuple(f"Unknown flag --{key} found in config.yaml, skipping" for key in sorted(set(values) - set(known)))
    for key in _NOT_SIMULATED:
        if known.get(key) not in (None, False, "false", ""):
            raise ConfigRefused(f"{key} is not simulated")
    if str(known.get("https-listen-port", API_PORT)) != str(API_PORT):
        raise ConfigRefused("https-listen-port other than 6443 is not simulated")
    server = _server_url(_text(known, "server"))
    token = _text(known, "token") or ""
    if role == "agent" and not server:
        raise ConfigRefused("--server is required")
    if (role == "agent" or server) and not token:
        raise ConfigRefused("--token is required")
    critical = {
        key: ",".join(_items(known[key])) if key in known else default for key, default in CRITICAL_DEFAULTS.items()
    }
    critical["disable servicelb"] = str("servicelb" in _items(known.get("disable"))).lower()
    return NodeConfig(
        role=role,
        node_name=_node_name(_text(known, "node-name")),
        with_node_id=_flag(known, "with-node-id"),
        node_addresses=_addresses(known),
        server=server,
        token=token,
        agent_token=_text(known, "agent-token") or "",
        cluster_init=_flag(known, "cluster-init"),
        tls_names=tuple(_commas(known.get("tls-san"))),
        labels=_labels(_commas(known.get("node-label"))),
        taints=tuple(_taint(item) for item in _commas(known.get("node-taint"))),
        has_network=known.get("flannel-backend") != "none" and _items(known.get("cni")) != ["none"],
        kubelet_is_external=_kubelet_is_external(known),
        runs_cloud_controller=not (_flag(known, "disable-cloud-controller") or known.get("cloud-provider-name")),
        critical=critical,
        service_cidr=_network(critical["service-cidr"].split(",")[0], "service-cidr"),
        warnings=warnings,
    )


def _items(value: Any) -> list[str]:
    """A repeatable flag's values: a list, or one value written without a list."""
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return ["true" if e is True else "false" if e is False else str(e) for e in entries]


def _commas(value: Any) -> list[str]:
    return [part.strip() for item in _items(value) for part in item.split(",") if part.strip()]


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, list | dict):
        raise ConfigRefused(f"{key}: must be one value, not a {type(value).__name__}")
    return str(value)


def _flag(values: Mapping[str, Any], key: str) -> bool:
    text = str(values.get(key, False)).lower()
    if text not in ("true", "false"):
        raise ConfigRefused(f"{key}: must be true or false, not {text!r}")
    return text == "true"


def _server_url(url: str | None) -> str | None:
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ConfigRefused(f"only https:// URLs are supported, invalid scheme: {url}")
    return url.rstrip("/")


def _node_name(name: str | None) -> str | None:
    if name is not None and not is_dns_subdomain(name.lower()):
        raise ConfigRefused(f"node-name {name!r} is not a DNS subdomain")
    return name.lower() if name else None


def _addresses(values: Mapping[str, Any]) -> tuple[str, ...]:
    addresses = _commas(values.get("node-ip"))
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ConfigRefused(f"invalid node-ip: {address!r} is not an address") from None
    return tuple(addresses)


def _network(cidr: str, key: str) -> str:
    try:
        return str(ipaddress.ip_network(cidr))
    except ValueError as error:
        raise ConfigRefused(f"{key}: {error}") from None


def _labels(items: Sequence[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for item in items:
        key, has_value, value = item.partition("=")
        if not has_value or not is_label_key(key) or not is_label_value(value):
            raise ConfigRefused(f"node-label {item!r} is not key=value with a valid key and value")
        labels[key] = value
    refused = sorted(key for key in labels if not _kubelet_may_set(key))
    if refused:
        raise ConfigRefused(f"unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: {refused}")
    return labels


def _kubelet_may_set(label: str) -> bool:
    prefix = label.rpartition("/")[0]
    reserved = prefix in ("kubernetes.io", "k8s.io") or prefix.endswith((".kubernetes.io", ".k8s.io"))
    own = any(prefix == known or prefix.endswith(f".{known}") for known in _KUBELET_PREFIXES)
    return not reserved or own or label in _KUBELET_LABELS


def _taint(item: str) -> Taint:
    match = _TAINT.fullmatch(item)
    if not match or not is_label_key(match["key"]) or not is_label_value(match["value"] or ""):
        raise ConfigRefused(f"node-taint {item!r} is not key=value:effect or key:effect")
    return Taint(match["key"], match["value"] or "", match["effect"])


def _kubelet_is_external(values: Mapping[str, Any]) -> bool:
    """Whether the kubelet is told `cloud-provider=external`, and so waits for a controller to initialise its node."""
    return "cloud-provider=external" in _items(values.get("kubelet-arg")) or bool(values.get("cloud-provider-name"))
