"""Harvester clusters to work on, each in a thread of its own: one on a real kube-apiserver, one simulated with faults."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from kube.aio import AsyncKubeClient
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.kubeconfig import render_kubeconfig
from simulator.apiserver.faults import Fault
from simulator.controllers import Controllers, SimulationSettings
from simulator.controllers.aggregated_server import AggregatedServer
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.seeds import ensure_seeds
from simulator.guests.machines import GuestMachines
from simulator.guests.network import random_block
from simulator.guests.timings import GuestTimings
from simulator.harvester import SimulatedHarvester
from tests.bed.kubernetes import ApiServer

LOOPBACK = AddressGuard(allow=["127.0.0.0/8"])
DEADLINE = 60.0

T = TypeVar("T")


class Harvester(ABC):
    """A context manager; ``credentials`` are the administrator's."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="harvester", daemon=True)

    @property
    @abstractmethod
    def credentials(self) -> Credentials: ...

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    @property
    def name(self) -> str:
        """What every test imports it as: a cluster is imported once."""
        return f"hci-{self.credentials.servers[0].rpartition(':')[2]}"

    def kubeconfig(self) -> str:
        """As an operator would paste it into a hub."""
        admin = self.credentials
        return render_kubeconfig(
            name=self.name,
            server=admin.servers[0],
            ca_pem=admin.ca_pem or "",
            client_cert_pem=admin.client_cert_pem,
            client_key_pem=admin.client_key_pem,
        )

    def client(self) -> KubeClient:
        """The administrator's view, for looking at what is left."""
        return KubeClient(self.credentials, guard=LOOPBACK)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()


class RealHarvester(Harvester):
    """A real kube-apiserver that the simulator's controllers make a Harvester of."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__()
        self.server = server
        self.block = random_block()
        self.guests = GuestMachines(block=self.block, timings=GuestTimings())
        self._controllers: asyncio.Task[None]

    @property
    def credentials(self) -> Credentials:
        return self.server.admin_credentials

    async def start(self) -> None:
        self._client = AsyncKubeClient(self.credentials, guard=LOOPBACK)
        await ensure_seeds(ObjectWriter(self._client), "127.0.0.1", self.block)
        self._aggregated = AggregatedServer(self._client)
        await self._aggregated.start()
        controllers = Controllers(self.credentials, LOOPBACK, self.guests, SimulationSettings())
        self._controllers = asyncio.create_task(controllers.run())

    async def stop(self) -> None:
        self._controllers.cancel()
        await asyncio.gather(self._controllers, return_exceptions=True)
        await self._aggregated.stop()
        await self.guests.close()
        await self._client.aclose()


class FaultyHarvester(Harvester):
    """A simulated cluster whose API does wrong what a test asks for."""

    def __init__(self) -> None:
        super().__init__()
        self._cluster = SimulatedHarvester("faulty")

    @property
    def credentials(self) -> Credentials:
        return self._cluster.credentials

    async def start(self) -> None:
        await self._cluster.start()

    async def stop(self) -> None:
        await self._cluster.stop()

    def add_fault(self, fault: Fault) -> Fault:
        """Switches a fault on; ``met`` of the fault counts whom it met."""
        self._loop.call_soon_threadsafe(self._cluster.server.faults.add, fault)
        return fault

    def clear_faults(self) -> None:
        self._loop.call_soon_threadsafe(self._cluster.server.faults.clear)
