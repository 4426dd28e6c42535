"""VirtualMachineImage: a download that advances, and the storage class that comes of it.

Plays Harvester's image controller with the backing-image backend (contract harvester-vm §8). Status is written through
the object itself: the kind has no status subresource. Uploads go through Harvester's own HTTP API, which is not played:
an upload image stays waiting.
"""

from typing import Any

from kube.errors import NotFound
from kube.resources import STORAGE_CLASSES, VIRTUAL_MACHINE_IMAGES, Object
from simulator.clock import timestamp
from simulator.conditions import condition_status, with_condition
from simulator.controllers.cache import ObjectCache
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.settings import SimulationSettings
from simulator.controllers.volumes import PROVISIONER
from simulator.controllers.work_queue import Key

IMAGE_FINALIZER = "wrangler.cattle.io/vm-image-controller"
_STEPS = 4
_SIZE = 700 * 1024 * 1024
_VIRTUAL_SIZE = 10 * 1024**3


class ImageController:
    """One reconcile per image; each takes the download one step further."""

    def __init__(self, writer: ObjectWriter, cache: ObjectCache, settings: SimulationSettings) -> None:
        self._writer = writer
        self._cache = cache
        self._settings = settings

    async def reconcile(self, key: Key) -> float | None:
        image = self._cache.find(VIRTUAL_MACHINE_IMAGES, key)
        if image is None:
            return None
        finalizers = image["metadata"].get("finalizers") or []
        if image["metadata"].get("deletionTimestamp"):
            await self._finalize(image, finalizers)
            return None
        if IMAGE_FINALIZER not in finalizers:
            await self._patch(image, {"metadata": {"finalizers": [*finalizers, IMAGE_FINALIZER]}})
            return None
        return await self._advance(image)

    async def _advance(self, image: Object) -> float | None:
        status = image.get("status") or {}
        conditions = status.get("conditions") or []
        imported = condition_status(conditions, "Imported")
        if imported == "True" or condition_status(conditions, "RetryLimitExceeded") == "True":
            return None
        if imported is None:
            await self._patch(image, {"status": _begun(image, conditions)})
            return self._settings.image_delay / _STEPS
        if image["spec"].get("sourceType") == "upload":
            return None
        fault = self._fault(image)
        if fault:
            await self._patch(image, {"status": _failed(image, conditions, fault)})
            return self._settings.image_delay / _STEPS
        progress = min(100, int(status.get("progress") or 0) + 100 // _STEPS)
        if progress < 100:
            await self._patch(image, {"status": {"progress": progress}})
            return self._settings.image_delay / _STEPS
        await self._writer.ensure(STORAGE_CLASSES, build_image_class(image))
        await self._patch(image, {"status": _done(image, conditions)})
        return None

    def _fault(self, image: Object) -> str | None:
        url = str(image["spec"].get("url") or "")
        if self._settings.faults.image_fail:
            return f'Get "{url}": dial tcp: connect: connection refused'
        if image["spec"].get("sourceType") == "download" and not url.startswith(("http://", "https://")):
            return f'unsupported protocol scheme "{url.partition(":")[0]}"'
        return None

    async def _finalize(self, image: Object, finalizers: list[str]) -> None:
        try:
            storage_class = await self._writer.get(STORAGE_CLASSES, image_class_name(image))
            await self._writer.delete(STORAGE_CLASSES, storage_class)
        except NotFound:
            pass
        rest = [name for name in finalizers if name != IMAGE_FINALIZER]
        await self._patch(image, {"metadata": {"finalizers": rest or None}})

    async def _patch(self, image: Object, change: dict[str, Any]) -> None:
        await self._writer.patch(VIRTUAL_MACHINE_IMAGES, image, change, unchanged=True)


def image_class_name(image: Object) -> str:
    return f"lh-{image['metadata']['uid']}"


def build_image_class(image: Object) -> Object:
    """The storage class whose volumes start as copies of the image."""
    own = image["spec"].get("storageClassParameters") or {}
    parameters = {"numberOfReplicas": "3", "staleReplicaTimeout": "30", "migratable": "true", **own}
    return {
        "metadata": {"name": image_class_name(image)},
        "provisioner": PROVISIONER,
        "parameters": {**parameters, "backingImage": f"vmi-{image['metadata']['uid']}"},
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
    }


def _begun(image: Object, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    conditions = with_condition(conditions, "Initialized", "True")
    waits = image["spec"].get("sourceType") == "upload"
    message = "waiting for the upload" if waits else ""
    return {
        "progress": 0,
        "appliedUrl": image["spec"].get("url") or "",
        "conditions": with_condition(conditions, "Imported", "Unknown", "Importing", message),
    }


def _failed(image: Object, conditions: list[dict[str, Any]], message: str) -> dict[str, Any]:
    failures = int((image.get("status") or {}).get("failed") or 0) + 1
    conditions = with_condition(conditions, "Imported", "False", "ImportFailed", message)
    if failures > int(image["spec"].get("retry", 3)):
        conditions = with_condition(conditions, "RetryLimitExceeded", "True", "", message)
    return {"progress": 0, "failed": failures, "lastFailedTime": timestamp(), "conditions": conditions}


def _done(image: Object, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "progress": 100,
        "size": _SIZE,
        "virtualSize": _VIRTUAL_SIZE,
        "storageClassName": image_class_name(image),
        "conditions": with_condition(conditions, "Imported", "True", "Imported"),
    }
