"""The contract over a Harvester cluster's Kubernetes API.

A machine is a KubeVirt VirtualMachine with its disks, cloud-init Secret and key pair; a location is a namespace.
What happens in which order is creation.py's and removal.py's, what is written builds.py's, what is seen observe.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kube.client import KubeClient
from kube.errors import Conflict
from kube.names import is_dns_label
from kube.resources import (
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
from node_driver.harvester import builds, creation, removal
from node_driver.harvester.failures import driver_errors
from node_driver.harvester.observe import is_over, view_of, view_of_parts
from node_driver.harvester.orders import refuse_unusable
from node_driver.harvester.ownership import HUB_ID, NAME_PATTERNS, OwnedObjects, describe, is_deleting, machine_of
from node_driver.harvester.probe import probe
from node_driver.harvester.references import References
from node_driver.harvester.settings import SETTINGS, contradictions
from node_driver.types import MachineOrder, MachineRef, MachineView, Probe, Problem, Remains


class HarvesterDriver(NodeDriver[KubeClient], PowerControl):
    """The promises of each method are README.md's rules."""

    name = "harvester"
    settings = SETTINGS

    def probe(self) -> Probe:
        return probe(self.connection)

    def check(self, location: str, settings: Mapping[str, Any]) -> list[Problem]:
        problems = contradictions(settings)
        if not is_dns_label(location):
            problems.append(Problem("", "location_invalid", f"{location!r} cannot be a namespace"))
        with driver_errors():
            return problems + References(self.lookup, settings).problems()

    def create(self, order: MachineOrder) -> MachineView:
        refuse_unusable(order)
        with driver_errors():
            objects = OwnedObjects(self.connection, order.ref)
            machine = objects.find(VIRTUAL_MACHINES, builds.virtual_machine_name(order.ref))
            if machine is None:
                machine = creation.make_machine(objects, order, References(self.lookup, order.settings).resolve())
            if not is_deleting(machine):
                creation.tie_parts(objects, machine)
            return view_of(order.ref, machine, self._find_instance(order.ref, machine))

    def get(self, ref: MachineRef) -> MachineView:
        with driver_errors():
            machine = self._get_machine(OwnedObjects(self.connection, ref))
            return view_of(ref, machine, self._find_instance(ref, machine))

    def list_owned(self, location: str, hub_id: str) -> list[MachineView]:
        found: dict[tuple[str, str], _Found] = {}
        with driver_errors():
            for resource in NAME_PATTERNS:
                for obj in self.connection.list(resource, location, label_selector=f"{HUB_ID}={hub_id}"):
                    if ref := machine_of(resource, obj):
                        found.setdefault((ref.name, ref.owner.machine_id), _Found(ref)).add(ref, resource, obj)
        return [machine.view() for machine in found.values()]

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


@dataclass
class _Found:
    """What a listing shows of one machine. ref has the newest epoch found, so that it owns all of the parts."""

    ref: MachineRef
    objects: dict[Resource, Object] = field(default_factory=dict)
    described: list[str] = field(default_factory=list)

    def add(self, ref: MachineRef, resource: Resource, obj: Object) -> None:
        self.ref = max(self.ref, ref, key=lambda seen: seen.owner.epoch)
        self.objects[resource] = obj
        self.described.append(describe(resource, obj))

    def view(self) -> MachineView:
        machine = self.objects.get(VIRTUAL_MACHINES)
        if machine is None:
            return view_of_parts(self.ref, self.described)
        return view_of(self.ref, machine, self.objects.get(VIRTUAL_MACHINE_INSTANCES))
