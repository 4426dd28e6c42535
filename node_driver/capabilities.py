"""Abilities beyond the base contract, each an extra base class of the drivers that have it.

Who supports what is computed from the classes (capabilities_of), never typed in a list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from node_driver.types import MachineRef


class PowerControl(ABC):
    """Power of a machine. Each call asks and returns; asking for the state that is already there succeeds (ND-24).

    Raises MachineNotFound, OwnershipConflict and the retryable errors.
    """

    @abstractmethod
    def start(self, ref: MachineRef) -> None:
        """Powers the machine on."""

    @abstractmethod
    def stop(self, ref: MachineRef) -> None:
        """Powers the machine down, the guest's own way first. It stays down until start()."""

    @abstractmethod
    def restart(self, ref: MachineRef) -> None:
        """Powers the machine down and on again; a stopped machine is started."""


CAPABILITIES: dict[str, type[ABC]] = {"power": PowerControl}


def capabilities_of(driver: type) -> frozenset[str]:
    """Names of the capabilities that a driver class has."""
    return frozenset(name for name, mixin in CAPABILITIES.items() if issubclass(driver, mixin))
