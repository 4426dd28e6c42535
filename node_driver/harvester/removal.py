"""Takes a machine away step by step, each step only when the one before is seen to be done.

The virtual machine goes first, with the word to Harvester which claims go with it; KubeVirt ends its instance. Then the
claims, which Harvester refuses to delete while a machine uses them. Secret and key pair need not wait. What Harvester
or Kubernetes' garbage collector would remove of these is removed here as well: nothing depends on them.
"""

from __future__ import annotations

import json

from kube.resources import (
    KEY_PAIRS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.harvester.builds import CLAIM_TEMPLATES, REMOVED_CLAIMS
from node_driver.harvester.ownership import MACHINE_NAME, OwnedObjects, is_deleting, owner_labels


def remove_what_can_go(objects: OwnedObjects) -> None:
    """One pass. Call again until objects.list() is empty."""
    for machine in objects.list(VIRTUAL_MACHINES):
        if not is_deleting(machine):
            _announce_claims(objects, machine)
    machine_is_gone = _clear(objects, VIRTUAL_MACHINES)
    _clear(objects, SECRETS)
    _clear(objects, KEY_PAIRS)
    if machine_is_gone and not objects.list(VIRTUAL_MACHINE_INSTANCES):
        _clear(objects, PERSISTENT_VOLUME_CLAIMS)


def _clear(objects: OwnedObjects, resource: Resource) -> bool:
    """Asks for the deletion of all of that kind; whether they are gone already."""
    found = objects.list(resource)
    for obj in found:
        objects.delete(resource, obj)
    return not found or not objects.list(resource)


def _announce_claims(objects: OwnedObjects, machine: Object) -> None:
    """Takes the claims that Harvester made without our labels, and tells Harvester to remove all of ours."""
    names = [name for name in _template_names(machine) if _take(objects, name)]
    body = {"metadata": {"annotations": {REMOVED_CLAIMS: ",".join(names)}}}
    objects.change(VIRTUAL_MACHINES, machine, body)


def _take(objects: OwnedObjects, name: str) -> bool:
    """Whether the claim is the machine's. One of nobody's, named by our machine and as we name ours, becomes it."""
    claim = objects.client.find(PERSISTENT_VOLUME_CLAIMS, name, objects.ref.location)
    if claim is None:
        return False
    labels = {**(claim["metadata"].get("labels") or {})}
    if MACHINE_NAME in labels:
        return objects.owns(PERSISTENT_VOLUME_CLAIMS, claim)
    taken = {**claim, "metadata": {**claim["metadata"], "labels": {**labels, **owner_labels(objects.ref)}}}
    if not objects.owns(PERSISTENT_VOLUME_CLAIMS, taken):
        return False
    objects.change(PERSISTENT_VOLUME_CLAIMS, claim, {"metadata": {"labels": owner_labels(objects.ref)}})
    return True


def _template_names(machine: Object) -> list[str]:
    """Names of the claims in the machine's claim templates; a person may have edited that annotation into anything."""
    written = (machine["metadata"].get("annotations") or {}).get(CLAIM_TEMPLATES)
    try:
        return [str(entry["metadata"]["name"]) for entry in json.loads(written or "[]")]
    except (ValueError, TypeError, KeyError):
        return []
