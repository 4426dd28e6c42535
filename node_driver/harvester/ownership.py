"""Which objects are ours: the labels that say so, and the client that changes nothing else.

An object belongs to a machine when its labels name the machine's owner *and* its own name is the one we would have
given it. The name counts, because Harvester's clone and restore copy labels to objects that are a user's.
"""

from __future__ import annotations

import re

from kube.client import KubeClient
from kube.errors import AlreadyExists, Invalid, NotFound
from kube.resources import (
    KEY_PAIRS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.errors import InfrastructureUnavailable, OwnershipConflict
from node_driver.types import MachineRef, Owner

HUB_ID = "paddock.io/hub-id"
HUB_EPOCH = "paddock.io/hub-epoch"
OWNER_KIND = "paddock.io/owner-kind"
OWNER_ID = "paddock.io/owner-id"
TENANT_ID = "paddock.io/tenant-id"
MACHINE_NAME = "paddock.io/machine-name"

NAME_PATTERNS = {
    VIRTUAL_MACHINES: "{name}",
    VIRTUAL_MACHINE_INSTANCES: "{name}",
    PERSISTENT_VOLUME_CLAIMS: r"{name}-disk-\d+",
    SECRETS: "{name}-cloudinit",
    KEY_PAIRS: "{name}-key",
}
"""Every kind of object that a machine consists of, with the names they have. In the order in which they are removed."""


def owner_labels(ref: MachineRef) -> dict[str, str]:
    """The labels of every object of a machine."""
    owner = ref.owner
    return {
        HUB_ID: owner.hub_id,
        HUB_EPOCH: str(owner.epoch),
        OWNER_KIND: "machine",
        OWNER_ID: owner.machine_id,
        TENANT_ID: owner.tenant_id,
        MACHINE_NAME: ref.name,
    }


def machine_of(resource: Resource, obj: Object) -> MachineRef | None:
    """The machine an object belongs to; None for an object that is nobody's, a copy, or labelled with nonsense."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    name = labels.get(MACHINE_NAME, "")
    if labels.get(OWNER_KIND) != "machine":
        return None
    if not re.fullmatch(NAME_PATTERNS[resource].format(name=re.escape(name)), metadata["name"]):
        return None
    try:
        owner = Owner(labels[HUB_ID], int(labels[HUB_EPOCH]), labels[OWNER_ID], labels[TENANT_ID])
        return MachineRef(metadata["namespace"], name, owner)
    except (KeyError, ValueError):
        return None


def is_deleting(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def describe(resource: Resource, obj: Object) -> str:
    return f"{resource.kind} {obj['metadata']['namespace']}/{obj['metadata']['name']}"


class OwnedObjects:
    """Reads and writes of one machine's objects. Raises KubeError, OwnershipConflict, InfrastructureUnavailable."""

    def __init__(self, client: KubeClient, ref: MachineRef) -> None:
        self.client = client
        self.ref = ref

    def owns(self, resource: Resource, obj: Object) -> bool:
        found = machine_of(resource, obj)
        return found is not None and found.name == self.ref.name and self.ref.owner.owns(found.owner)

    def find(self, resource: Resource, name: str) -> Object | None:
        """The object of that name. Raises OwnershipConflict when it is somebody else's."""
        found = self.client.find(resource, name, self.ref.location)
        if found is not None and not self.owns(resource, found):
            raise OwnershipConflict(f"{describe(resource, found)} exists and is not ours", reason="AlreadyExists")
        return found

    def ensure(self, resource: Resource, obj: Object) -> Object:
        """Creates the object, or answers the one that is there when it is ours and stays."""
        try:
            return self.client.create(resource, obj)
        except AlreadyExists:
            found = self.find(resource, obj["metadata"]["name"])
        if found is None or is_deleting(found):
            raise InfrastructureUnavailable(f"{describe(resource, obj)} is still being deleted", reason="StillDeleting")
        return found

    def list(self, resource: Resource) -> list[Object]:
        """All objects of the kind that are the machine's."""
        selector = f"{HUB_ID}={self.ref.owner.hub_id},{OWNER_ID}={self.ref.owner.machine_id}"
        found = self.client.list(resource, self.ref.location, label_selector=selector)
        return [obj for obj in found if self.owns(resource, obj)]

    def change(self, resource: Resource, obj: Object, body: Object) -> Object:
        """Merge-patches the object as long as it is this very one."""
        metadata = {**body.get("metadata", {}), "uid": obj["metadata"]["uid"]}
        name = obj["metadata"]["name"]
        try:
            return self.client.patch(resource, name, {**body, "metadata": metadata}, self.ref.location)
        except NotFound as error:
            raise InfrastructureUnavailable(f"{describe(resource, obj)} went away meanwhile", reason="Gone") from error
        except Invalid as error:
            # The API's way to say that this uid is not that of the object now there.
            if any(cause.field == "metadata.uid" for cause in error.causes):
                message = f"{describe(resource, obj)} was made anew meanwhile"
                raise InfrastructureUnavailable(message, reason="Gone") from error
            raise

    def delete(self, resource: Resource, obj: Object) -> None:
        """Asks for the deletion of this very object; asking twice changes nothing."""
        if not is_deleting(obj):
            self.client.delete(resource, obj["metadata"]["name"], self.ref.location, uid=obj["metadata"]["uid"])
