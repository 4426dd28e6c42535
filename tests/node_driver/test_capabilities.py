"""Capabilities are computed from the classes."""

from __future__ import annotations

from node_driver.capabilities import PowerControl, capabilities_of
from node_driver.fake.driver import FakeDriver
from node_driver.harvester.driver import HarvesterDriver
from node_driver.types import MachineRef


class _Powered(PowerControl):
    def start(self, ref: MachineRef) -> None: ...
    def stop(self, ref: MachineRef) -> None: ...
    def restart(self, ref: MachineRef) -> None: ...


def test_a_class_has_the_capabilities_it_derives_from_and_no_others() -> None:
    assert capabilities_of(_Powered) == {"power"}
    assert capabilities_of(object) == frozenset()


def test_our_drivers_control_power() -> None:
    assert capabilities_of(FakeDriver) == {"power"}
    assert capabilities_of(HarvesterDriver) == {"power"}
