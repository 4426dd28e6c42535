"""Amounts of what clusters have to give, and arithmetic with them. Pure: numbers in, numbers out.

An amount is a whole number in its resource's unit: cores, MiB, GiB or pieces. Nothing here knows tenants or rows.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kube.quantity import parse_quantity

Amounts = Mapping[str, int]
"""How much of each resource; a resource that is not named is 0, or without limit where limits are meant."""

_MIB = 2**20
_GIB = 2**30

# Each resource with the size of its unit, for those that may be written as a quantity ("64Gi"); None counts pieces.
RESOURCES: Mapping[str, int | None] = MappingProxyType(
    {"cpu": 1, "memory": _MIB, "storage": _GIB, "claims": None, "vms": None, "load_balancers": None}
)
UNITS: Mapping[str, str] = MappingProxyType(
    {"cpu": "cores", "memory": "MiB", "storage": "GiB", "claims": "", "vms": "", "load_balancers": ""}
)
LARGEST = 10**12

# KubeVirt's estimate of what runs beside a guest (GetMemoryOverhead in pkg/hypervisor/kvm, releases 1.7 and 1.8), in MiB:
# monitor 25, launcher 100, virtlogd 25, virtqemud 40, qemu 30, one I/O thread 8, video memory 32.
_FIXED_MIB = 25 + 100 + 25 + 40 + 30 + 8 + 32
_PER_CPU_MIB = 8
_PAGE_TABLE_SHARE = 512
_TPM_MIB = 53
_DEDICATED_CPUS_MIB = 100
_PASSED_THROUGH_MIB = 1024
# Harvester multiplies the estimate: setting additional-guest-memory-overhead-ratio as shipped, 1.5.
_RATIO = (3, 2)


def read_amount(resource: str, value: object) -> int:
    """An amount as people write it: a whole number in the resource's unit, or a Kubernetes quantity ("64Gi", "16").

    Raises ValueError for an unknown resource, and for what is no whole, sensible number of its unit.
    """
    if resource not in RESOURCES:
        raise ValueError(f"there is no resource {resource[:40]!r}; there are {', '.join(RESOURCES)}")
    size = RESOURCES[resource]
    if isinstance(value, int) and not isinstance(value, bool):
        amount = value
    elif isinstance(value, str) and size is not None:
        exact = parse_quantity(value) / size
        amount = int(exact)
        if amount != exact:
            raise ValueError(f"{value[:40]!r} is no whole number of {UNITS[resource]}")
    else:
        raise ValueError("an amount is a whole number" + (" or a quantity" if size is not None else ""))
    if not 0 <= amount <= LARGEST:
        raise ValueError(f"an amount is between 0 and {LARGEST}")
    return amount


def add(parts: Iterable[Amounts]) -> dict[str, int]:
    """The sum of all parts, every resource named."""
    total = dict.fromkeys(RESOURCES, 0)
    for part in parts:
        for resource, amount in part.items():
            total[resource] += amount
    return total


def times(count: int, amounts: Amounts) -> dict[str, int]:
    """``count`` of the same."""
    return {resource: count * amount for resource, amount in amounts.items()}


def growth(before: Amounts, after: Amounts) -> dict[str, int]:
    """What is more in ``after``; what is less or the same is left out."""
    grown = {resource: amount - before.get(resource, 0) for resource, amount in after.items()}
    return {resource: amount for resource, amount in grown.items() if amount > 0}


def lesser(one: Amounts, other: Amounts) -> dict[str, int]:
    """Of each resource the smaller amount."""
    return {resource: min(amount, other.get(resource, 0)) for resource, amount in one.items()}


def room(used: Amounts, limits: Amounts) -> dict[str, int]:
    """What is left of each limit; 0 where more is used than it allows."""
    return {resource: max(0, limit - used.get(resource, 0)) for resource, limit in limits.items()}


def overrun(used: Amounts, limits: Amounts) -> dict[str, int]:
    """By how much each limit is exceeded; limits that hold are left out."""
    return growth(limits, {resource: used.get(resource, 0) for resource in limits})


def virtual_machine_memory(
    *, memory_mib: int, cpu_count: int, tpm: bool = False, dedicated_cpus: bool = False, host_devices: bool = False
) -> int:
    """The MiB that a VM takes of a quota on Harvester: its memory limit, and what KubeVirt reserves beside it (TEN10).

    Page tables are counted for the whole limit, as without overcommitment, so that a VM never takes more on the cluster
    than was reserved for it here.
    """
    overhead = _FIXED_MIB + _PER_CPU_MIB * cpu_count
    overhead += _TPM_MIB * tpm + _DEDICATED_CPUS_MIB * dedicated_cpus + _PASSED_THROUGH_MIB * host_devices
    numerator, denominator = _RATIO
    scaled = (overhead * _PAGE_TABLE_SHARE + memory_mib) * numerator
    return memory_mib - (-scaled // (_PAGE_TABLE_SHARE * denominator))
