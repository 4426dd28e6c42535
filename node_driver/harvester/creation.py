"""Makes a machine's objects: Secret, claims, key pair, and the VirtualMachine last.

So a virtual machine that exists is complete: it cannot boot without its user data, or onto a claim that Harvester made
meanwhile without our labels. Cut short before it, there are labelled parts without a machine: the next create() takes
them up, delete() removes them and list_owned() shows them to the sweeper, so none is orphaned. Cut short after it,
only tie_parts is left, which every create() does.
"""

from __future__ import annotations

from kube.resources import KEY_PAIRS, PERSISTENT_VOLUME_CLAIMS, SECRETS, VIRTUAL_MACHINES, Object
from node_driver.errors import InfrastructureUnavailable
from node_driver.harvester import builds
from node_driver.harvester.ownership import OwnedObjects, describe
from node_driver.harvester.references import Image
from node_driver.types import MachineOrder


def make_machine(objects: OwnedObjects, order: MachineOrder, image: Image) -> Object:
    """The VirtualMachine of an order, of which none was there a moment ago, from the image that the order names."""
    claims = builds.build_claims(order, image.storage_class)
    _ensure_secret(objects, order)
    for index, claim in enumerate(claims):
        filled_by_harvester = index == 0 and image.filled_by_harvester
        _ensure_claim(objects, claim, filled_by_harvester=filled_by_harvester)
    if key_pair := builds.build_key_pair(order):
        objects.ensure(KEY_PAIRS, key_pair)
    return objects.ensure(VIRTUAL_MACHINES, builds.build_virtual_machine(order, claims))


def tie_parts(objects: OwnedObjects, machine: Object) -> None:
    """Ties the join material to the machine, so that it goes when somebody deletes that in Harvester's own UI, and
    marks the machine's disks as used."""
    secret = objects.find(SECRETS, builds.secret_name(objects.ref))
    references = [builds.build_owner_reference(machine)]
    if secret is not None and secret["metadata"].get("ownerReferences") != references:
        objects.change(SECRETS, secret, {"metadata": {"ownerReferences": references}})
    for claim in objects.list(PERSISTENT_VOLUME_CLAIMS):
        if builds.used_by(claim) != machine["metadata"]["uid"]:
            objects.change(PERSISTENT_VOLUME_CLAIMS, claim, builds.build_use(machine))


def _ensure_secret(objects: OwnedObjects, order: MachineOrder) -> None:
    """An earlier attempt or machine may have left one: then with this order's data, and no machine's that is gone.
    Nothing has read it, since there is no virtual machine."""
    wanted = builds.build_secret(order)
    secret = objects.ensure(SECRETS, wanted)
    if secret.get("data") != wanted["data"] or secret["metadata"].get("ownerReferences"):
        data = dict.fromkeys(secret.get("data") or {}) | wanted["data"]
        objects.change(SECRETS, secret, {"data": data, "metadata": {"ownerReferences": None}})


def _ensure_claim(objects: OwnedObjects, claim: Object, *, filled_by_harvester: bool) -> None:
    """Makes the claim, unless Harvester will. A disk that an earlier machine of this name has written goes first: on it
    cloud-init would take the new machine for the old one and do nothing."""
    if filled_by_harvester:
        found = objects.find(PERSISTENT_VOLUME_CLAIMS, claim["metadata"]["name"])
    else:
        found = objects.ensure(PERSISTENT_VOLUME_CLAIMS, claim)
    if found is None or not (filled_by_harvester or builds.used_by(found)):
        return
    if objects.find(VIRTUAL_MACHINES, builds.virtual_machine_name(objects.ref)) is None:
        objects.delete(PERSISTENT_VOLUME_CLAIMS, found)
        message = f"{describe(PERSISTENT_VOLUME_CLAIMS, found)} of an earlier machine is being removed"
        raise InfrastructureUnavailable(message, reason="StillDeleting")
