"""What a VirtualMachine and its instance say about a machine, in the contract's words. Pure; two objects in, a view
out.

Reasons are Harvester's and KubeVirt's own (Unschedulable, ErrorPvcNotFound, ...) with their message. Two are ours,
because there they have none: InsufficientResourceQuota and NoAddress.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

from kube.resources import Object
from node_driver.harvester.builds import STATIC_ADDRESSES
from node_driver.harvester.ownership import is_deleting
from node_driver.types import MachinePhase, MachineRef, MachineView

OVER_QUOTA = "harvesterhci.io/insufficient-resource-quota"

_INSTANCE_PHASES = {
    "Pending": MachinePhase.STARTING,
    "Scheduling": MachinePhase.STARTING,
    "Scheduled": MachinePhase.STARTING,
    "WaitingForSync": MachinePhase.STARTING,
    "Running": MachinePhase.RUNNING,
    # The host stopped reporting; the guest may well run.
    "Unknown": MachinePhase.RUNNING,
    "Succeeded": MachinePhase.STOPPED,
}
# Of a virtual machine without an instance, where a printable status says more than "is being brought up".
_MACHINE_PHASES = {
    "": MachinePhase.PENDING,
    "Provisioning": MachinePhase.PENDING,
    "WaitingForVolumeBinding": MachinePhase.PENDING,
    "Stopped": MachinePhase.STOPPED,
    "Stopping": MachinePhase.STOPPING,
    "Terminating": MachinePhase.STOPPING,
}
# What holds a machine up, the telling conditions first.
_HOLD_UPS = (("Failure", "True"), ("PodScheduled", "False"), ("Synchronized", "False"), ("Paused", "True"))
_ORDINARY = frozenset({"", "Stopped", "Provisioning", "Starting", "Running", "Stopping", "Terminating", "Migrating"})


@dataclass(frozen=True, slots=True)
class _State:
    phase: MachinePhase
    reason: str | None = None
    message: str | None = None


def view_of(ref: MachineRef, machine: Object, instance: Object | None) -> MachineView:
    """machine: the VirtualMachine. instance: its VirtualMachineInstance, None when there is none."""
    state = _state(machine, instance)
    addresses: tuple[str, ...] = ()
    if state.phase is MachinePhase.RUNNING:
        addresses = tuple(_reported_addresses(machine, instance)) or _static_addresses(machine)
        if not addresses and state.reason is None:
            state = _State(state.phase, "NoAddress", _no_address_message(machine))
    return MachineView(
        ref=ref,
        external_id=machine["metadata"]["uid"],
        phase=state.phase,
        addresses=addresses,
        reason=state.reason,
        message=state.message,
        created_at=datetime.fromisoformat(machine["metadata"]["creationTimestamp"]),
    )


def view_of_parts(ref: MachineRef, parts: Iterable[str]) -> MachineView:
    """A machine of which there is no VirtualMachine: creation or deletion was cut short."""
    message = f"there is no virtual machine, only {', '.join(parts)}"
    return MachineView(ref, "", MachinePhase.PENDING, (), "Incomplete", message, None)


def is_over(instance: Object | None) -> bool:
    """Whether nothing runs any more: no instance, or one that has ended."""
    return instance is None or _status(instance).get("phase") in ("Succeeded", "Failed")


def _state(machine: Object, instance: Object | None) -> _State:
    if is_deleting(machine):
        return _State(MachinePhase.DELETING)
    over_quota = (machine["metadata"].get("annotations") or {}).get(OVER_QUOTA)
    if over_quota and is_over(instance):
        return _State(MachinePhase.FAILED, "InsufficientResourceQuota", over_quota)
    phase = _phase(machine, instance)
    if phase in (MachinePhase.STOPPED, MachinePhase.STOPPING):
        return _State(phase)
    return _State(phase, *_hold_up(machine, instance))


def _phase(machine: Object, instance: Object | None) -> MachinePhase:
    printable = _status(machine).get("printableStatus") or ""
    if instance is None:
        return _MACHINE_PHASES.get(printable, MachinePhase.STARTING)
    if is_deleting(instance):
        return MachinePhase.STOPPING
    phase = _status(instance).get("phase") or "Pending"
    if phase == "Failed":
        # RerunOnFailure: KubeVirt makes another instance, with growing pauses. Otherwise it stays down.
        rerun = machine["spec"].get("runStrategy") in ("RerunOnFailure", "Always")
        return MachinePhase.STARTING if rerun else MachinePhase.FAILED
    return _INSTANCE_PHASES.get(phase, MachinePhase.STARTING)


def _hold_up(machine: Object, instance: Object | None) -> tuple[str | None, str | None]:
    """Reason and message of what keeps the machine from running, in the infrastructure's own words."""
    conditions = [*_conditions(instance), *_conditions(machine)]
    for kind, status in _HOLD_UPS:
        for condition in conditions:
            if condition.get("type") == kind and condition.get("status") == status:
                return condition.get("reason") or kind, condition.get("message") or None
    printable = _status(machine).get("printableStatus") or ""
    phase = _status(instance).get("phase") if instance else None
    if printable not in _ORDINARY:
        return printable, _ready_message(conditions)
    if phase in ("Failed", "Unknown"):
        return phase, _status(instance).get("reason") or _ready_message(conditions)
    return None, None


def _ready_message(conditions: Iterable[Object]) -> str | None:
    for condition in conditions:
        if condition.get("type") == "Ready" and condition.get("message"):
            return str(condition["message"])
    return None


def _reported_addresses(machine: Object, instance: Object | None) -> Iterator[str]:
    """Usable addresses on the machine's own network cards, in the cards' order; of one card IPv4 first.

    The guest agent also reports the guest's inner bridges (the pod network's); those have no card's name.
    """
    by_card: dict[str, list[Object]] = {}
    for interface in _status(instance).get("interfaces") or []:
        by_card.setdefault(interface.get("name") or "", []).append(interface)
    for network in machine["spec"]["template"]["spec"].get("networks") or []:
        reported = [
            text
            for interface in by_card.get(network["name"], [])
            for text in (interface.get("ipAddress"), *(interface.get("ipAddresses") or []))
        ]
        addresses = sorted(dict.fromkeys(_usable(reported)), key=lambda address: address.version)
        yield from map(str, addresses)


def _usable(texts: Iterable[str | None]) -> Iterator[IPv4Address | IPv6Address]:
    for text in texts:
        try:
            address = ip_address((text or "").split("/")[0])
        except ValueError:
            continue
        # Loopback passes: on a card of the machine's own it is what the simulator gives, and in life nothing.
        if not (address.is_link_local or address.is_multicast or address.is_unspecified):
            yield address


def _static_addresses(machine: Object) -> tuple[str, ...]:
    written = (machine["metadata"].get("annotations") or {}).get(STATIC_ADDRESSES)
    try:
        return tuple(str(ip_address(text)) for text in json.loads(written)) if written else ()
    except (ValueError, TypeError):
        return ()


def _no_address_message(machine: Object) -> str:
    networks = machine["spec"]["template"]["spec"].get("networks") or []
    attached = ", ".join(network.get("multus", {}).get("networkName", "the pod network") for network in networks)
    return f"the guest agent reports no address on {attached}: is qemu-guest-agent running, does DHCP answer there?"


def _status(obj: Object | None) -> Object:
    return (obj or {}).get("status") or {}


def _conditions(obj: Object | None) -> list[Object]:
    return _status(obj).get("conditions") or []
