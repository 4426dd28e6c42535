"""What a machine's settings name on the cluster: image, networks, storage classes. Read, compared, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kube.client import KubeClient
from kube.resources import NETWORK_ATTACHMENT_DEFINITIONS, STORAGE_CLASSES, VIRTUAL_MACHINE_IMAGES, Object
from node_driver.errors import DriverError, ImageMissing, InfrastructureUnavailable, NetworkMissing, Rejected
from node_driver.types import Problem

GIB = 1024**3

_ERRORS: dict[str, type[DriverError]] = {
    "image_missing": ImageMissing,
    "image_failed": ImageMissing,
    "image_not_ready": InfrastructureUnavailable,
    "network_missing": NetworkMissing,
}


@dataclass(frozen=True, slots=True)
class Image:
    """A VirtualMachineImage as far as a machine's root disk depends on it."""

    name: str
    storage_class: str
    filled_by_harvester: bool
    virtual_size: int
    progress: int
    failure: str | None

    @property
    def ready(self) -> bool:
        return self.failure is None and self.progress == 100 and bool(self.storage_class)


def read_image(obj: Object) -> Image:
    """contract harvester-vm §8: ready is progress 100 with neither condition False; the class is always status'.

    An image of the CDI backend has its data in a claim: the root disk's claim must be made by Harvester, as a copy.
    """
    status = obj.get("status") or {}
    failure = None
    for condition in status.get("conditions") or []:
        broken = {
            "Initialized": "False",
            "Imported": "False",
            "RetryLimitExceeded": "True",
            "BackingImageMissing": "True",
        }
        if broken.get(condition.get("type")) == condition.get("status"):
            failure = condition.get("message") or condition.get("reason") or condition["type"]
    return Image(
        name=f"{obj['metadata']['namespace']}/{obj['metadata']['name']}",
        storage_class=status.get("storageClassName") or "",
        filled_by_harvester=obj["spec"].get("backend") == "cdi",
        virtual_size=status.get("virtualSize") or 0,
        progress=status.get("progress") or 0,
        failure=failure,
    )


class References:
    """Looks up what one set of settings names."""

    def __init__(self, client: KubeClient, settings: Mapping[str, Any]) -> None:
        self._client = client
        self._settings = settings

    def resolve(self) -> Image:
        """The image, when everything named is usable; else raises for the first problem."""
        image = self._find_image()
        for problem in self._problems(image):
            raise _ERRORS.get(problem.code, Rejected)(problem.message, reason=problem.code)
        assert image is not None
        return image

    def problems(self) -> list[Problem]:
        return list(self._problems(self._find_image()))

    def _find_image(self) -> Image | None:
        namespace, name = self._settings["image"].split("/")
        found = self._client.find(VIRTUAL_MACHINE_IMAGES, name, namespace)
        return read_image(found) if found else None

    def _problems(self, image: Image | None) -> Iterator[Problem]:
        yield from self._image_problems(image)
        networks = {"/network": self._settings["network"]}
        for index, network in enumerate(self._settings.get("extra_networks", [])):
            networks[f"/extra_networks/{index}"] = network
        for field, network in networks.items():
            namespace, name = network.split("/")
            if self._client.find(NETWORK_ATTACHMENT_DEFINITIONS, name, namespace) is None:
                yield Problem(field, "network_missing", f"the network {network} does not exist")
        for field, name in self._storage_classes().items():
            if self._client.find(STORAGE_CLASSES, name) is None:
                yield Problem(field, "storage_class_missing", f"the storage class {name} does not exist")

    def _image_problems(self, image: Image | None) -> Iterator[Problem]:
        wanted = self._settings["image"]
        if image is None:
            yield Problem("/image", "image_missing", f"the image {wanted} does not exist")
        elif image.failure is not None:
            yield Problem("/image", "image_failed", f"the image {wanted} could not be imported: {image.failure}")
        elif not image.ready:
            yield Problem("/image", "image_not_ready", f"the image {wanted} is being imported ({image.progress} %)")
        elif self._settings["disk_gib"] * GIB < image.virtual_size:
            needed = -(-image.virtual_size // GIB)
            yield Problem("/disk_gib", "disk_too_small", f"the image {wanted} needs a disk of at least {needed} GiB")

    def _storage_classes(self) -> dict[str, str]:
        """Named classes by the pointer of the setting that names them."""
        named = {"/storage_class": self._settings.get("storage_class")}
        for index, disk in enumerate(self._settings.get("extra_disks", [])):
            named[f"/extra_disks/{index}/storage_class"] = disk.get("storage_class")
        return {field: name for field, name in named.items() if name}
