"""Harvester-shaped clusters that live for the session: the simulated API server, and a real kube-apiserver.

The same controllers work on both. Each test has a namespace of its own in them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from kube.aio import AsyncKubeClient
from kube.credentials import Credentials
from kube.names import random_suffix
from kube.resources import NAMESPACES, VIRTUAL_MACHINE_IMAGES, VIRTUAL_MACHINES, Object
from simulator.apiserver import ApiServer, Authority
from simulator.controllers import Controllers, SimulationSettings
from simulator.controllers.aggregated import GROUP, VERSION, PowerApi, served_resources
from simulator.controllers.aggregated_server import AggregatedServer
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.seeds import IMAGE_NAME, NETWORK_NAME, ensure_seeds
from simulator.guests.machines import GuestMachines
from simulator.guests.timings import GuestTimings
from simulator.kinds import HARVESTER_KINDS
from tests.bed.crds import project_crds
from tests.bed.kubernetes import Bed
from tests.bed.loop_thread import LoopThread
from tests.node_driver.battery import HOSTILE_TEXTS
from tests.node_driver.harvester.bench import HarvesterBench
from tests.node_driver.harvester.tapped_client import TappedClient
from tests.simulator.guests.stage import FAST
from tests.simulator.running import LOOPBACK

PAUSE = 0.05


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def simulated_harvester(loop_thread: LoopThread) -> Iterator[Credentials]:
    """Administrator's credentials of a simulated Harvester cluster."""
    with loop_thread.entered(simulated_cluster()) as credentials:
        yield credentials


@pytest.fixture(scope="session")
def real_harvester(loop_thread: LoopThread, bed: Bed) -> Iterator[Credentials]:
    """Administrator's credentials of a real kube-apiserver at which Harvester's controllers are played."""
    server = bed.start_api_server("node-driver", project_crds() or (), controller_manager=True)
    with loop_thread.entered(played_cluster(server.admin_credentials, _aggregated_behind_service)):
        yield server.admin_credentials


@asynccontextmanager
async def simulated_cluster() -> AsyncIterator[Credentials]:
    server = ApiServer(HARVESTER_KINDS, Authority.generate("node-driver"))
    await server.start()

    @asynccontextmanager
    async def aggregated(client: AsyncKubeClient) -> AsyncIterator[None]:
        server.aggregate(GROUP, VERSION, PowerApi(client).answer, served_resources())
        yield

    try:
        async with played_cluster(server.admin_credentials(), aggregated):
            yield server.admin_credentials()
    finally:
        await server.stop()


@asynccontextmanager
async def _aggregated_behind_service(client: AsyncKubeClient) -> AsyncIterator[None]:
    server = AggregatedServer(client)
    await server.start()
    try:
        yield
    finally:
        await server.stop()


@asynccontextmanager
async def played_cluster(
    credentials: Credentials, aggregated: Callable[[AsyncKubeClient], AbstractAsyncContextManager[None]]
) -> AsyncIterator[None]:
    """Harvester's controllers at work on an API server, with what every such cluster has."""
    guests = GuestMachines(timings=GuestTimings(**FAST))
    async with AsyncKubeClient(credentials, guard=LOOPBACK) as client:
        await ensure_seeds(ObjectWriter(client), "127.0.0.1", ipaddress.IPv4Network("127.81.0.0/20"))
        async with aggregated(client):
            controllers = asyncio.create_task(Controllers(credentials, LOOPBACK, guests, quick_settings()).run())
            try:
                yield
            finally:
                controllers.cancel()
                await asyncio.gather(controllers, return_exceptions=True)
                await guests.close()


def quick_settings() -> SimulationSettings:
    """Everything as quick as it goes, but for the shutdown: tests look at machines that are being deleted."""
    return SimulationSettings(
        node_cpus=4096,
        node_memory_gib=8192,
        scheduling_delay=0.01,
        launch_delay=0.01,
        shutdown_delay=0.2,
        image_delay=0.05,
        volume_delay=0.01,
    )


def pause() -> None:
    """Between two looks at a cluster whose controllers work by themselves."""
    time.sleep(PAUSE)


def wait_for_image(client: TappedClient) -> None:
    deadline = time.monotonic() + 30
    image: Object = {}
    while (image.get("status") or {}).get("progress") != 100:
        assert time.monotonic() < deadline, f"the image is not ready: {image.get('status')}"
        pause()
        image = client.get(VIRTUAL_MACHINE_IMAGES, IMAGE_NAME, "default")


@pytest.fixture(params=["simulated", pytest.param("real", marks=[pytest.mark.kube, pytest.mark.servers])])
def server_bench(request: pytest.FixtureRequest) -> Iterator[HarvesterBench]:
    """The driver in an empty namespace of each of the two clusters, one after the other."""
    credentials: Credentials = request.getfixturevalue(f"{request.param}_harvester")
    location = f"team-{random_suffix()}"
    with TappedClient(credentials, guard=LOOPBACK) as client:
        wait_for_image(client)
        client.create(NAMESPACES, {"metadata": {"name": location}})
        bench = HarvesterBench(
            client, location, pause, image=f"default/{IMAGE_NAME}", network=f"default/{NETWORK_NAME}"
        )
        # One of each sort: the whole list, and more, is tried on the double.
        bench.hostile_texts = HOSTILE_TEXTS[2:4] + HOSTILE_TEXTS[5:6] + HOSTILE_TEXTS[9:11]
        yield bench
        for machine in client.list(VIRTUAL_MACHINES, location):
            client.delete(VIRTUAL_MACHINES, machine["metadata"]["name"], location)
