"""The battery on the fake driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from node_driver.errors import InfrastructureUnavailable
from node_driver.fake.driver import FakeDriver
from node_driver.fake.infrastructure import FakeInfrastructure, Part
from node_driver.types import MachineRef, Owner
from tests.node_driver.battery import DriverBattery, DriverBench


class FakeBench(DriverBench):
    def __init__(self) -> None:
        self.infrastructure = FakeInfrastructure(deletion_steps=1)
        self.driver = FakeDriver(self.infrastructure)
        self.location = "room-1"
        self.settings = FakeDriver.settings.validate({"image": "fake/image", "network": "fake/network"})
        self.missing_image = {**self.settings, "image": "fake/none"}
        self.missing_network = {**self.settings, "network": "fake/none"}

    def parts(self) -> list[str]:
        return [f"{kind} {name}" for location, name, kind in self.infrastructure.parts if location == self.location]

    def open_text(self) -> str:
        return repr([part for part in self.infrastructure.parts.values() if part.kind != "Secret"])

    def documents(self, ref: MachineRef) -> tuple[str, str | None]:
        data = self._part(ref, "Secret").data
        return data["user_data"], data.get("network_data")

    def labels(self, ref: MachineRef) -> Mapping[str, str]:
        return self._part(ref, "Machine").labels

    def occupy(self, name: str) -> None:
        owner = Owner("another-hub", 0, "another-machine", "another-tenant")
        self.infrastructure.parts[self.location, name, "Machine"] = Part(kind="Machine", owner=owner, labels={})

    @contextmanager
    def die_before_machine(self) -> Iterator[None]:
        self.infrastructure.fail("create Machine", InfrastructureUnavailable("cut short"))
        yield

    @contextmanager
    def lose_answers(self) -> Iterator[None]:
        self.infrastructure.lose_answer("create", InfrastructureUnavailable("the answer was lost"))
        yield

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        self.infrastructure.reachable = False
        yield
        self.infrastructure.reachable = True

    def advance(self) -> None:
        """Observing is what moves the fake infrastructure."""

    def _part(self, ref: MachineRef, kind: str) -> Part:
        return self.infrastructure.parts[ref.location, ref.name, kind]


@pytest.fixture
def bench() -> FakeBench:
    return FakeBench()


class TestFakeDriver(DriverBattery):
    pass
