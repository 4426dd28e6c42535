"""The controllers on a simulated API server and on a real kube-apiserver: the same tests see both."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from kube.aio import AsyncKubeClient
from kube.credentials import Credentials
from kube.names import random_suffix
from kube.resources import (
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from simulator.apiserver import ApiServer, Authority
from simulator.apiserver.faults import Fault
from simulator.controllers import Controllers, SimulationSettings
from simulator.controllers.aggregated import GROUP, VERSION, PowerApi, served_resources
from simulator.controllers.aggregated_server import AggregatedServer
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.seeds import ensure_seeds
from simulator.guests.machines import GuestMachines
from simulator.guests.timings import GuestTimings
from simulator.kinds import HARVESTER_KINDS
from tests.bed import crds
from tests.bed.kubernetes import ApiServer as RealApiServer
from tests.bed.kubernetes import Bed
from tests.simulator.controllers.objects import cloud_init, machine
from tests.simulator.guests.stage import FAST, eventually
from tests.simulator.running import LOOPBACK

Issue = Callable[[str], Credentials]
Power = Callable[[], Awaitable[None]]
UPSTREAM = pytest.param("upstream", marks=[pytest.mark.kube, pytest.mark.servers])
BOTH = ["simulated", pytest.param("real", marks=[pytest.mark.kube, pytest.mark.servers])]


class Cluster:
    """A Harvester-shaped cluster with controllers at work, and a namespace of the test's own."""

    def __init__(
        self,
        client: AsyncKubeClient,
        guests: GuestMachines,
        settings: SimulationSettings,
        issue: Issue,
        power: Power,
    ) -> None:
        self.client = client
        self.guests = guests
        self.settings = settings
        self.namespace = f"test-{random_suffix()}"
        self._issue = issue
        self._power = power
        self._power_lock = asyncio.Lock()
        self._serves_power = False
        self.inject: Callable[[Fault], object] = lambda fault: pytest.fail("real servers have no faults on request")

    def client_of(self, user: str) -> AsyncKubeClient:
        """A client of a user whom the server knows by certificate."""
        return AsyncKubeClient(self._issue(user), guard=LOOPBACK)

    async def start_machine(self, name: str, user_data: str | None = None, **changes: Any) -> Object:
        """Creates the machine and its cloud-init, and waits until it runs with an address."""
        await self.client.create(VIRTUAL_MACHINES, machine(name, self.namespace, **changes))
        secret = cloud_init(name, self.namespace, **({"user_data": user_data} if user_data else {}))
        await self.client.create(SECRETS, secret)
        return await self.wait_running(name)

    async def wait_running(self, name: str) -> Object:
        def runs(instance: Object) -> bool:
            interfaces = instance.get("status", {}).get("interfaces") or [{}]
            return instance["status"].get("phase") == "Running" and bool(interfaces[0].get("ipAddress"))

        return await self.until(VIRTUAL_MACHINE_INSTANCES, name, runs)

    async def vm(self, name: str) -> Object:
        return await self.client.get(VIRTUAL_MACHINES, name, self.namespace)

    async def wait_status(self, name: str, printable: str) -> Object:
        return await self.until(
            VIRTUAL_MACHINES, name, lambda vm: vm.get("status", {}).get("printableStatus") == printable
        )

    async def until(self, resource: Resource, name: str, check: Callable[[Object], bool]) -> Object:
        """The object once it is as wanted."""
        seen: list[Object] = []

        async def reached() -> Object | None:
            obj = await self.client.find(resource, name, self.namespace if resource.namespaced else None)
            seen[:] = [obj] if obj else []
            return obj if obj is not None and check(obj) else None

        obj: Object = await eventually(reached, f"{resource.kind} {name} as wanted")
        return obj

    async def until_gone(self, resource: Resource, name: str) -> None:
        async def gone() -> bool:
            return await self.client.find(resource, name, self.namespace if resource.namespaced else None) is None

        await eventually(gone, f"{resource.kind} {name} is gone")

    async def serve_power(self) -> None:
        """The aggregated API answers from now on; behind an APIService that takes a second, so not every test pays."""
        async with self._power_lock:
            if not self._serves_power:
                await self._power()
                self._serves_power = True

    async def act(self, name: str, action: str, body: Any = None) -> None:
        await self.serve_power()
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/virtualmachines/{name}/{action}"
        await self.client.call("PUT", path, body=body)

    async def clear(self) -> None:
        """Takes the test's machines away, so that the next test's controllers do not find them."""
        for resource in (VIRTUAL_MACHINES, VIRTUAL_MACHINE_INSTANCES, PERSISTENT_VOLUME_CLAIMS):
            page = await self.client.list_page(resource, self.namespace, limit=100)
            for obj in page.items:
                await self.client.delete(resource, obj["metadata"]["name"], self.namespace)
        for resource in (VIRTUAL_MACHINES, VIRTUAL_MACHINE_INSTANCES):
            page = await self.client.list_page(resource, self.namespace, limit=100)
            for obj in page.items:
                await self.until_gone(resource, obj["metadata"]["name"])


