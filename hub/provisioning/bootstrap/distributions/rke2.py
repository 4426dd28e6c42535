"""RKE2: the supervisor has its own port, components are static pods, embedded etcd is the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.distributions.contract import Distribution

if TYPE_CHECKING:
    from hub.provisioning.bootstrap.network import ClusterNetwork

_PLUGINS = ("canal", "calico", "cilium", "flannel", "none")


class Rke2(Distribution):
    """A supervisor that runs the upstream components."""

    name = "rke2"
    supervisor_port = 9345
    server_unit = "rke2-server"
    agent_unit = "rke2-agent"
    own_agent_options = frozenset({"cloud-provider-config", "cloud-provider-name", "profile"})
    own_server_options = frozenset({
        "audit-policy-file", "control-plane-probe-configuration", "control-plane-resource-limits",
        "control-plane-resource-requests", "enable-servicelb", "ingress-controller",
        "pod-security-admission-config-file",
    })  # fmt: skip

    def check_cni(self, cni: Sequence[str], pointer: str) -> None:
        """One plugin; `multus` may stand before it."""
        plugins = cni[1:] if cni and cni[0] == "multus" else cni
        if cni and (len(plugins) != 1 or plugins[0] not in _PLUGINS):
            raise BootstrapInvalid(
                pointer, "unknown", f"RKE2 takes one of {', '.join(_PLUGINS)}, after multus or alone"
            )

    def network_config(self, network: ClusterNetwork) -> dict[str, object]:
        """A list only with multus: the form the documentation gives for each case."""
        if not network.cni:
            return {}
        return {"cni": list(network.cni) if len(network.cni) > 1 else network.cni[0]}

    def founding_config(self) -> dict[str, object]:
        """Nothing: a server without `server` founds the cluster."""
        return {}
