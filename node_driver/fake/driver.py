"""The contract over FakeInfrastructure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node_driver.base import NodeDriver
from node_driver.capabilities import PowerControl
from node_driver.errors import (
    DriverError,
    ImageMissing,
    MachineNotFound,
    NetworkMissing,
    OwnershipConflict,
    QuotaExceeded,
)
from node_driver.fake.infrastructure import FakeInfrastructure, Part
from node_driver.fake.settings import SETTINGS
from node_driver.types import (
    MachineOrder,
    MachinePhase,
    MachineRef,
    MachineView,
    Owner,
    Probe,
    Problem,
    Remains,
)

FORGOTTEN_USER_DATA = "#cloud-config\n{}\n"
VERSION = "1.0"
PARTS = ("Secret", "Disk", "Machine")
"""In the order in which they are made: a Machine is complete. Deleted in the opposite order."""

_ERRORS: dict[str, type[DriverError]] = {"image_missing": ImageMissing, "network_missing": NetworkMissing}


class FakeDriver(NodeDriver[FakeInfrastructure], PowerControl):
    """Keeps every promise of the contract; breaks what the test asks for, not more."""

    name = "fake"
    settings = SETTINGS

    def probe(self) -> Probe:
        try:
            with self.connection.call("probe"):
                return Probe(reachable=True, version=VERSION)
        except DriverError as error:
            return Probe(reachable=False, message=error.message)

    def check(self, location: str, settings: Mapping[str, Any]) -> list[Problem]:
        with self.connection.call("check"):
            return self._problems(settings)

    def create(self, order: MachineOrder) -> MachineView:
        ref = order.ref
        with self.connection.call("create"):
            machine = self._find(ref)
            if machine is None:
                self._refuse(order)
                machine = self._make(order)
            return self._view(ref, machine)

    def get(self, ref: MachineRef) -> MachineView:
        with self.connection.call("get"):
            machine = self._get(ref)
            self.connection.observe(ref.name, machine)
            return self._view(ref, machine)

    def list_owned(self, location: str, hub_id: str) -> list[MachineView]:
        with self.connection.call("list_owned"):
            owners: dict[tuple[str, str], Owner] = {}
            for (where, name, _), part in self.connection.parts.items():
                if where == location and part.owner.hub_id == hub_id:
                    known = owners.setdefault((name, part.owner.machine_id), part.owner)
                    # The newest epoch owns the older parts too.
                    owners[name, part.owner.machine_id] = max(known, part.owner, key=lambda owner: owner.epoch)
            return [self._view_of(MachineRef(location, name, owner)) for (name, _), owner in owners.items()]

    def delete(self, ref: MachineRef) -> Remains:
        with self.connection.call("delete"):
            machine = self._own_parts(ref).get("Machine")
            if machine is not None and machine.deletion_steps > 0:
                machine.deleting = True
                machine.deletion_steps -= 1
            else:
                for kind in self._own_parts(ref):
                    del self.connection.parts[ref.location, ref.name, kind]
            return Remains(tuple(f"{kind} {ref.location}/{ref.name}" for kind in reversed(self._own_parts(ref))))

    def forget_bootstrap(self, ref: MachineRef) -> None:
        with self.connection.call("forget_bootstrap"):
            self._find(ref)
            if secret := self._own_parts(ref).get("Secret"):
                secret.data["user_data"] = FORGOTTEN_USER_DATA

    def start(self, ref: MachineRef) -> None:
        with self.connection.call("start"):
            self.connection.power(self._get(ref), on=True)

    def stop(self, ref: MachineRef) -> None:
        with self.connection.call("stop"):
            self.connection.power(self._get(ref), on=False)

    def restart(self, ref: MachineRef) -> None:
        with self.connection.call("restart"):
            machine = self._get(ref)
            self.connection.power(machine, on=False)
            self.connection.power(machine, on=True)

    def _find(self, ref: MachineRef) -> Part | None:
        machine = self.connection.parts.get((ref.location, ref.name, "Machine"))
        if machine is not None and not ref.owner.owns(machine.owner):
            raise OwnershipConflict(f"a machine named {ref.name!r} exists in {ref.location!r} and is not ours")
        return machine

    def _get(self, ref: MachineRef) -> Part:
        machine = self._find(ref)
        if machine is None:
            raise MachineNotFound(f"no machine named {ref.name!r} exists in {ref.location!r}")
        return machine

    def _own_parts(self, ref: MachineRef) -> dict[str, Part]:
        found = {kind: self.connection.parts.get((ref.location, ref.name, kind)) for kind in PARTS}
        return {kind: part for kind, part in found.items() if part is not None and ref.owner.owns(part.owner)}

    def _problems(self, settings: Mapping[str, Any]) -> list[Problem]:
        problems = []
        if settings["image"] not in self.connection.images:
            problems.append(Problem("/image", "image_missing", f"the image {settings['image']!r} does not exist"))
        if settings["network"] not in self.connection.networks:
            problems.append(
                Problem("/network", "network_missing", f"the network {settings['network']!r} does not exist")
            )
        return problems

    def _refuse(self, order: MachineOrder) -> None:
        for problem in self._problems(order.settings):
            raise _ERRORS[problem.code](problem.message)
        capacity = self.connection.capacity
        if capacity is not None and self.connection.machines_in(order.ref.location) >= capacity:
            raise QuotaExceeded(f"{order.ref.location!r} is full: {capacity} machines", reason="CapacityExceeded")

    def _make(self, order: MachineOrder) -> Part:
        data = {"user_data": order.user_data}
        if order.network_data is not None:
            data["network_data"] = order.network_data
        for kind in PARTS:
            part = self.connection.make(kind, order, data if kind == "Secret" else {})
            if not order.ref.owner.owns(part.owner):
                raise OwnershipConflict(f"{kind} {order.ref.location}/{order.ref.name} exists and is not ours")
        return part

    def _view_of(self, ref: MachineRef) -> MachineView:
        machine = self._own_parts(ref).get("Machine")
        if machine is not None:
            return self._view(ref, machine)
        parts = ", ".join(self._own_parts(ref))
        return MachineView(ref, "", MachinePhase.PENDING, (), "Incomplete", f"only parts exist: {parts}", None)

    def _view(self, ref: MachineRef, machine: Part) -> MachineView:
        addresses = self.connection.addresses(ref.name, machine)
        phase, reason, message = self._state(ref.name, machine, addresses)
        return MachineView(ref, machine.id, phase, addresses, reason, message, machine.created_at)

    def _state(
        self, name: str, machine: Part, addresses: tuple[str, ...]
    ) -> tuple[MachinePhase, str | None, str | None]:
        if machine.deleting:
            return MachinePhase.DELETING, None, None
        if not machine.powered:
            return MachinePhase.STOPPED, None, None
        if held_up := self.connection.held_up(name):
            return MachinePhase.STARTING, *held_up
        if not self.connection.runs(machine):
            return MachinePhase.STARTING, None, None
        if not addresses:
            return MachinePhase.RUNNING, "NoAddress", "the guest reports no address"
        return MachinePhase.RUNNING, None, None
