"""PersistentVolumeClaim: gets a volume and becomes Bound, and the volume goes with it.

Plays Longhorn's provisioner and, where no kube-controller-manager runs, the binding controller too: with both at work
each finds the other's writes and leaves them (contract harvester-vm §2.2, README "What a bare kube-apiserver does not
give").
"""

import asyncio
from contextlib import suppress
from typing import Any

from kube.errors import Conflict, NotFound
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, Object
from simulator.controllers.cache import ObjectCache
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.settings import SimulationSettings
from simulator.controllers.work_queue import Key
from simulator.guests.machines import GuestMachines

PROVISIONER = "driver.longhorn.io"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_PROTECTION = "kubernetes.io/pv-protection"
_BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
_LOOK_AGAIN = 1.0


class VolumeController:
    """One reconcile per claim."""

    def __init__(
        self, writer: ObjectWriter, cache: ObjectCache, guests: GuestMachines, settings: SimulationSettings
    ) -> None:
        self._writer = writer
        self._cache = cache
        self._guests = guests
        self._settings = settings
        self._uids: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> float | None:
        claim = self._cache.find(PERSISTENT_VOLUME_CLAIMS, key)
        if claim is None:
            await self._release(key)
            return None
        if self._uids.setdefault(key, claim["metadata"]["uid"]) != claim["metadata"]["uid"]:
            await self._release(key)  # deleted and made anew while nobody looked
            self._uids[key] = claim["metadata"]["uid"]
        if claim["metadata"].get("deletionTimestamp"):
            return None
        if _is_bound(claim):
            await self._resize(claim)
            return None
        storage_class = self._class_of(claim)
        if storage_class is None or storage_class.get("provisioner") != PROVISIONER:
            return _LOOK_AGAIN
        await asyncio.sleep(self._settings.volume_delay)
        await self._bind(claim, storage_class)
        return None

    def _class_of(self, claim: Object) -> Object | None:
        name = claim["spec"].get("storageClassName")
        if name is not None:
            return self._cache.find(STORAGE_CLASSES, ("", name))
        for candidate in self._cache.list(STORAGE_CLASSES):
            if (candidate["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true":
                return candidate
        return None

    async def _bind(self, claim: Object, storage_class: Object) -> None:
        await self._writer.ensure(PERSISTENT_VOLUMES, build_volume(claim, storage_class))
        bound = {
            "metadata": {"annotations": {_BIND_COMPLETED: "yes"}},
            "spec": {"volumeName": volume_name(claim), "storageClassName": storage_class["metadata"]["name"]},
        }
        try:
            claim = await self._writer.patch(PERSISTENT_VOLUME_CLAIMS, claim, bound, unchanged=True)
            status = {"phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": _requests(claim)}
            await self._writer.patch(PERSISTENT_VOLUME_CLAIMS, claim, {"status": status}, subresource="status")
            volume = await self._writer.get(PERSISTENT_VOLUMES, volume_name(claim))
            if volume.get("status", {}).get("phase") != "Bound":
                await self._writer.patch(
                    PERSISTENT_VOLUMES, volume, {"status": {"phase": "Bound"}}, subresource="status"
                )
        except (Conflict, NotFound):
            # The cluster's own controller is binding it, or the claim is gone: the watch tells.
            return

    async def _resize(self, claim: Object) -> None:
        requests, status = _requests(claim), claim.get("status", {})
        if status.get("capacity") != requests and requests:
            change = {"status": {"capacity": requests}}
            await self._writer.patch(PERSISTENT_VOLUME_CLAIMS, claim, change, subresource="status")

    async def _release(self, key: Key) -> None:
        """Deletes the volume of a claim that is gone (reclaim policy Delete), and what was on it."""
        uid = self._uids.pop(key, None)
        if uid is None:
            return
        await self._guests.discard_disk(uid)
        volume = await self._writer.find(PERSISTENT_VOLUMES, f"pvc-{uid}")
        if volume is None:
            return
        # A Bound volume would be protected for ever.
        volume = await self._writer.patch(
            PERSISTENT_VOLUMES, volume, {"status": {"phase": "Released"}}, subresource="status"
        )
        await self._writer.delete(PERSISTENT_VOLUMES, volume)
        await self._drop_protection(f"pvc-{uid}")

    async def _drop_protection(self, name: str) -> None:
        """Lets a deleted volume go: the controller that does so may not run."""
        volume = await self._writer.find(PERSISTENT_VOLUMES, name)
        finalizers = (volume or {"metadata": {}})["metadata"].get("finalizers") or []
        if volume is not None and _PROTECTION in finalizers:
            rest = [other for other in finalizers if other != _PROTECTION]
            with suppress(NotFound):
                await self._writer.patch(PERSISTENT_VOLUMES, volume, {"metadata": {"finalizers": rest or None}})


def volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def build_volume(claim: Object, storage_class: Object) -> Object:
    """The volume for a claim, bound to it from the start."""
    metadata = claim["metadata"]
    return {
        "metadata": {"name": volume_name(claim), "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "capacity": _requests(claim),
            "storageClassName": storage_class["metadata"]["name"],
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": PROVISIONER, "volumeHandle": volume_name(claim)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }


def _is_bound(claim: Object) -> bool:
    return bool(claim.get("status", {}).get("phase") == "Bound" and claim["spec"].get("volumeName"))


def _requests(claim: Object) -> dict[str, Any]:
    requests: dict[str, Any] = (claim["spec"].get("resources") or {}).get("requests") or {}
    return requests
