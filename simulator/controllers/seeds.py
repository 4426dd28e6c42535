"""What every Harvester cluster has from its start, and an image and a network to begin with (contract harvester-vm §12).

Only kinds of the kind table: snapshot classes and the KubeVirt object are not served by the simulator. Pure builders;
`ensure_seeds` writes them to a simulated or a real API server.
"""

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

from kube.resources import (
    CLUSTER_NETWORKS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    NAMESPACES,
    NETWORK_ATTACHMENT_DEFINITIONS,
    SETTINGS,
    STORAGE_CLASSES,
    VIRTUAL_MACHINE_IMAGES,
    Object,
    Resource,
)
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.volumes import PROVISIONER

IMAGE_NAME = "ubuntu-22.04"
NETWORK_NAME = "vlan1"
_NAMESPACES = ("default", "kube-system", "kube-node-lease", "harvester-public", "harvester-system", "longhorn-system")
_REPLICAS = {"numberOfReplicas": "3", "staleReplicaTimeout": "30", "migratable": "true"}
_SETTINGS = {
    "additional-ca": "",
    "additional-guest-memory-overhead-ratio": "1.5",
    "backup-target": json.dumps({"type": "", "endpoint": ""}),
    "cluster-registration-url": "",
    "default-vm-termination-grace-period-seconds": "120",
    "http-proxy": "{}",
    "kubeconfig-default-token-ttl-minutes": "0",
    "max-hotplug-ratio": "4",
    "ntp-servers": "",
    "overcommit-config": json.dumps({"cpu": 1000, "memory": 150, "storage": 100}),
    "server-version": "v1.8.2",
    "storage-network": "",
    "vip-pools": "",
    "vm-force-reset-policy": json.dumps({"enable": True, "period": 15, "vmMigrationTimeout": 180}),
}
_CLOUD_PROVIDER_RULES = [
    {"apiGroups": ["loadbalancer.harvesterhci.io"], "resources": ["loadbalancers"], "verbs": ["*"]},
    {
        "apiGroups": ["kubevirt.io"],
        "resources": ["virtualmachines", "virtualmachineinstances"],
        "verbs": ["get", "list"],
    },
]
_CSI_RULES = [
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["*"]},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list", "watch"]},
    {
        "apiGroups": ["kubevirt.io"],
        "resources": ["virtualmachines", "virtualmachineinstances"],
        "verbs": ["get", "list"],
    },
    {
        "apiGroups": ["subresources.kubevirt.io"],
        "resources": ["virtualmachines/addvolume", "virtualmachines/removevolume"],
        "verbs": ["update"],
    },
]


async def ensure_seeds(writer: ObjectWriter, vip: str, block: ipaddress.IPv4Network) -> None:
    """Makes what is missing. `vip` is the cluster's address, `block` the machines' network."""
    for resource, obj in build_seeds(vip, block):
        await writer.ensure(resource, obj)


def build_seeds(vip: str, block: ipaddress.IPv4Network) -> Iterator[tuple[Resource, Object]]:
    """The objects in an order in which they can be created."""
    for namespace in _NAMESPACES:
        yield NAMESPACES, {"metadata": {"name": namespace}}
    yield from _storage_classes()
    yield CLUSTER_NETWORKS, {"metadata": {"name": "mgmt"}}
    yield (
        CONFIG_MAPS,
        {
            "metadata": {"name": "vip", "namespace": "harvester-system"},
            "data": {"enabled": "true", "ip": vip, "mode": "static", "hwAddress": "", "loadBalancerIP": vip},
        },
    )
    for name, value in _SETTINGS.items():
        yield SETTINGS, {"metadata": {"name": name}, "value": value, "default": value, "customized": False}
    yield from _cluster_roles()
    yield VIRTUAL_MACHINE_IMAGES, _image()
    yield NETWORK_ATTACHMENT_DEFINITIONS, _network(block)


def _storage_classes() -> Iterator[tuple[Resource, Object]]:
    default = {
        "storageclass.kubernetes.io/is-default-class": "true",
        "harvesterhci.io/is-reserved-storageclass": "true",
    }
    classes: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "harvester-longhorn": (default, _REPLICAS),
        "longhorn": ({}, {"numberOfReplicas": "3", "staleReplicaTimeout": "30"}),
        "longhorn-static": ({}, {}),
        "vmstate-persistence": ({"harvesterhci.io/is-reserved-storageclass": "true"}, {"numberOfReplicas": "3"}),
    }
    for name, (annotations, parameters) in classes.items():
        yield (
            STORAGE_CLASSES,
            {
                "metadata": {"name": name, "annotations": annotations},
                "provisioner": PROVISIONER,
                "parameters": parameters,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
                "allowVolumeExpansion": True,
            },
        )


def _cluster_roles() -> Iterator[tuple[Resource, Object]]:
    harvester: dict[str, Any] = {
        "apiGroups": ["harvesterhci.io", "kubevirt.io", "k8s.cni.cncf.io", "subresources.kubevirt.io"],
        "resources": ["*"],
    }
    rules = {
        "edit": [{**harvester, "verbs": ["*"]}],
        "view": [{**harvester, "verbs": ["get", "list", "watch"]}],
        "cloudprovider": _CLOUD_PROVIDER_RULES,
        "csi-driver": _CSI_RULES,
    }
    for name, granted in rules.items():
        yield CLUSTER_ROLES, {"metadata": {"name": f"harvesterhci.io:{name}"}, "rules": granted}


def _image() -> Object:
    return {
        "metadata": {
            "name": IMAGE_NAME,
            "namespace": "default",
            "labels": {
                "harvesterhci.io/os-type": "ubuntu",
                "harvesterhci.io/image-type": "raw_qcow2",
                "harvesterhci.io/imageDisplayName": "ubuntu-22.04.img",
            },
            "annotations": {"harvesterhci.io/storageClassName": "harvester-longhorn"},
        },
        "spec": {
            "backend": "backingimage",
            "displayName": "ubuntu-22.04.img",
            "sourceType": "download",
            "url": "https://images.example/ubuntu-22.04.img",
            "retry": 3,
            "targetStorageClassName": "harvester-longhorn",
            "storageClassParameters": _REPLICAS,
        },
    }


def _network(block: ipaddress.IPv4Network) -> Object:
    route = {"mode": "manual", "serverIPAddr": "", "cidr": str(block), "gateway": str(next(block.hosts()))}
    config = {
        "cniVersion": "0.3.1",
        "name": NETWORK_NAME,
        "type": "bridge",
        "bridge": "mgmt-br",
        "promiscMode": True,
        "vlan": 1,
        "ipam": {},
    }
    return {
        "metadata": {
            "name": NETWORK_NAME,
            "namespace": "default",
            "labels": {
                "network.harvesterhci.io/clusternetwork": "mgmt",
                "network.harvesterhci.io/type": "L2VlanNetwork",
                "network.harvesterhci.io/vlan-id": "1",
                "network.harvesterhci.io/ready": "true",
            },
            "annotations": {"network.harvesterhci.io/route": json.dumps(route)},
        },
        "spec": {"config": json.dumps(config)},
    }
