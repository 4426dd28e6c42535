"""Pure builders of everything a machine consists of on Harvester: Secret, claims, key pair, virtual machine.

Each takes the order (settings validated) and gives the whole object to create. Where Harvester's admission webhooks
would fill a field in, the builder writes the same value, so that the object works without them; resource requests are
left to them, because the cluster's overcommit decides. Object shapes: contract harvester-vm §2, node-driver §2.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from kube.names import shorten_with_hash
from kube.resources import (
    KEY_PAIRS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.harvester.ownership import owner_labels
from node_driver.types import MachineOrder, MachineRef

CLAIM_TEMPLATES = "harvesterhci.io/volumeClaimTemplates"
IMAGE_ID = "harvesterhci.io/imageId"
RESERVED_MEMORY = "harvesterhci.io/reservedMemory"
REMOVED_CLAIMS = "harvesterhci.io/removedPersistentVolumeClaims"
STATIC_ADDRESSES = "paddock.io/static-addresses"
SSH_USER = "paddock.io/ssh-user"
USED_BY = "paddock.io/used-by"

MACHINE_SET = "harvesterhci.io/machineSetName"
HOST_TOPOLOGY = "kubernetes.io/hostname"

USER_DATA_KEY = "userdata"
NETWORK_DATA_KEY = "networkdata"
FORGOTTEN_USER_DATA = "#cloud-config\n{}\n"
"""What is left of user data once a machine has joined: valid, and nothing to do."""

# Harvester itself acts on this value: it refuses NIC hotplug on guest nodes and its cloud provider maps their host
# names.
CREATOR = "docker-machine-driver-harvester"
# The value of Harvester's setting default-vm-termination-grace-period-seconds as shipped.
GRACE_SECONDS = 120


def virtual_machine_name(ref: MachineRef) -> str:
    return ref.name


def secret_name(ref: MachineRef) -> str:
    return f"{ref.name}-cloudinit"


def key_pair_name(ref: MachineRef) -> str:
    return f"{ref.name}-key"


def claim_name(ref: MachineRef, index: int) -> str:
    return f"{ref.name}-disk-{index}"


def build_secret(order: MachineOrder) -> Object:
    """The cloud-init Secret. User data is nowhere else (SEC-09)."""
    labels = {"harvesterhci.io/cloud-init-template": "harvester"}
    data = {USER_DATA_KEY: encode(order.user_data)}
    if order.network_data is not None:
        data[NETWORK_DATA_KEY] = encode(order.network_data)
    return {**_object(SECRETS, order, secret_name(order.ref), labels), "type": "Opaque", "data": data}


def encode(text: str) -> str:
    """Text as a value of a Secret's data."""
    return base64.b64encode(text.encode()).decode()


def build_key_pair(order: MachineOrder) -> Object | None:
    """The SSH key as Harvester's users see it beside the machine; None when the order has none."""
    if order.ssh_public_key is None:
        return None
    return {**_object(KEY_PAIRS, order, key_pair_name(order.ref)), "spec": {"publicKey": order.ssh_public_key.strip()}}


def build_claims(order: MachineOrder, image_storage_class: str) -> list[Object]:
    """The claims of all disks, the root disk first."""
    settings = order.settings
    root = _claim(order, 0, settings["disk_gib"], image_storage_class)
    root["metadata"]["annotations"] = {IMAGE_ID: settings["image"]}
    extra = [
        _claim(order, index, disk["size_gib"], disk.get("storage_class") or settings.get("storage_class"))
        for index, disk in enumerate(settings.get("extra_disks", []), start=1)
    ]
    return [root, *extra]


def _claim(order: MachineOrder, index: int, size_gib: int, storage_class: str | None) -> Object:
    spec: Object = {
        "accessModes": ["ReadWriteMany"],
        "volumeMode": "Block",
        "resources": {"requests": {"storage": f"{size_gib}Gi"}},
    }
    if storage_class:
        spec["storageClassName"] = storage_class
    return {**_object(PERSISTENT_VOLUME_CLAIMS, order, claim_name(order.ref, index)), "spec": spec}


def build_virtual_machine(order: MachineOrder, claims: list[Object]) -> Object:
    """The VirtualMachine; it starts as soon as Harvester sees it."""
    guest_labels = _guest_labels(order)
    machine = _object(VIRTUAL_MACHINES, order, virtual_machine_name(order.ref), guest_labels)
    machine["metadata"]["annotations"] = _annotations(order, claims)
    machine["spec"] = {
        "runStrategy": "RerunOnFailure",
        "template": {
            "metadata": {
                "labels": {**machine["metadata"]["labels"], "harvesterhci.io/vmName": order.ref.name},
                "annotations": {
                    "harvesterhci.io/sshNames": _compact(_ssh_names(order)),
                    "harvesterhci.io/waitForLeaseInterfaceNames": "[]",
                },
            },
            "spec": {
                "evictionStrategy": "LiveMigrateIfPossible",
                "terminationGracePeriodSeconds": GRACE_SECONDS,
                "affinity": _affinity(order, guest_labels),
                "networks": [
                    {"name": f"nic-{index}", "multus": {"networkName": network}}
                    for index, network in enumerate(_networks(order))
                ],
                "volumes": _volumes(order, claims),
                "domain": _domain(order),
            },
        },
    }
    return machine


def _object(resource: Resource, order: MachineOrder, name: str, labels: dict[str, str] | None = None) -> Object:
    """Type and metadata of one object of the machine. The order's labels yield to ours."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": order.ref.location,
            "labels": {**order.labels, **(labels or {}), **owner_labels(order.ref)},
        },
    }


def _guest_labels(order: MachineOrder) -> dict[str, str]:
    """What Harvester's own node driver writes, so that its UI, load balancer and cloud provider know a guest node."""
    return {
        "harvesterhci.io/creator": CREATOR,
        MACHINE_SET: shorten_with_hash(f"{order.ref.location}-{order.cluster_name}-{order.pool_name}"),
        "guestcluster.harvesterhci.io/name": order.cluster_name,
        "nodepool.harvesterhci.io/name": order.pool_name,
    }


