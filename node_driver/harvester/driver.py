"""The contract over a Harvester cluster's Kubernetes API.

Order of creation: Secret, claims, key pair, and the VirtualMachine last. So a virtual machine that exists is
complete: it cannot boot without its user data or onto a claim that Harvester made meanwhile without our labels, and
creating again has nothing to repair but the Secret's owner reference. Cut short before it, there are labelled parts
without a machine: the next create() takes them up, delete() removes them and list_owned() shows them to the sweeper,
so none is orphaned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kube.client import KubeClient
from kube.errors import Conflict
from kube.names import is_dns_label
from kube.resources import (
    KEY_PAIRS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    SUBRESOURCE_VIRTUAL_MACHINES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.base import NodeDriver
from node_driver.capabilities import PowerControl
from node_driver.errors import MachineNotFound
from node_driver.harvester import builds, removal
from node_driver.harvester.failures import driver_errors
from node_driver.harvester.observe import is_over, view_of, view_of_parts
from node_driver.harvester.orders import refuse_unusable
from node_driver.harvester.ownership import HUB_ID, NAME_PATTERNS, OwnedObjects, describe, is_deleting, machine_of
from node_driver.harvester.probe import probe
from node_driver.harvester.references import References
from node_driver.harvester.settings import SETTINGS, contradictions
from node_driver.types import MachineOrder, MachineRef, MachineView, Probe, Problem, Remains


class HarvesterDriver(NodeDriver[KubeClient], PowerControl):
    """A machine is a KubeVirt VirtualMachine; its location is a namespace."""

    name = "harvester"
    settings = SETTINGS

    def probe(self) -> Probe:
        return probe(self.connection)

    def check(self, location: str, settings: Mapping[str, Any]) -> list[Problem]:
        problems = contradictions(settings)
        if not is_dns_label(location):
            problems.append(Problem("", "location_invalid", f"{location!r} cannot be a namespace"))
        with driver_errors():
            return problems + References(self.connection, settings).problems()

    def create(self, order: MachineOrder) -> MachineView:
        refuse_unusable(order)
        with driver_errors():
            objects = OwnedObjects(self.connection, order.ref)
            machine = objects.find(VIRTUAL_MACHINES, builds.virtual_machine_name(order.ref))
            if machine is None:
                machine = self._make(order, objects)
            if not is_deleting(machine):
                self._tie_secret(objects, machine)
            return view_of(order.ref, machine, self._find_instance(order.ref, machine))

    def get(self, ref: MachineRef) -> MachineView:
        with driver_errors():
            machine = self._get_machine(OwnedObjects(self.connection, ref))
            return view_of(ref, machine, self._find_instance(ref, machine))

    def list_owned(self, location: str, hub_id: str) -> list[MachineView]:
        with driver_errors():
            parts: dict[MachineRef, dict[Resource, list[Object]]] = {}
            for resource in NAME_PATTERNS:
                for obj in self.connection.list(resource, location, label_selector=f"{HUB_ID}={hub_id}"):
                    if ref := machine_of(resource, obj):
                        parts.setdefault(ref, {}).setdefault(resource, []).append(obj)
        return [_view_of_found(ref, found) for ref, found in parts.items()]

    def delete(self, ref: MachineRef) -> Remains:
        with driver_errors():
            objects = OwnedObjects(self.connection, ref)
            removal.remove_what_can_go(objects)
            left = [describe(resource, obj) for resource in NAME_PATTERNS for obj in objects.list(resource)]
            return Remains(tuple(left))

    def forget_bootstrap(self, ref: MachineRef) -> None:
        with driver_errors():
            objects = OwnedObjects(self.connection, ref)
            secret = objects.find(SECRETS, builds.secret_name(ref))
            forgotten = builds.encode(builds.FORGOTTEN_USER_DATA)
            if secret is not None and (secret.get("data") or {}).get(builds.USER_DATA_KEY) != forgotten:
                objects.change(SECRETS, secret, {"data": {builds.USER_DATA_KEY: forgotten}})

    def start(self, ref: MachineRef) -> None:
        with driver_errors():
            objects = OwnedObjects(self.connection, ref)
            machine = self._get_machine(objects)
            if machine["spec"].get("runStrategy") == "Halted":
                objects.change(VIRTUAL_MACHINES, machine, {"spec": {"runStrategy": "RerunOnFailure"}})
            elif is_over(self._find_instance(ref, machine)):
                self._request_start(ref)

    def stop(self, ref: MachineRef) -> None:
        with driver_errors():
            objects = OwnedObjects(self.connection, ref)
            machine = self._get_machine(objects)
            if machine["spec"].get("runStrategy") != "Halted":
                objects.change(VIRTUAL_MACHINES, machine, {"spec": {"runStrategy": "Halted"}})

    def restart(self, ref: MachineRef) -> None:
        with driver_errors():
            machine = self._get_machine(OwnedObjects(self.connection, ref))
            running = not is_over(self._find_instance(ref, machine))
            if running and machine["spec"].get("runStrategy") != "Halted":
                self._power("restart", ref)
                return
        self.start(ref)

    def _make(self, order: MachineOrder, objects: OwnedObjects) -> Object:
        image = References(self.connection, order.settings).resolve()
        claims = builds.build_claims(order, image.storage_class)
        self._ensure_secret(order, objects)
        for claim in claims[1:] if image.filled_by_harvester else claims:
            objects.ensure(PERSISTENT_VOLUME_CLAIMS, claim)
        if key_pair := builds.build_key_pair(order):
            objects.ensure(KEY_PAIRS, key_pair)
        return objects.ensure(VIRTUAL_MACHINES, builds.build_virtual_machine(order, claims))

    def _ensure_secret(self, order: MachineOrder, objects: OwnedObjects) -> None:
        """An earlier attempt or machine may have left one: then with this order's data, and no machine's to be
        collected with. Nothing has read it, since there is no virtual machine."""
        wanted = builds.build_secret(order)
        secret = objects.ensure(SECRETS, wanted)
        if secret.get("data") != wanted["data"] or secret["metadata"].get("ownerReferences"):
            data = dict.fromkeys(secret.get("data") or {}) | wanted["data"]
            objects.change(SECRETS, secret, {"data": data, "metadata": {"ownerReferences": None}})

    def _tie_secret(self, objects: OwnedObjects, machine: Object) -> None:
        """Makes the join material go with the machine when somebody deletes that in Harvester's own UI."""
        secret = objects.find(SECRETS, builds.secret_name(objects.ref))
        references = [builds.build_owner_reference(machine)]
        if secret is not None and secret["metadata"].get("ownerReferences") != references:
            objects.change(SECRETS, secret, {"metadata": {"ownerReferences": references}})

    def _get_machine(self, objects: OwnedObjects) -> Object:
        ref = objects.ref
        machine = objects.find(VIRTUAL_MACHINES, builds.virtual_machine_name(ref))
        if machine is None:
            raise MachineNotFound(f"there is no virtual machine {ref.location}/{ref.name}", reason="NotFound")
        return machine

    def _find_instance(self, ref: MachineRef, machine: Object) -> Object | None:
        """The machine's running instance; KubeVirt gives it the machine's name."""
        return self.connection.find(VIRTUAL_MACHINE_INSTANCES, machine["metadata"]["name"], ref.location)

    def _request_start(self, ref: MachineRef) -> None:
        try:
            self._power("start", ref)
        except Conflict:
            # Already starting, or being run again after a failure: what was asked for is under way.
            return

    def _power(self, action: str, ref: MachineRef) -> None:
        path = SUBRESOURCE_VIRTUAL_MACHINES.path(ref.location, builds.virtual_machine_name(ref), action)
        self.connection.call("PUT", path, body={})


def _view_of_found(ref: MachineRef, found: Mapping[Resource, Iterable[Object]]) -> MachineView:
    """The objects of one machine, by kind, as a view."""
    machine = next(iter(found.get(VIRTUAL_MACHINES, ())), None)
    instance = next(iter(found.get(VIRTUAL_MACHINE_INSTANCES, ())), None)
    if machine is None:
        return view_of_parts(ref, (describe(resource, obj) for resource, objs in found.items() for obj in objs))
    return view_of(ref, machine, instance)
