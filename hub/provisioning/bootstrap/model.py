"""The one model the bootstrap is rendered from: everything a machine must be told to become a node.

Building it checks it: what is refused here (BootstrapInvalid, with a pointer) never reaches a machine, and what
passes can be written into YAML, JSON and the install environment without changing its meaning (SEC-66). Secrets do
not show in repr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from hub.provisioning.bootstrap.checks import (
    BootstrapInvalid,
    check_host,
    check_no_overlap,
    check_node_name,
    check_ssh_key,
    check_token,
    check_unique,
)
from hub.provisioning.bootstrap.distributions import get_distribution
from hub.provisioning.bootstrap.distributions.contract import Distribution, OptionValue
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.network import ClusterNetwork, StaticAddress
from hub.provisioning.bootstrap.pki import GuestPki, PkiInvalid, ca_hash
from hub.provisioning.bootstrap.registries import Registries
from hub.provisioning.bootstrap.releases import ARCHITECTURES, Artifact, Release
from kube import names

Role = Literal["server", "agent"]

# The only labels below kubernetes.io and k8s.io that a kubelet may give itself; with any other it does not start.
_KUBELET_LABELS = frozenset({
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
})  # fmt: skip
_KUBELET_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TAINT = re.compile(r"(?P<key>[^=:]+)(?:=(?P<value>[^=:]*))?:(?P<effect>[A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint the node registers with; `value` may be empty."""

    key: str
    effect: str
    value: str = ""

    @classmethod
    def parse(cls, text: str, pointer: str = "/taints") -> Self:
        """From kubectl's form `key=value:Effect` or `key:Effect`; raises BootstrapInvalid."""
        found = _TAINT.fullmatch(text)
        if found is None:
            raise BootstrapInvalid(pointer, "format", "a taint is written key=value:Effect or key:Effect")
        taint = cls(found["key"], found["effect"], found["value"] or "")
        taint.check(pointer)
        return taint

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"

    def check(self, pointer: str) -> None:
        """Raises BootstrapInvalid."""
        if not names.is_label_key(self.key):
            raise BootstrapInvalid(f"{pointer}/key", "format", "a taint's key follows the rules of label keys")
        if not names.is_label_value(self.value):
            raise BootstrapInvalid(f"{pointer}/value", "format", "a taint's value follows the rules of label values")
        if self.effect not in _EFFECTS:
            raise BootstrapInvalid(f"{pointer}/effect", "unknown", f"effects are {', '.join(_EFFECTS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBootstrap:
    """One machine on its way to being a node.

    `first` marks the server that founds the cluster: it alone carries `pki` and needs no `join_address`; all others
    join through a server's IP address or DNS name. Both tokens are the plain passwords of `tokens.generate_token`;
    which of them the machine is given, and in what form, the distribution decides (an agent never sees the server
    token). `server_ca_pem` is the public certificate that tokens pin. `options`, `component_args` and `network` are
    the cluster's, the same on every node; what has no meaning on an agent is left out there. An `air_gapped` machine's
    image brings the guest agent and the artifact. `user_data` is the tenant's own cloud-config.
    """

    release: Release
    cluster_name: str
    node_name: str
    role: Role
    server_token: str = field(repr=False)
    agent_token: str = field(repr=False)
    server_ca_pem: str = field(repr=False)
    first: bool = False
    join_address: str | None = None
    pki: GuestPki | None = field(default=None, repr=False)
    architecture: str = "amd64"
    air_gapped: bool = False
    network: ClusterNetwork = field(default_factory=ClusterNetwork)
    static_address: StaticAddress | None = None
    tls_sans: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    options: Mapping[str, OptionValue] = field(default_factory=dict, repr=False)
    component_args: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    registries: Registries | None = None
    files: tuple[NodeFile, ...] = ()
    ssh_authorized_keys: tuple[str, ...] = ()
    user_data: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises BootstrapInvalid for the first thing that is wrong."""
        self._check_place()
        self._check_credentials()
        self._check_addresses()
        check_labels(self.labels, "/labels")
        for index, taint in enumerate(self.taints):
            taint.check(f"/taints/{index}")
        check_unique((f"{taint.key}:{taint.effect}" for taint in self.taints), "/taints")
        self.distribution.check_options(self.options, "/options")
        self.distribution.check_component_args(self.component_args, "/component_args")
        if self.registries is not None:
            self.registries.check("/registries")
        for index, file in enumerate(self.files):
            file.check(f"/files/{index}")
        for index, key in enumerate(self.ssh_authorized_keys):
            check_ssh_key(key, f"/ssh_authorized_keys/{index}")

    @property
    def distribution(self) -> Distribution:
        """The distribution of the release."""
        return get_distribution(self.release.distribution)

    @property
    def artifact(self) -> Artifact:
        """What this machine downloads."""
        return self.release.artifacts[self.architecture]

    @property
    def server_ca_hash(self) -> str:
        """SHA-256 (hex) of the server CA, as tokens pin it."""
        return ca_hash(self.server_ca_pem)

    def _check_place(self) -> None:
        check_node_name(self.node_name, "/node_name")
        if not isinstance(self.cluster_name, str) or not names.is_dns_label(self.cluster_name):
            raise BootstrapInvalid("/cluster_name", "format", "a DNS label is wanted")
        if self.role not in ("server", "agent"):
            raise BootstrapInvalid("/role", "unknown", "roles are server and agent")
        if self.first and self.role != "server":
            raise BootstrapInvalid("/first", "conflict", "only a server founds a cluster")
        if self.first and self.join_address is not None:
            raise BootstrapInvalid("/join_address", "conflict", "the first server joins nobody")
        if not self.first:
            check_host(self.join_address or "", "/join_address")
        if self.architecture not in ARCHITECTURES or self.architecture not in self.release.artifacts:
            raise BootstrapInvalid("/architecture", "unknown", f"{self.release.version} has no such artifact")

    def _check_credentials(self) -> None:
        check_token(self.server_token, "/server_token")
        check_token(self.agent_token, "/agent_token")
        if self.server_token == self.agent_token:
            raise BootstrapInvalid("/agent_token", "conflict", "agents must not hold the servers' token")
        try:
            pinned = self.server_ca_hash
        except PkiInvalid as error:
            raise BootstrapInvalid("/server_ca_pem", "format", str(error)) from error
        if self.first != (self.pki is not None):
            raise BootstrapInvalid("/pki", "conflict", "the first server, and no other node, carries the authorities")
        if self.pki is not None and self.pki.server_ca_hash != pinned:
            raise BootstrapInvalid("/server_ca_pem", "conflict", "is not the server CA of the authorities given")

    def _check_addresses(self) -> None:
        self.network.check("/network")
        self.distribution.check_cni(self.network.cni, "/network/cni")
        networks = self.network.networks("/network")
        if self.static_address is not None:
            self.static_address.check("/static_address")
            for placed in self.static_address.networks("/static_address"):
                check_no_overlap([*networks, placed])
        for index, name in enumerate(self.tls_sans):
            check_host(name, f"/tls_sans/{index}")
        check_unique(self.tls_sans, "/tls_sans")


def check_labels(labels: Mapping[str, str], pointer: str) -> None:
    """Labels a node may register with: well-formed, and none that kubelet refuses to give itself."""
    for key, value in labels.items():
        if not isinstance(key, str) or not names.is_label_key(key):
            raise BootstrapInvalid(pointer, "format", "a label's key is a name, with a DNS prefix and '/' where needed")
        place = f"{pointer}/{key.replace('/', '~1')}"
        if not isinstance(value, str) or not names.is_label_value(value):
            raise BootstrapInvalid(place, "format", "a label's value has at most 63 letters, digits, '-', '_' and '.'")
        if _restricted(key):
            raise BootstrapInvalid(place, "restricted", "kubelet may not give itself this label; set it by the API")


def _restricted(key: str) -> bool:
    prefix = key.partition("/")[0] if "/" in key else ""
    if not any(_is_or_below(prefix, domain) for domain in ("kubernetes.io", "k8s.io")):
        return False
    return key not in _KUBELET_LABELS and not any(_is_or_below(prefix, domain) for domain in _KUBELET_PREFIXES)


def _is_or_below(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")