@pytest.fixture(scope="session")
def real_harvester(bed: Bed) -> RealApiServer:
    """A real kube-apiserver of this folder's own, because these controllers touch every machine there is."""
    return bed.start_api_server("simulator-controllers", crds.project_crds() or (), controller_manager=True)


@pytest.fixture(scope="session")
def upstream_harvester(bed: Bed) -> RealApiServer:
    """The same with the definitions that the upstream projects ship; for a test or two, because it takes 400 MB."""
    own = crds.project_crds()
    upstream = crds.real_crds({crd["spec"]["group"] for crd in own} if own else None)
    if upstream is None:
        pytest.skip("real CRDs not at hand: PADDOCK_CRDS names no folder")
    return bed.start_api_server("simulator-controllers-upstream", upstream, controller_manager=True)


@pytest.fixture
def settings() -> SimulationSettings:
    return SimulationSettings(
        scheduling_delay=0.01,
        launch_delay=0.01,
        shutdown_delay=0.01,
        image_delay=0.1,
        volume_delay=0.01,
        node_heartbeat=1.0,
    )


@pytest.fixture(params=BOTH)
async def cluster(request: pytest.FixtureRequest, settings: SimulationSettings) -> AsyncIterator[Cluster]:
    if request.param != "simulated":
        server: RealApiServer = request.getfixturevalue(f"{request.param}_harvester")

        def issue(user: str) -> Credentials:
            pair = server.client_certificate(user)
            return Credentials((server.url,), server.ca_pem, None, pair.certificate_pem, pair.key_pem)

        async for cluster in _at_work(server.admin_credentials, settings, issue, None):
            yield cluster
        return
    simulated = ApiServer(HARVESTER_KINDS, Authority.generate("test"))
    await simulated.start()

    def issue_simulated(user: str) -> Credentials:
        pair = simulated.authority.issue_client(user)
        ca_pem = simulated.authority.server_ca.certificate
        return Credentials((simulated.url,), ca_pem, None, pair.certificate, pair.key)

    try:
        async for cluster in _at_work(simulated.admin_credentials(), settings, issue_simulated, simulated):
            yield cluster
    finally:
        await simulated.stop()


async def _at_work(
    credentials: Credentials, settings: SimulationSettings, issue: Issue, simulated: ApiServer | None
) -> AsyncIterator[Cluster]:
    guests = GuestMachines(timings=GuestTimings(**FAST))
    async with AsyncKubeClient(credentials, guard=LOOPBACK) as client:
        await ensure_seeds(ObjectWriter(client), "127.0.0.1", ipaddress.IPv4Network("127.80.0.0/20"))
        aggregated = AggregatedServer(client)

        async def mount_power() -> None:
            if simulated:
                simulated.aggregate(GROUP, VERSION, PowerApi(client).answer, served_resources())

        power = mount_power if simulated else aggregated.start
        controllers = asyncio.create_task(Controllers(credentials, LOOPBACK, guests, settings).run())
        cluster = Cluster(client, guests, settings, issue, power)
        await client.create(NAMESPACES, {"metadata": {"name": cluster.namespace}})
        if simulated:
            cluster.inject = simulated.faults.add
        try:
            yield cluster
            await cluster.clear()
        finally:
            controllers.cancel()
            await asyncio.gather(controllers, return_exceptions=True)
            await guests.close()
            if not simulated:
                await aggregated.stop()
