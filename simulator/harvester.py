"""A Harvester cluster in one process: API server, controllers, seeded objects, and the machines' insides.

With a folder its state outlives the process: objects, keys, port, the machines' network, disks and guest clusters.
"""

import asyncio
import ipaddress
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from kube.aio import AsyncKubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.kubeconfig import render_kubeconfig
from kube.resources import NODES, VIRTUAL_MACHINE_IMAGES
from simulator.apiserver import ApiServer, Authority, Store
from simulator.apiserver.journal import Journal
from simulator.conditions import condition_status
from simulator.controllers import Controllers, SimulationSettings
from simulator.controllers.aggregated import GROUP, VERSION, PowerApi, served_resources
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.seeds import IMAGE_NAME, ensure_seeds
from simulator.guests.machines import GuestMachines
from simulator.guests.network import random_block
from simulator.guests.timings import GuestTimings
from simulator.kinds import HARVESTER_KINDS
from simulator.private_files import write_private

_STATE_FILE = "state.json"


class PortTaken(Exception):
    """Another program listens where this cluster is to listen; the message names the address."""


@dataclass(frozen=True, slots=True)
class HarvesterState:
    """What must stay the same over restarts, so that kubeconfigs and machine addresses stay true."""

    port: int
    block: str


def read_state(folder: Path) -> HarvesterState | None:
    """The state kept in a cluster's folder, None when it never ran."""
    path = folder / _STATE_FILE
    return HarvesterState(**json.loads(path.read_text())) if path.exists() else None


class SimulatedHarvester:
    """One simulated Harvester cluster; an async context manager.

    `port` 0 is the port of the last run, or a free one. `block` is the machines' network, of the last run or a random one
    when None. `settings` and `timings` may be changed while it runs.
    """

    def __init__(
        self,
        name: str,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        block: ipaddress.IPv4Network | None = None,
        settings: SimulationSettings | None = None,
        timings: GuestTimings | None = None,
    ) -> None:
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = read_state(folder) if folder else None
        self.name = name
        self._folder = folder
        self._host = host
        self._port = port or (kept.port if kept else 0)
        self.block = block or (ipaddress.IPv4Network(kept.block) if kept else random_block())
        self.settings = settings or SimulationSettings(node_prefix=name)
        self.timings = timings or GuestTimings()
        authority = Authority.ensure(folder / "pki", name) if folder else Authority.generate(name)
        store = Store(Journal(folder / "objects.journal") if folder else None)
        self.server = ApiServer(HARVESTER_KINDS, authority, store=store, host=host, port=self._port)
        self.guests = GuestMachines(folder / "guests" if folder else None, block=self.block, timings=self.timings)
        self._client: AsyncKubeClient | None = None
        self._controllers: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serves, seeds, and returns when the hosts are Ready and the first image is there. Raises PortTaken."""
        try:
            await self.server.start()
        except OSError as error:
            raise PortTaken(f"{self.name}: cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        self._keep_state()
        credentials = self.server.inside_credentials()
        self._client = AsyncKubeClient(credentials, guard=self._guard(), field_manager="virt-api")
        self.server.aggregate(GROUP, VERSION, PowerApi(self._client).answer, served_resources())
        await ensure_seeds(ObjectWriter(self._client), self._host, self.block)
        controllers = Controllers(credentials, self._guard(), self.guests, self.settings)
        self._controllers = asyncio.create_task(controllers.run())
        await self._wait_ready(self._client)

    async def stop(self) -> None:
        """Powers the machines off as a blackout does, and closes everything; what is kept stays."""
        if self._controllers is not None:
            self._controllers.cancel()
            await asyncio.gather(self._controllers, return_exceptions=True)
            self._controllers = None
        await self.guests.close()
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        await self.server.stop()

    async def run_until_failure(self) -> None:
        """Returns only by raising what ended the controllers; they are not to end by themselves."""
        if self._controllers is None:
            raise RuntimeError("the cluster is not started")
        await asyncio.shield(self._controllers)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def credentials(self) -> Credentials:
        """The administrator's."""
        return self.server.admin_credentials()

    def kubeconfig(self) -> str:
        """The administrator's kubeconfig, as an operator would paste it into a hub."""
        admin = self.credentials
        return render_kubeconfig(
            name=self.name,
            server=self.url,
            ca_pem=admin.ca_pem or "",
            client_cert_pem=admin.client_cert_pem,
            client_key_pem=admin.client_key_pem,
        )

    def _guard(self) -> AddressGuard:
        return AddressGuard(allow=[self.url.removeprefix("https://")])

    def _keep_state(self) -> None:
        if self._folder is not None:
            port = int(self.url.rpartition(":")[2])
            state = HarvesterState(port=port, block=str(self.block))
            write_private(self._folder / _STATE_FILE, json.dumps(asdict(state)))

    async def _wait_ready(self, client: AsyncKubeClient) -> None:
        while not await self._is_ready(client):
            if self._controllers is not None and self._controllers.done():
                self._controllers.result()
            await asyncio.sleep(0.05)

    async def _is_ready(self, client: AsyncKubeClient) -> bool:
        image = await client.find(VIRTUAL_MACHINE_IMAGES, IMAGE_NAME, "default")
        # An operator may have deleted it since; nobody waits for what is not wanted.
        if image is not None and not (image.get("status") or {}).get("storageClassName"):
            return False
        nodes = [await client.find(NODES, name) for name in self.settings.node_names]
        return all(
            node is not None and condition_status(node.get("status", {}).get("conditions") or [], "Ready") == "True"
            for node in nodes
        )
