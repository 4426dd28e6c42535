"""An infrastructure in memory: a boot that takes observations instead of time, and faults on request.

It is the world that FakeDriver talks to. It knows nothing of the contract's promises; they are the driver's work.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from uuid import uuid4

from node_driver.errors import DriverError, InfrastructureUnavailable
from node_driver.types import MachineOrder, Owner

FIRST_ADDRESS = IPv4Address("10.250.0.1")

Key = tuple[str, str, str]
"""(location, machine name, kind)"""


@dataclass(slots=True)
class Part:
    """One object of a machine: kind Secret, Disk or Machine. Only a Secret has data, only a Machine boots."""

    kind: str
    owner: Owner
    labels: dict[str, str]
    data: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid4()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    powered: bool = True
    deleting: bool = False
    boot_steps: int = 0
    deletion_steps: int = 0
    address: str = ""
    static_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fault:
    error: DriverError
    after_effect: bool


class FakeInfrastructure:
    """Thread-safe: every driver call runs as one step under the lock.

    images, networks: what exists. capacity: how many machines fit a location, None for no limit.
    boot_steps: how many observations a machine stays `starting`. deletion_steps: how many delete() calls it outlives.
    reachable: while False, every call finds nobody.
    calls: names of the driver calls that arrived, in order.
    """

    def __init__(
        self,
        *,
        images: Collection[str] = ("fake/image",),
        networks: Collection[str] = ("fake/network",),
        capacity: int | None = None,
        boot_steps: int = 1,
        deletion_steps: int = 0,
    ) -> None:
        self.images = set(images)
        self.networks = set(networks)
        self.capacity = capacity
        self.boot_steps = boot_steps
        self.deletion_steps = deletion_steps
        self.reachable = True
        self.parts: dict[Key, Part] = {}
        self.calls: list[str] = []
        self._faults: defaultdict[str, deque[_Fault]] = defaultdict(deque)
        self._held_up: dict[str, tuple[str, str]] = {}
        self._without_address: set[str] = set()
        self._addresses_given = 0
        self._lock = threading.RLock()

    # Faults on request

    def fail(self, call: str, error: DriverError, *, times: int = 1) -> None:
        """The next `times` calls of that name raise the error and do nothing.

        call: a method of the driver ("create", "get", ...) or "create Secret", "create Disk", "create Machine": the
        step inside create() before that part is made, which leaves the parts before it behind.
        """
        self._plan(call, _Fault(error, after_effect=False), times)

    def lose_answer(self, call: str, error: DriverError, *, times: int = 1) -> None:
        """The next `times` calls of that name take effect, then raise the error instead of answering."""
        self._plan(call, _Fault(error, after_effect=True), times)

    def hold_up(self, name: str, reason: str, message: str) -> None:
        """The machine of that name does not boot, for the reason given, until release()."""
        with self._lock:
            self._held_up[name] = (reason, message)

    def withhold_address(self, name: str) -> None:
        """The machine of that name runs but never has an address, until release()."""
        with self._lock:
            self._without_address.add(name)

    def release(self, name: str) -> None:
        """Ends hold_up and withhold_address for that machine."""
        with self._lock:
            self._held_up.pop(name, None)
            self._without_address.discard(name)

    def _plan(self, call: str, fault: _Fault, times: int) -> None:
        with self._lock:
            self._faults[call].extend([fault] * times)

    # What the driver does here

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """One step under the lock, with the fault planned for that name, if any."""
        with self._lock:
            self.calls.append(name)
            if not self.reachable:
                raise InfrastructureUnavailable("the fake infrastructure does not answer")
            fault = self._faults[name].popleft() if self._faults[name] else None
            if fault and not fault.after_effect:
                raise fault.error
            yield
            if fault:
                raise fault.error

    def make(self, kind: str, order: MachineOrder, data: dict[str, str]) -> Part:
        """Adds one part of the ordered machine, or answers the one that is there, with a Secret's data brought up to
        date."""
        with self.call(f"create {kind}"):
            part = Part(kind=kind, owner=order.ref.owner, labels=dict(order.labels), data=data)
            if kind == "Machine":
                part.boot_steps = self.boot_steps
                part.deletion_steps = self.deletion_steps
                part.static_addresses = order.static_addresses
            kept = self.parts.setdefault((order.ref.location, order.ref.name, kind), part)
            if order.ref.owner.owns(kept.owner):
                kept.data = data
            return kept

    def observe(self, name: str, machine: Part) -> None:
        """One observation brings a powered machine one step nearer to an address."""
        if machine.deleting or not machine.powered or name in self._held_up:
            return
        if machine.boot_steps > 0:
            machine.boot_steps -= 1
        elif not machine.address:
            machine.address = str(FIRST_ADDRESS + self._addresses_given)
            self._addresses_given += 1

    def power(self, machine: Part, on: bool) -> None:
        """Powers on, which begins a boot, or off. What is there already stays as it is."""
        if on and not machine.powered:
            machine.boot_steps = self.boot_steps
        machine.powered = on

    def runs(self, machine: Part) -> bool:
        return machine.powered and machine.boot_steps == 0 and bool(machine.address)

    def addresses(self, name: str, machine: Part) -> tuple[str, ...]:
        if name in self._without_address or not self.runs(machine):
            return ()
        return machine.static_addresses or (machine.address,)

    def held_up(self, name: str) -> tuple[str, str] | None:
        return self._held_up.get(name)

    def machines_in(self, location: str) -> int:
        return sum(1 for where, _, kind in self.parts if where == location and kind == "Machine")
