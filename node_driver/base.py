"""The class every driver derives from. What each method promises is the rule table in README.md (ND-..)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from node_driver.settings import SettingsSchema
from node_driver.types import MachineOrder, MachineRef, MachineView, Probe, Problem, Remains

Connection = TypeVar("Connection")
"""What a driver talks through; made and closed by the caller (harvester: kube.client.KubeClient)."""


class NodeDriver(ABC, Generic[Connection]):
    """Makes and removes machines on one infrastructure.

    An instance holds its connections and no other state: it may be made per call, and threads may share it. No method
    waits for the infrastructure to finish something; get() observes. Errors are node_driver.errors.DriverError,
    nothing else.

    ``connection`` may be limited to the locations of machines. What settings name lies elsewhere (images, networks) and
    is only read, through ``lookup``; without one that is the same connection.
    """

    name: ClassVar[str]
    settings: ClassVar[SettingsSchema]

    def __init__(self, connection: Connection, lookup: Connection | None = None) -> None:
        self.connection = connection
        self.lookup = connection if lookup is None else lookup

    @abstractmethod
    def probe(self) -> Probe:
        """Says whether the infrastructure answers and what the driver lacks there. Never raises (ND-01)."""

    @abstractmethod
    def check(self, location: str, settings: Mapping[str, Any]) -> Sequence[Problem]:
        """Compares validated settings with what exists (image, networks, classes). Makes nothing (ND-02)."""

    @abstractmethod
    def create(self, order: MachineOrder) -> MachineView:
        """Makes the machine, or adopts it when it exists and is ours (ND-03 to ND-09)."""

    @abstractmethod
    def get(self, ref: MachineRef) -> MachineView:
        """Observes one machine. Raises MachineNotFound; OwnershipConflict for somebody else's (ND-10, ND-11)."""

    @abstractmethod
    def list_owned(self, location: str, hub_id: str) -> Sequence[MachineView]:
        """All machines of that hub there, half-made and half-deleted ones too, for the sweeper (ND-20)."""

    @abstractmethod
    def delete(self, ref: MachineRef) -> Remains:
        """Removes what it can now and says what still exists. Call again until Remains is empty (ND-14 to ND-17)."""

    @abstractmethod
    def forget_bootstrap(self, ref: MachineRef) -> None:
        """Takes the join material out of what the infrastructure keeps; the machine itself is not touched (ND-13)."""