def _annotations(order: MachineOrder, claims: list[Object]) -> dict[str, str]:
    annotations = {
        CLAIM_TEMPLATES: _compact([_template_of(claim) for claim in claims]),
        "field.cattle.io/description": f"Node of guest cluster {order.cluster_name}, pool {order.pool_name}",
    }
    if "reserved_memory_mib" in order.settings:
        annotations[RESERVED_MEMORY] = f"{order.settings['reserved_memory_mib']}Mi"
    if order.static_addresses:
        annotations[STATIC_ADDRESSES] = _compact(list(order.static_addresses))
    if "ssh_user" in order.settings:
        annotations[SSH_USER] = order.settings["ssh_user"]
    return annotations


def _template_of(claim: Object) -> Object:
    """A claim as the annotation carries it: without namespace, with our labels for the case that Harvester creates
    it."""
    metadata = {key: value for key, value in claim["metadata"].items() if key != "namespace"}
    return {"metadata": metadata, "spec": claim["spec"]}


def _ssh_names(order: MachineOrder) -> list[str]:
    return [f"{order.ref.location}/{key_pair_name(order.ref)}"] if order.ssh_public_key else []


def _networks(order: MachineOrder) -> list[str]:
    return [order.settings["network"], *order.settings.get("extra_networks", [])]


def _affinity(order: MachineOrder, guest_labels: dict[str, str]) -> Object:
    """The ordered affinity, and the wish that machines of one pool run on different hosts.

    It is the only wish when none is ordered (weight 100), else the weakest (weight 1). The pool, and not every guest
    node as in Harvester's driver, because it is the pool's servers that must not fall together.
    """
    affinity: Object = json.loads(_compact(order.settings.get("affinity") or {}))
    wish = {
        "weight": 1 if affinity else 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": {MACHINE_SET: guest_labels[MACHINE_SET]}},
            "topologyKey": HOST_TOPOLOGY,
        },
    }
    apart = affinity.setdefault("podAntiAffinity", {})
    apart.setdefault("preferredDuringSchedulingIgnoredDuringExecution", []).append(wish)
    return affinity


def _volumes(order: MachineOrder, claims: list[Object]) -> list[Object]:
    volumes = [
        {"name": f"disk-{index}", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
        for index, claim in enumerate(claims)
    ]
    reference = {"name": secret_name(order.ref)}
    cloud_init = {"secretRef": reference}
    if order.network_data is not None:
        cloud_init["networkDataSecretRef"] = reference
    return [*volumes, {"name": "cloudinitdisk", "cloudInitNoCloud": cloud_init}]


def _domain(order: MachineOrder) -> Object:
    settings = order.settings
    memory_mib = settings["memory_gib"] * 1024
    cpu = {"cores": settings["cpu_count"], "sockets": 1, "threads": 1, "maxSockets": 1}
    if settings["cpu_model"]:
        cpu["model"] = settings["cpu_model"]
    if settings["cpu_pinning"]:
        cpu["dedicatedCpuPlacement"] = True
    if settings["isolate_emulator_thread"]:
        cpu["isolateEmulatorThread"] = True
    domain: Object = {
        "machine": {"type": ""},
        "cpu": cpu,
        "memory": {"guest": f"{memory_mib - settings.get('reserved_memory_mib', 0)}Mi"},
        "resources": {"limits": {"cpu": str(settings["cpu_count"]), "memory": f"{settings['memory_gib']}Gi"}},
        "features": {"acpi": {"enabled": True}},
        "devices": _devices(order),
    }
    if settings["firmware"] != "bios":
        secure = settings["firmware"] == "efi-secure-boot"
        domain["firmware"] = {"bootloader": {"efi": {"secureBoot": secure}}}
        domain["features"]["smm"] = {"enabled": secure}
    return domain


def _devices(order: MachineOrder) -> Object:
    settings = order.settings
    buses = [settings["disk_bus"], *(disk["bus"] for disk in settings.get("extra_disks", []))]
    disks: list[Object] = [{"name": f"disk-{index}", "disk": {"bus": bus}} for index, bus in enumerate(buses)]
    disks[0]["bootOrder"] = 1
    devices: Object = {
        "disks": [*disks, {"name": "cloudinitdisk", "disk": {"bus": "virtio"}}],
        "interfaces": [
            {"name": f"nic-{index}", "model": settings["network_model"], "bridge": {}}
            for index, _ in enumerate(_networks(order))
        ],
    }
    if settings["tpm"]:
        devices["tpm"] = {}
    if host_devices := settings.get("host_devices"):
        devices["hostDevices"] = [
            {"name": f"host-device-{index}", "deviceName": name} for index, name in enumerate(host_devices)
        ]
    return devices


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def build_owner_reference(machine: Object) -> Object:
    """A reference by which the garbage collector removes an object together with the virtual machine."""
    metadata = machine["metadata"]
    return {
        "apiVersion": VIRTUAL_MACHINES.api_version,
        "kind": VIRTUAL_MACHINES.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def build_use(machine: Object) -> Object:
    """A merge patch that marks a claim as a disk of this virtual machine."""
    return {"metadata": {"annotations": {USED_BY: machine["metadata"]["uid"]}}}


def used_by(claim: Object) -> str | None:
    """UID of the virtual machine whose disk the claim is or was; None for one that no machine has seen."""
    uid: str | None = (claim["metadata"].get("annotations") or {}).get(USED_BY)
    return uid
