"""Node objects of a guest cluster as its kubelets and controllers write them (contract guest-bootstrap §4, §5). Pure."""

import ipaddress
from dataclasses import dataclass
from typing import Any

from kube.resources import Object
from simulator.clock import timestamp
from simulator.conditions import with_condition
from simulator.guests.distribution import Distribution
from simulator.guests.node_config import NodeConfig

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
_UNREACHABLE = "node.kubernetes.io/unreachable"
_NODES_PER_SUBNET = 24


@dataclass(frozen=True, slots=True)
class Kubelet:
    """What a machine's kubelet tells of itself."""

    node_name: str
    hostname: str
    addresses: tuple[str, ...]
    version: str
    cpus: str
    memory: str


def build_node(
    distribution: Distribution,
    config: NodeConfig,
    kubelet: Kubelet,
    *,
    pod_cidr: str,
    embedded_etcd: bool,
    has_cloud_controller: bool,
) -> Object:
    """The Node at registration, without status. Labels and taints of the configuration count only here."""
    labels = {
        "kubernetes.io/hostname": kubelet.node_name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": distribution.name,
        **config.labels,
    }
    if config.role == "server":
        labels["node-role.kubernetes.io/control-plane"] = "true"
        if embedded_etcd:
            labels["node-role.kubernetes.io/etcd"] = "true"
    taints = [_taint(taint.key, taint.value, taint.effect) for taint in config.taints]
    if config.kubelet_is_external and not has_cloud_controller:
        # Nobody is there to initialise the node, so the taint stays.
        taints.append(_taint(UNINITIALIZED, "true", "NoSchedule"))
    spec: dict[str, Any] = {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]}
    if has_cloud_controller:
        spec["providerID"] = f"{distribution.name}://{kubelet.node_name}"
    if taints:
        spec["taints"] = taints
    return {
        "metadata": {
            "name": kubelet.node_name,
            "labels": labels,
            "annotations": {
                f"{distribution.name}.io/hostname": kubelet.hostname,
                f"{distribution.name}.io/internal-ip": ",".join(kubelet.addresses),
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": spec,
    }


def pod_subnet(cluster_cidr: str, taken: set[str]) -> str:
    """The first /24 of the cluster's range that no node has; empty when there is none left."""
    network = ipaddress.ip_network(cluster_cidr.split(",")[0])
    if network.prefixlen > _NODES_PER_SUBNET:
        return ""
    return next((str(s) for s in network.subnets(new_prefix=_NODES_PER_SUBNET) if str(s) not in taken), "")


def node_status(kubelet: Kubelet, distribution: Distribution) -> dict[str, Any]:
    """`status` without conditions."""
    capacity = {"cpu": kubelet.cpus, "memory": kubelet.memory, "pods": "110"}
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in kubelet.addresses),
            {"type": "Hostname", "address": kubelet.hostname},
        ],
        "nodeInfo": {
            "kubeletVersion": kubelet.version,
            "kubeProxyVersion": "",
            "osImage": "Ubuntu 22.04.5 LTS",
            "kernelVersion": "5.15.0-144-generic",
            "containerRuntimeVersion": f"containerd://2.1.5-{distribution.name}1",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    }


def ready_conditions(conditions: list[dict[str, Any]], *, has_network: bool) -> list[dict[str, Any]]:
    """Conditions as a kubelet posts them."""
    for kind, reason in (
        ("MemoryPressure", "KubeletHasSufficientMemory"),
        ("DiskPressure", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "KubeletHasSufficientPID"),
    ):
        conditions = with_condition(conditions, kind, "False", reason)
    if has_network:
        conditions = with_condition(conditions, "Ready", "True", "KubeletReady", "kubelet is posting ready status")
    else:
        message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
        conditions = with_condition(conditions, "Ready", "False", "KubeletNotReady", message)
    return [{**condition, "lastHeartbeatTime": timestamp()} for condition in conditions]


def starting_conditions(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A kubelet that has just registered."""
    message = "container runtime network not ready"
    return with_condition(conditions, "Ready", "False", "KubeletNotReady", message)


def lost_conditions(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the life-cycle controller writes when a kubelet falls silent."""
    for condition in conditions:
        conditions = with_condition(
            conditions, condition["type"], "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."
        )
    return conditions


def lost_taints(taints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Taints of a node whose kubelet fell silent."""
    own = (_taint(_UNREACHABLE, "", "NoSchedule"), _taint(_UNREACHABLE, "", "NoExecute"))
    return [*found_taints(taints), *own]


def found_taints(taints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Taints of a node whose kubelet is back."""
    return [taint for taint in taints if taint["key"] != _UNREACHABLE]


def _taint(key: str, value: str, effect: str) -> dict[str, str]:
    return {"key": key, "effect": effect, **({"value": value} if value else {})}
