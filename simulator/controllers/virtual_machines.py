"""VirtualMachine: carries out its run strategy, keeps its status, and cleans up behind it.

Plays KubeVirt's VirtualMachine controller and Harvester's beside it (contract harvester-vm §2.2, §3). The rules are
`run_strategy.py`'s; the life of the instance itself is `instances.py`'s.
"""

import asyncio
from typing import Any

from kube.aio import AsyncKubeClient
from kube.errors import AlreadyExists
from kube.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
)
from simulator.conditions import with_condition
from simulator.controllers.cache import ObjectCache
from simulator.controllers.claims import ensure_claims
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.power import LAST_STRATEGY
from simulator.controllers.quota import QuotaExceeded, check_quota
from simulator.controllers.run_strategy import (
    Step,
    effective_run_strategy,
    next_step,
    printable_status,
    remaining_requests,
)
from simulator.controllers.settings import SimulationSettings
from simulator.controllers.work_queue import Key

MACHINE_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"
INSTANCE_FINALIZER = "foregroundDeleteVirtualMachine"
REMOVED_CLAIMS = "harvesterhci.io/removedPersistentVolumeClaims"
QUOTA_MESSAGE = "harvesterhci.io/insufficient-resource-quota"
# Garbage collection in the foreground is finished once everything owned is proven gone, which is done here.
_FOREGROUND = "foregroundDeletion"
_SOON = 0.2


