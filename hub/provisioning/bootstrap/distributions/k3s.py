"""K3s: the supervisor answers on the API server's port, flannel is built in, embedded etcd must be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.distributions.contract import Distribution, OptionValue

if TYPE_CHECKING:
    from hub.provisioning.bootstrap.network import ClusterNetwork

_BACKENDS = ("vxlan", "host-gw", "wireguard-native", "none")


class K3s(Distribution):
    """One binary, everything in process."""

    name = "k3s"
    supervisor_port = 6443
    server_unit = "k3s"
    agent_unit = "k3s-agent"
    own_agent_options = frozenset({"docker", "flannel-conf", "flannel-iface", "pause-image", "prefer-bundled-bin"})
    own_server_options = frozenset({
        "default-local-storage-path", "disable-helm-controller", "disable-network-policy", "flannel-external-ip",
        "flannel-ipv6-masq", "secrets-encryption",
    })  # fmt: skip

    def check_cni(self, cni: Sequence[str], pointer: str) -> None:
        """At most one of flannel's backends."""
        if len(cni) > 1 or any(backend not in _BACKENDS for backend in cni):
            raise BootstrapInvalid(pointer, "unknown", f"K3s takes one of {', '.join(_BACKENDS)}")

    def network_config(self, network: ClusterNetwork) -> dict[str, object]:
        """`none` also turns the built-in network policies off: they belong to flannel, another plugin brings its
        own."""
        if not network.cni:
            return {}
        backend = network.cni[0]
        return {"flannel-backend": backend, **({"disable-network-policy": True} if backend == "none" else {})}

    def founding_config(self) -> dict[str, object]:
        """Without this K3s would found the cluster on SQLite, which no second server can join."""
        return {"cluster-init": True}

    def default_options(self) -> dict[str, OptionValue]:
        """Secrets are encrypted in etcd, as RKE2 always does."""
        return {**super().default_options(), "secrets-encryption": True}
