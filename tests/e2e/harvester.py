"""A Harvester cluster made of a real kube-apiserver and the simulator's controllers, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from kube.aio import AsyncKubeClient
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.kubeconfig import render_kubeconfig
from simulator.controllers import Controllers, SimulationSettings
from simulator.controllers.aggregated_server import AggregatedServer
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.seeds import ensure_seeds
from simulator.guests.machines import GuestMachines
from simulator.guests.network import random_block
from simulator.guests.timings import GuestTimings
from tests.bed.kubernetes import ApiServer

LOOPBACK = AddressGuard(allow=["127.0.0.0/8"])
DEADLINE = 60.0

T = TypeVar("T")


class RealHarvester:
    """Seeds and plays Harvester on ``server``; a context manager. Its machines get loopback addresses."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.settings = SimulationSettings()
        self.block = random_block()
        self.guests = GuestMachines(block=self.block, timings=GuestTimings())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="harvester", daemon=True)
        self._controllers: asyncio.Task[None]

    @property
    def credentials(self) -> Credentials:
        admin = self.server
        return Credentials((admin.url,), admin.ca_pem, None, admin.admin_client_cert_pem, admin.admin_client_key_pem)

    @property
    def name(self) -> str:
        """What every test imports it as: a cluster is imported once."""
        return f"hci-{self.server.url.rpartition(':')[2]}"

    def kubeconfig(self) -> str:
        """The administrator's, as an operator would paste it into a hub."""
        admin = self.credentials
        return render_kubeconfig(
            name=self.name,
            server=self.server.url,
            ca_pem=admin.ca_pem or "",
            client_cert_pem=admin.client_cert_pem,
            client_key_pem=admin.client_key_pem,
        )

    def client(self) -> KubeClient:
        """The administrator's view, for looking at what is left."""
        return KubeClient(self.credentials, guard=LOOPBACK)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    async def _start(self) -> None:
        self._client = AsyncKubeClient(self.credentials, guard=LOOPBACK)
        await ensure_seeds(ObjectWriter(self._client), "127.0.0.1", self.block)
        self._aggregated = AggregatedServer(self._client)
        await self._aggregated.start()
        controllers = Controllers(self.credentials, LOOPBACK, self.guests, self.settings)
        self._controllers = asyncio.create_task(controllers.run())

    async def _stop(self) -> None:
        self._controllers.cancel()
        await asyncio.gather(self._controllers, return_exceptions=True)
        await self._aggregated.stop()
        await self.guests.close()
        await self._client.aclose()
