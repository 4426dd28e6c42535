"""Settings of the harvester driver: what a machine of a pool looks like.

They follow the flags of Harvester's own node driver (contract node-driver §1), with a legacy form left out, numbers as
numbers, and combinations that cannot work made impossible or found by `contradictions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node_driver.settings import Setting, SettingsSchema
from node_driver.types import Problem

_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_NAMESPACED_NAME = rf"{_NAME}/{_NAME}"
_NAMESPACED_LIMIT = 63 + 1 + 253
_SMALLEST_GUEST_MIB = 10

DISK_BUSES = ("virtio", "sata", "scsi")
NETWORK_MODELS = ("virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139")
FIRMWARES = ("bios", "efi", "efi-secure-boot")


def _disk_bus(name: str) -> Setting:
    return Setting(name=name, type="string", title="Disk bus", default="virtio", enum=DISK_BUSES)


def _network(name: str, title: str, *, required: bool = False) -> Setting:
    return Setting(
        name=name,
        type="string",
        title=title,
        description="NetworkAttachmentDefinition as namespace/name",
        required=required,
        pattern=_NAMESPACED_NAME,
        maximum=_NAMESPACED_LIMIT,
    )


def _storage_class(description: str) -> Setting:
    return Setting(
        name="storage_class",
        type="string",
        title="Storage class",
        description=description,
        pattern=_NAME,
        maximum=253,
    )


SETTINGS = SettingsSchema(
    Setting(name="cpu_count", type="integer", title="CPU cores", default=2, minimum=1, maximum=512),
    Setting(
        name="cpu_model",
        type="string",
        title="CPU model",
        description="As KubeVirt names it; empty for the cluster's default",
        default="",
        pattern=r"[-A-Za-z0-9_.]*",
        maximum=63,
    ),
    Setting(
        name="cpu_pinning",
        type="boolean",
        title="Dedicated CPUs",
        description="Needs hosts with the CPU manager enabled",
        default=False,
    ),
    Setting(
        name="isolate_emulator_thread",
        type="boolean",
        title="Isolate the emulator thread",
        description="One more dedicated CPU for the emulator; only with dedicated CPUs",
        default=False,
    ),
    Setting(name="memory_gib", type="integer", title="Memory (GiB)", default=4, minimum=1, maximum=24576),
    Setting(
        name="reserved_memory_mib",
        type="integer",
        title="Reserved memory (MiB)",
        description="Part of the memory that the guest does not get, kept for the emulator",
        minimum=1,
    ),
    Setting(
        name="disk_gib",
        type="integer",
        title="Disk (GiB)",
        description="At least the image's virtual size",
        default=40,
        minimum=1,
        maximum=65536,
    ),
    _disk_bus("disk_bus"),
    Setting(
        name="image",
        type="string",
        title="Image",
        description="VirtualMachineImage as namespace/name; it decides the root disk's storage class. A cloud image "
        "with cloud-init; qemu-guest-agent in it, or installed by the user data, unless addresses are static",
        required=True,
        pattern=_NAMESPACED_NAME,
        maximum=_NAMESPACED_LIMIT,
    ),
    _network("network", "Network", required=True),
    Setting(
        name="extra_networks",
        type="array",
        title="Further networks",
        items=_network("extra_network", "Network"),
        maximum=16,
    ),
    Setting(name="network_model", type="string", title="Network card", default="virtio", enum=NETWORK_MODELS),
    _storage_class("For further disks that name none; empty for the cluster's default"),
    Setting(
        name="extra_disks",
        type="array",
        title="Further disks",
        description="Blank disks, in this order behind the root disk; removed with the machine",
        maximum=16,
        items=Setting(
            name="extra_disk",
            type="object",
            title="Disk",
            members=SettingsSchema(
                Setting(name="size_gib", type="integer", title="Size (GiB)", required=True, minimum=1, maximum=65536),
                _storage_class("Empty for the pool's"),
                _disk_bus("bus"),
            ),
        ),
    ),
    Setting(name="firmware", type="string", title="Firmware", default="bios", enum=FIRMWARES),
    Setting(name="tpm", type="boolean", title="TPM", default=False),
    Setting(
        name="host_devices",
        type="array",
        title="Host devices",
        description="Device resource names such as nvidia.com/GRID_A100-4C, for PCI devices and vGPUs",
        items=Setting(
            name="host_device",
            type="string",
            title="Device",
            pattern=rf"{_NAME}/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
            maximum=_NAMESPACED_LIMIT,
        ),
        maximum=16,
    ),
    Setting(
        name="affinity",
        type="object",
        title="Affinity",
        description="A Kubernetes core/v1 Affinity. Empty spreads the machines of a pool over the hosts",
    ),
    Setting(
        name="ssh_user",
        type="string",
        title="SSH user",
        description="Login user of the image; kept with the machine to be shown, used for nothing else",
        pattern=r"[a-z_][-a-z0-9_]*",
        maximum=32,
    ),
)


def contradictions(settings: Mapping[str, Any]) -> list[Problem]:
    """What is wrong between settings that are each valid."""
    problems = []
    if settings["isolate_emulator_thread"] and not settings["cpu_pinning"]:
        problems.append(Problem("/isolate_emulator_thread", "needs_cpu_pinning", "needs dedicated CPUs"))
    guest_mib = settings["memory_gib"] * 1024 - settings.get("reserved_memory_mib", 0)
    if guest_mib < _SMALLEST_GUEST_MIB:
        message = f"leaves the guest less than {_SMALLEST_GUEST_MIB} MiB of memory"
        problems.append(Problem("/reserved_memory_mib", "too_much", message))
    return problems
