"""What guest clusters take of their tenants' allowances: the amounts of machines, and the names that they use.

Settings are read by the names that all of the project's drivers give them; what a driver does not have counts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from hub.allowances import ledger
from hub.allowances.amounts import Amounts, add, times, virtual_machine_memory
from hub.allowances.grants import Named
from hub.allowances.models import GrantKind

from .models import GuestCluster, NodePool

OBJECT_KIND = GuestCluster.object_kind
MIB_PER_GIB = 1024


def machine_amounts(settings: Mapping[str, Any]) -> dict[str, int]:
    """What one machine with these settings, defaults filled in, takes on its infrastructure."""
    disks = settings.get("extra_disks", [])
    memory = virtual_machine_memory(
        memory_mib=settings["memory_gib"] * MIB_PER_GIB,
        cpu_count=settings["cpu_count"],
        tpm=settings.get("tpm", False),
        dedicated_cpus=settings.get("cpu_pinning", False),
        host_devices=bool(settings.get("host_devices")),
    )
    return {
        "cpu": settings["cpu_count"] + settings.get("isolate_emulator_thread", False),
        "memory": memory,
        "storage": settings["disk_gib"] + sum(disk["size_gib"] for disk in disks),
        "claims": 1 + len(disks),
        "vms": 1,
    }


def names_used(settings: Mapping[str, Any], pointer: str) -> Iterator[Named]:
    """What the settings name on the cluster, with the place of each; ``pointer`` is that of the settings themselves.

    The class that an image brings for the root disk, and the cluster's default class, are named by nobody and need no
    grant of their own.
    """
    yield Named(GrantKind.IMAGE, settings["image"], f"{pointer}/image")
    yield Named(GrantKind.NETWORK, settings["network"], f"{pointer}/network")
    for index, network in enumerate(settings.get("extra_networks", [])):
        yield Named(GrantKind.NETWORK, network, f"{pointer}/extra_networks/{index}")
    if settings.get("storage_class"):
        yield Named(GrantKind.STORAGE_CLASS, settings["storage_class"], f"{pointer}/storage_class")
    for index, disk in enumerate(settings.get("extra_disks", [])):
        if disk.get("storage_class"):
            yield Named(GrantKind.STORAGE_CLASS, disk["storage_class"], f"{pointer}/extra_disks/{index}/storage_class")


def order_amounts(pools: Sequence[NodePool]) -> dict[str, int]:
    """What an order of these pools takes."""
    return add(times(pool.count, machine_amounts(pool.settings)) for pool in pools)


def guest_amounts(guest_id: UUID) -> Amounts:
    """What a guest cluster takes now: every machine that it should have, and every one that is not proven gone yet.

    Machines on their way out count beside those that are wanted. Once the cluster is being deleted only what is left counts.
    """
    deleting = GuestCluster.objects.filter(pk=guest_id, deletion_requested_at__isnull=False).exists()
    pools = NodePool.objects.filter(guest_id=guest_id).annotate(
        staying=Count("machines", filter=Q(machines__deletion_requested_at=None)),
        leaving=Count("machines", filter=Q(machines__deletion_requested_at__isnull=False)),
    )
    counted = pools.values_list("settings", "count", "staying", "leaving")
    return add(
        times(leaving + (staying if deleting else max(wanted, staying)), machine_amounts(settings))
        for settings, wanted, staying, leaving in counted
    )


def reserve_guest(guest: GuestCluster, amounts: Amounts) -> None:
    """Has the guest take ``amounts`` in all. Raises ``ledger.QuotaExceeded``."""
    ledger.reserve(guest.project, guest.infrastructure, OBJECT_KIND, guest.pk, amounts)


def settle_guest(guest_id: UUID) -> None:
    """Gives back what the guest takes no more. For reconcilers, in the transaction that says what has changed."""
    ledger.lower(OBJECT_KIND, guest_id, lambda: guest_amounts(guest_id))


def release_guest(guest_id: UUID) -> None:
    """The guest is gone for certain."""
    ledger.release(OBJECT_KIND, guest_id)
