"""VirtualMachineInstance: from Pending over a node to Running, with addresses, and down again.

Plays KubeVirt's instance controller and its handler on the node (contract harvester-vm §3). The kind has no status
subresource: status is written through the object. What happens inside the machine is `simulator.guests`' part.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kube.resources import (
    NETWORK_ATTACHMENT_DEFINITIONS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    VIRTUAL_MACHINE_INSTANCES,
    Object,
)
from simulator.clock import timestamp
from simulator.conditions import with_condition, without_condition
from simulator.controllers.boot_order import BootMaterialMissing, read_boot_order
from simulator.controllers.cache import ObjectCache
from simulator.controllers.instance_status import agent_facts, build_interfaces
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.run_strategy import is_final, phase_of
from simulator.controllers.scheduling import Unschedulable, choose_node
from simulator.controllers.settings import SimulationSettings
from simulator.controllers.virtual_machines import INSTANCE_FINALIZER
from simulator.controllers.work_queue import Key
from simulator.guests.machines import GuestMachines

_LOOK_AGAIN = 0.5
_NODE_LABEL = "kubevirt.io/nodeName"

Conditions = list[dict[str, Any]]


class InstanceController:
    """One reconcile per instance; each phase has its own function."""

    def __init__(
        self, writer: ObjectWriter, cache: ObjectCache, guests: GuestMachines, settings: SimulationSettings
    ) -> None:
        self._writer = writer
        self._cache = cache
        self._guests = guests
        self._settings = settings
        self._since: dict[tuple[str, str], float] = {}
        self._reserved: dict[str, str] = {}
        self._phases: Mapping[str, Callable[[Object], Awaitable[float | None]]] = {
            "": self._pending,
            "Pending": self._pending,
            "Scheduling": self._scheduling,
            "Scheduled": self._scheduled,
            "Running": self._running,
        }

    async def reconcile(self, key: Key) -> float | None:
        instance = self._cache.find(VIRTUAL_MACHINE_INSTANCES, key)
        if instance is None:
            await self._guests.halt(*key)
            return None
        if instance["metadata"].get("deletionTimestamp"):
            return await self._shut_down(instance)
        if is_final(instance):
            await self._guests.halt(*key)
            return None
        return await self._phases[phase_of(instance)](instance)

    async def _pending(self, instance: Object) -> float | None:
        obstacle = self._missing_claim(instance) or self._missing_network(instance)
        if obstacle:
            reason, message = obstacle
            conditions = with_condition(_conditions(instance), "Synchronized", "False", reason, message)
            await self._write(instance, {"conditions": _not_ready(conditions, "PodNotExists", message)})
            return _LOOK_AGAIN
        conditions = without_condition(_conditions(instance), "Synchronized")
        await self._enter(instance, "Scheduling", _not_ready(conditions, "GuestNotRunning", "Guest VM is not running"))
        return None

    def _missing_claim(self, instance: Object) -> tuple[str, str] | None:
        namespace = instance["metadata"]["namespace"]
        for name in _claim_names(instance):
            if self._cache.find(PERSISTENT_VOLUME_CLAIMS, (namespace, name)) is None:
                return "FailedPvcNotFound", f"PVC {namespace}/{name} does not exist, waiting for it to appear"
        return None

    def _missing_network(self, instance: Object) -> tuple[str, str] | None:
        for network in instance["spec"].get("networks") or []:
            name = (network.get("multus") or {}).get("networkName")
            if not name:
                continue
            namespace, _, short = name.rpartition("/")
            key = (namespace or instance["metadata"]["namespace"], short)
            if self._cache.find(NETWORK_ATTACHMENT_DEFINITIONS, key) is None:
                return (
                    "FailedCreate",
                    f"failed to render launch manifest: network-attachment-definition {'/'.join(key)} not found",
                )
        return None

    async def _scheduling(self, instance: Object) -> float | None:
        waited = self._elapsed(instance, "Scheduling")
        if waited < self._settings.scheduling_delay:
            return self._settings.scheduling_delay - waited
        try:
            node = self._place(instance)
            await read_boot_order(self._writer, instance, self._disk_id(instance))
        except Unschedulable as error:
            conditions = with_condition(_conditions(instance), "PodScheduled", "False", "Unschedulable", str(error))
            await self._write(instance, {"conditions": conditions})
            return _LOOK_AGAIN
        except BootMaterialMissing as error:
            conditions = without_condition(_conditions(instance), "PodScheduled")
            await self._write(instance, {"conditions": _not_ready(conditions, "GuestNotRunning", str(error))})
            return _LOOK_AGAIN
        conditions = without_condition(_conditions(instance), "PodScheduled")
        await self._enter(instance, "Scheduled", conditions, nodeName=node)
        return None

    def _place(self, instance: Object) -> str:
        """A node for the instance, kept for it until it is gone. Raises Unschedulable."""
        uid = instance["metadata"]["uid"]
        if self._settings.faults.never_schedule:
            count = len(self._cache.list(NODES))
            raise Unschedulable(f"0/{count} nodes are available: {count} node(s) were unschedulable.")
        for name in _claim_names(instance):
            claim = self._cache.find(PERSISTENT_VOLUME_CLAIMS, (instance["metadata"]["namespace"], name))
            if claim is None or claim.get("status", {}).get("phase") != "Bound":
                count = len(self._cache.list(NODES))
                raise Unschedulable(f"0/{count} nodes are available: pod has unbound immediate PersistentVolumeClaims.")
        if uid not in self._reserved:
            # Copies may be behind: what was placed a moment ago counts already.
            others = [self._with_reservation(other) for other in self._cache.list(VIRTUAL_MACHINE_INSTANCES)]
            self._reserved[uid] = choose_node(instance, self._cache.list(NODES), others)
        return self._reserved[uid]

    def _with_reservation(self, instance: Object) -> Object:
        node = self._reserved.get(instance["metadata"]["uid"])
        status = instance.get("status", {})
        return {**instance, "status": {**status, "nodeName": node}} if node and not status.get("nodeName") else instance

    async def _scheduled(self, instance: Object) -> float | None:
        waited = self._elapsed(instance, "Scheduled")
        if waited < self._settings.launch_delay:
            return self._settings.launch_delay - waited
        await self._boot(instance)
        conditions = with_condition(_conditions(instance), "Ready", "True")
        conditions = with_condition(conditions, "LiveMigratable", "True")
        await self._enter(instance, "Running", conditions, interfaces=build_interfaces(instance, None))
        return None

    async def _boot(self, instance: Object) -> None:
        metadata = instance["metadata"]
        if self._guests.find(metadata["namespace"], metadata["name"]) is None:
            self._guests.boot(await read_boot_order(self._writer, instance, self._disk_id(instance)))

    async def _running(self, instance: Object) -> float | None:
        """Follows what the guest agent tells. After a restart of the simulator the machine is powered on again."""
        metadata = instance["metadata"]
        self._reserved.setdefault(metadata["uid"], instance["status"].get("nodeName", ""))
        try:
            await self._boot(instance)
        except BootMaterialMissing:
            return _LOOK_AGAIN
        machine = self._guests.find(metadata["namespace"], metadata["name"])
        if machine is None or self._settings.faults.no_address:
            return _LOOK_AGAIN
        status = instance.get("status") or {}
        wanted: dict[str, Any] = {"interfaces": build_interfaces(instance, machine)}
        if machine.guest_agent:
            wanted |= {"guestOSInfo": agent_facts(), "conditions": _conditions(instance)}
            wanted["conditions"] = with_condition(wanted["conditions"], "AgentConnected", "True")
        if any(status.get(name) != value for name, value in wanted.items()):
            await self._write(instance, wanted)
        return None

    async def _shut_down(self, instance: Object) -> float | None:
        metadata = instance["metadata"]
        if self._guests.find(metadata["namespace"], metadata["name"]) is not None:
            waited = self._elapsed(instance, "shutting down")
            if waited < self._settings.shutdown_delay:
                return self._settings.shutdown_delay - waited
            await self._guests.halt(metadata["namespace"], metadata["name"])
        finalizers = metadata.get("finalizers") or []
        if INSTANCE_FINALIZER not in finalizers:
            return None
        uid = metadata["uid"]
        self._reserved.pop(uid, None)
        self._since = {key: since for key, since in self._since.items() if key[0] != uid}
        phase = phase_of(instance) if is_final(instance) else "Succeeded"
        change = {
            "metadata": {"finalizers": [name for name in finalizers if name != INSTANCE_FINALIZER] or None},
            "status": {"phase": phase, "conditions": _not_ready(_conditions(instance), "GuestNotRunning", "")},
        }
        await self._writer.patch(VIRTUAL_MACHINE_INSTANCES, instance, change, unchanged=True)
        return None

    async def _enter(self, instance: Object, phase: str, conditions: Conditions, **status: Any) -> None:
        transitions = instance.get("status", {}).get("phaseTransitionTimestamps") or []
        moved = {"phase": phase, "phaseTransitionTimestamp": timestamp()}
        change = {
            "phase": phase,
            "conditions": conditions,
            "phaseTransitionTimestamps": [*transitions, moved],
            **status,
        }
        await self._write(instance, change)

    async def _write(self, instance: Object, status: dict[str, Any]) -> None:
        current = instance.get("status") or {}
        if all(current.get(name) == value for name, value in status.items()):
            return
        change: dict[str, Any] = {"status": status}
        if "nodeName" in status:
            change["metadata"] = {"labels": {_NODE_LABEL: status["nodeName"]}}
        await self._writer.patch(VIRTUAL_MACHINE_INSTANCES, instance, change, unchanged=True)

    def _elapsed(self, instance: Object, stage: str) -> float:
        """Seconds since this stage of this instance was first seen."""
        now = asyncio.get_running_loop().time()
        return now - self._since.setdefault((instance["metadata"]["uid"], stage), now)

    def _disk_id(self, instance: Object) -> str:
        """What the machine's state is kept by: its first claim, so that a disk lives as long as its claim does."""
        namespace = instance["metadata"]["namespace"]
        for name in _claim_names(instance):
            claim = self._cache.find(PERSISTENT_VOLUME_CLAIMS, (namespace, name))
            if claim is not None:
                return str(claim["metadata"]["uid"])
        return str(instance["metadata"]["uid"])


def _conditions(instance: Object) -> Conditions:
    conditions: Conditions = instance.get("status", {}).get("conditions") or []
    return conditions


def _not_ready(conditions: Conditions, reason: str, message: str) -> Conditions:
    return with_condition(conditions, "Ready", "False", reason, message)


def _claim_names(instance: Object) -> list[str]:
    """The claims of the instance's volumes, boot order first."""
    disks = instance["spec"].get("domain", {}).get("devices", {}).get("disks") or []
    order = {disk["name"]: disk.get("bootOrder") or len(disks) + 1 for disk in disks}
    volumes = [v for v in instance["spec"].get("volumes") or [] if "persistentVolumeClaim" in v]
    volumes.sort(key=lambda volume: order.get(volume["name"], len(disks) + 1))
    return [volume["persistentVolumeClaim"]["claimName"] for volume in volumes]