class VirtualMachineController:
    """One reconcile per VirtualMachine."""

    def __init__(self, client: AsyncKubeClient, cache: ObjectCache, settings: SimulationSettings) -> None:
        self._client = client
        self._cache = cache
        self._settings = settings
        self._writer = ObjectWriter(client)
        self._deleting_since: dict[str, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        vm = self._cache.find(VIRTUAL_MACHINES, key)
        if vm is None:
            return None
        instance = self._cache.find(VIRTUAL_MACHINE_INSTANCES, key)
        if instance is not None and not _owns(vm, instance):
            return _SOON  # of an earlier machine of this name; it is on its way out
        if vm["metadata"].get("deletionTimestamp"):
            return await self._finalize(vm, instance)
        if MACHINE_FINALIZER not in (vm["metadata"].get("finalizers") or []):
            await self._set_finalizers(vm, [*(vm["metadata"].get("finalizers") or []), MACHINE_FINALIZER])
            return None
        await ensure_claims(self._writer, vm)
        if await self._remember_strategy(vm):
            return None
        step = next_step(vm, instance)
        if step is Step.START and not await self._start(vm):
            return None
        # Before the instance goes: once it is gone, only the request written here tells that another is to follow.
        await self._write_status(vm, instance, step)
        if step in (Step.STOP, Step.RERUN) and instance is not None:
            await self._writer.delete(VIRTUAL_MACHINE_INSTANCES, instance)
        return None

    async def _remember_strategy(self, vm: Object) -> bool:
        strategy = effective_run_strategy(vm)
        annotations = vm["metadata"].get("annotations") or {}
        if strategy == "Halted" or annotations.get(LAST_STRATEGY) == strategy:
            return False
        await self._writer.patch(VIRTUAL_MACHINES, vm, {"metadata": {"annotations": {LAST_STRATEGY: strategy}}})
        return True

    async def _start(self, vm: Object) -> bool:
        """Makes the instance. False when the namespace's quota refuses it: the machine is then halted, and told why."""
        instance = build_instance(vm)
        try:
            await check_quota(self._client, instance, self._cache.list(VIRTUAL_MACHINE_INSTANCES))
        except QuotaExceeded as error:
            annotations = {QUOTA_MESSAGE: str(error)}
            change = {"metadata": {"annotations": annotations}, "spec": {"runStrategy": "Halted"}}
            await self._writer.patch(VIRTUAL_MACHINES, vm, change)
            return False
        if QUOTA_MESSAGE in (vm["metadata"].get("annotations") or {}):
            await self._writer.patch(VIRTUAL_MACHINES, vm, {"metadata": {"annotations": {QUOTA_MESSAGE: None}}})
            return False
        try:
            await self._writer.create(VIRTUAL_MACHINE_INSTANCES, instance)
        except AlreadyExists:
            return False  # the copy at hand is behind; the watch tells
        return True

    async def _write_status(self, vm: Object, instance: Object | None, step: Step) -> None:
        wanted = build_status(vm, instance, step)
        current = vm.get("status") or {}
        changed = {name: value for name, value in wanted.items() if current.get(name) != value}
        if not wanted["stateChangeRequests"]:
            changed.pop("stateChangeRequests", None)
            if current.get("stateChangeRequests"):
                changed["stateChangeRequests"] = None
        if changed:
            await self._writer.patch(VIRTUAL_MACHINES, vm, {"status": changed}, subresource="status", unchanged=True)

    async def _finalize(self, vm: Object, instance: Object | None) -> float | None:
        """Takes away what belongs to a deleted machine, in order, and lets it go when nothing is left."""
        uid = vm["metadata"]["uid"]
        now = asyncio.get_running_loop().time()
        since = self._deleting_since.setdefault(uid, now)
        await self._write_status(vm, instance, Step.NOTHING)
        if instance is not None:
            if not instance["metadata"].get("deletionTimestamp"):
                await self._writer.delete(VIRTUAL_MACHINE_INSTANCES, instance)
            return None
        if now - since < self._settings.faults.slow_delete:
            return min(_SOON, self._settings.faults.slow_delete)
        await self._delete_claims(vm)
        await self._delete_secrets(vm)
        finalizers = vm["metadata"].get("finalizers") or []
        await self._set_finalizers(vm, [name for name in finalizers if name not in (MACHINE_FINALIZER, _FOREGROUND)])
        self._deleting_since.pop(uid, None)
        return None

    async def _delete_claims(self, vm: Object) -> None:
        namespace = vm["metadata"]["namespace"]
        for name in _comma_list((vm["metadata"].get("annotations") or {}).get(REMOVED_CLAIMS, "")):
            claim = await self._writer.find(PERSISTENT_VOLUME_CLAIMS, name, namespace)
            if claim is not None:
                await self._writer.delete(PERSISTENT_VOLUME_CLAIMS, claim)

    async def _delete_secrets(self, vm: Object) -> None:
        """Secrets that the machine owns go with it, whether or not a garbage collector is there."""
        for secret in await self._writer.list(SECRETS, vm["metadata"]["namespace"]):
            if _owns(vm, secret):
                await self._writer.delete(SECRETS, secret)

    async def _set_finalizers(self, vm: Object, finalizers: list[str]) -> None:
        change = {"metadata": {"finalizers": finalizers or None}}
        await self._writer.patch(VIRTUAL_MACHINES, vm, change, unchanged=True)


def build_instance(vm: Object) -> Object:
    """The VirtualMachineInstance that starting this machine makes."""
    template = vm["spec"]["template"]
    metadata = template.get("metadata") or {}
    return {
        "metadata": {
            "name": vm["metadata"]["name"],
            "namespace": vm["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "finalizers": [INSTANCE_FINALIZER],
            "ownerReferences": [
                {
                    "apiVersion": VIRTUAL_MACHINES.api_version,
                    "kind": VIRTUAL_MACHINES.kind,
                    "name": vm["metadata"]["name"],
                    "uid": vm["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }


def build_status(vm: Object, instance: Object | None, step: Step) -> dict[str, Any]:
    """The machine's status as its instance and the step just taken have it."""
    generation = vm["metadata"].get("generation", 1)
    of_instance = (instance or {}).get("status", {}).get("conditions") or []
    conditions = (vm.get("status") or {}).get("conditions") or []
    conditions = [c for c in conditions if c["type"] == "Ready" or any(o["type"] == c["type"] for o in of_instance)]
    if instance is None:
        conditions = with_condition(conditions, "Ready", "False", "VMINotExists", "VMI does not exist")
    for condition in of_instance:
        conditions = with_condition(
            conditions,
            condition["type"],
            condition["status"],
            condition.get("reason", ""),
            condition.get("message", ""),
        )
    requests = remaining_requests(vm, instance)
    if step is Step.RERUN and instance is not None and effective_run_strategy(vm) != "Always":
        requests = [{"action": "Stop", "uid": instance["metadata"]["uid"]}, {"action": "Start"}]
    return {
        "printableStatus": printable_status(vm, instance),
        "created": instance is not None,
        "ready": any(c["type"] == "Ready" and c["status"] == "True" for c in of_instance),
        "runStrategy": effective_run_strategy(vm),
        "conditions": conditions,
        "stateChangeRequests": requests,
        "desiredGeneration": generation,
        "observedGeneration": generation,
    }


def _owns(vm: Object, obj: Object) -> bool:
    owners = obj["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == vm["metadata"]["uid"] for owner in owners)


def _comma_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
