"""The hosts of the simulated Harvester cluster: made once, then kept Ready by status and lease.

Hosts that were not made here are left alone.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from kube.errors import KubeError
from kube.resources import LEASES, NODES, Object
from simulator.clock import timestamp
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.settings import SimulationSettings

_LEASE_NAMESPACE = "kube-node-lease"
_LEASE_SECONDS = 40
# Set by admission or the node life-cycle controller until they see the node ready; some servers have only one of them.
_LIFECYCLE_TAINTS = frozenset({"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"})
_log = logging.getLogger(__name__)


class NodeKeeper:
    """Keeps the hosts that the settings ask for."""

    def __init__(self, writer: ObjectWriter, settings: SimulationSettings) -> None:
        self._writer = writer
        self._settings = settings

    async def run(self) -> None:
        """Works until cancelled; an API that is away is asked again at the next beat."""
        while True:
            for name in self._settings.node_names:
                try:
                    await self.keep(name)
                except KubeError as error:
                    _log.debug("node %s: %s", name, error)
            await asyncio.sleep(self._settings.node_heartbeat)

    async def keep(self, name: str) -> None:
        """One host: there, untainted by the life cycle, Ready, lease renewed."""
        await self._writer.ensure(NODES, build_node(name))
        node = await self._writer.get(NODES, name)
        taints = (node.get("spec") or {}).get("taints") or []
        kept = [taint for taint in taints if taint["key"] not in _LIFECYCLE_TAINTS]
        if kept != taints:
            node = await self._writer.patch(NODES, node, {"spec": {"taints": kept or None}})
        status = build_node_status(node, self._settings)
        await self._writer.patch(NODES, node, {"status": status}, subresource="status")
        await self._renew_lease(name)

    async def _renew_lease(self, name: str) -> None:
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        lease = {"metadata": {"name": name, "namespace": _LEASE_NAMESPACE}, "spec": spec}
        if not await self._writer.ensure(LEASES, lease):
            await self._writer.patch(LEASES, lease, {"spec": spec})


def build_node(name: str) -> Object:
    """A Harvester management host."""
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "true",
                "node-role.kubernetes.io/etcd": "true",
                "harvesterhci.io/managed": "true",
                "kubevirt.io/schedulable": "true",
                "network.harvesterhci.io/mgmt": "true",
            },
        },
        "spec": {},
    }


def build_node_status(node: Object, settings: SimulationSettings) -> dict[str, Any]:
    """Capacity as the settings have it, and the condition Ready with a fresh heartbeat."""
    now = timestamp()
    earlier = next((c for c in node.get("status", {}).get("conditions") or [] if c["type"] == "Ready"), None)
    ready_since = earlier["lastTransitionTime"] if earlier and earlier["status"] == "True" else now
    capacity = {"cpu": str(settings.node_cpus), "memory": f"{settings.node_memory_gib}Gi", "pods": "200"}
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{"type": "Hostname", "address": node["metadata"]["name"]}],
        "nodeInfo": {
            "kubeletVersion": "v1.34.4+rke2r1",
            "kubeProxyVersion": "",
            "osImage": "Harvester v1.8.2",
            "kernelVersion": "6.4.0-150600.23.60-default",
            "containerRuntimeVersion": "containerd://2.1.5-k3s1",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "message": "kubelet is posting ready status",
                "lastHeartbeatTime": now,
                "lastTransitionTime": ready_since,
            }
        ],
    }
