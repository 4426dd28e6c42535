"""The simulated Harvester cluster as a whole, and the program that runs several of them."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kube.aio import AsyncKubeClient
from kube.errors import KubeError, ServerError
from kube.kubeconfig import parse_kubeconfig
from kube.resources import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    NAMESPACES,
    NETWORK_ATTACHMENT_DEFINITIONS,
    NODES,
    SECRETS,
    SETTINGS,
    STORAGE_CLASSES,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
)
from simulator.__main__ import UsageError, parse_options, share_network
from simulator.apiserver.faults import Fault, FaultKind
from simulator.controllers import SimulationSettings
from simulator.guests.timings import GuestTimings
from simulator.harvester import PortTaken, SimulatedHarvester
from tests.simulator.controllers.objects import cloud_init, machine
from tests.simulator.guests.stage import FAST, GuestClients, eventually
from tests.simulator.guests.user_data import ClusterPlan
from tests.simulator.running import LOOPBACK


def quick(name: str, folder: Path | None = None, port: int = 0) -> SimulatedHarvester:
    settings = SimulationSettings(
        node_prefix=name,
        scheduling_delay=0.01,
        launch_delay=0.01,
        shutdown_delay=0.01,
        image_delay=0.1,
        volume_delay=0.01,
    )
    return SimulatedHarvester(name, folder, port=port, settings=settings, timings=GuestTimings(**FAST))


@pytest.fixture
async def harvester() -> AsyncIterator[SimulatedHarvester]:
    async with quick("harvester-a") as running:
        yield running


@pytest.fixture
async def client(harvester: SimulatedHarvester) -> AsyncIterator[AsyncKubeClient]:
    async with AsyncKubeClient(parse_kubeconfig(harvester.kubeconfig(), guard=LOOPBACK), guard=LOOPBACK) as client:
        yield client


async def create_server(client: AsyncKubeClient, plan: ClusterPlan, name: str, join: str | None = None) -> None:
    """The objects that make one server machine of a guest cluster."""
    order = plan.server(name, join) if join else plan.first_server(name)
    await client.create(SECRETS, cloud_init(name, user_data=order.user_data or ""))
    await client.create(VIRTUAL_MACHINES, machine(name))


async def address_of(client: AsyncKubeClient, name: str) -> str:
    async def told() -> str:
        instance = await client.find(VIRTUAL_MACHINE_INSTANCES, name, "default")
        interfaces = (instance or {}).get("status", {}).get("interfaces") or [{}]
        return str(interfaces[0].get("ipAddress", ""))

    return str(await eventually(told, f"{name} has an address"))


async def test_what_every_harvester_has_is_there(harvester: SimulatedHarvester, client: AsyncKubeClient) -> None:
    for name in ("harvester-public", "harvester-system", "longhorn-system"):
        await client.get(NAMESPACES, name)
    for name in ("harvester-longhorn", "longhorn", "longhorn-static", "vmstate-persistence"):
        assert (await client.get(STORAGE_CLASSES, name))["provisioner"] == "driver.longhorn.io"
    for name in ("edit", "view", "cloudprovider", "csi-driver"):
        await client.get(CLUSTER_ROLES, f"harvesterhci.io:{name}")
    assert (await client.get(SETTINGS, "server-version"))["value"] == "v1.8.2"
    assert (await client.get(CONFIG_MAPS, "vip", "harvester-system"))["data"]["ip"] == "127.0.0.1"
    image = await client.get(VIRTUAL_MACHINE_IMAGES, "ubuntu-22.04", "default")
    await client.get(STORAGE_CLASSES, image["status"]["storageClassName"])
    network = await client.get(NETWORK_ATTACHMENT_DEFINITIONS, "vlan1", "default")
    assert str(harvester.block) in network["metadata"]["annotations"]["network.harvesterhci.io/route"]
    page = await client.list_page(NODES, limit=10)
    assert [node["metadata"]["name"] for node in page.items] == [f"harvester-a-{number}" for number in (1, 2, 3)]


async def test_three_server_machines_make_a_guest_cluster_that_outlives_the_first(client: AsyncKubeClient) -> None:
    plan = ClusterPlan("k3s")
    guests = GuestClients()
    await create_server(client, plan, "cp-0")
    addresses = [await address_of(client, "cp-0")]
    guest = guests.client(plan, addresses[0])
    await guests.wait_nodes(guest, {"cp-0": "True"})
    for number in (1, 2):
        await create_server(client, plan, f"cp-{number}", addresses[0])
        addresses.append(await address_of(client, f"cp-{number}"))
        await guests.wait_nodes(guest, {f"cp-{n}": "True" for n in range(number + 1)})

    path = "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachines/cp-0/stop"
    await client.call("PUT", path)

    other = guests.client(plan, addresses[1])
    await guests.wait_nodes(other, {"cp-0": "Unknown", "cp-1": "True", "cp-2": "True"})
    await guests.close()


async def test_a_deleted_guest_leaves_nothing_behind(tmp_path: Path) -> None:
    vm = machine("cp-0", annotations={"harvesterhci.io/removedPersistentVolumeClaims": "cp-0-disk-0"})
    order = ClusterPlan("k3s").first_server("cp-0")
    clusters, disks = tmp_path / "guests" / "clusters", tmp_path / "guests" / "disks"
    async with (
        quick("harvester-a", tmp_path) as harvester,
        AsyncKubeClient(harvester.credentials, guard=LOOPBACK) as client,
    ):
        await client.create(SECRETS, cloud_init("cp-0", user_data=order.user_data or ""))
        await client.create(VIRTUAL_MACHINES, vm)
        await eventually(lambda: clusters.exists() and list(clusters.iterdir()), "the guest cluster is kept")

        await client.delete(VIRTUAL_MACHINES, "cp-0", "default")

        await eventually(lambda: not list(clusters.iterdir()), "the guest cluster is gone")
        await eventually(lambda: not list(disks.iterdir()), "the disk is gone")


async def test_everything_is_as_it_was_after_a_restart(tmp_path: Path) -> None:
    plan = ClusterPlan("rke2")
    guests = GuestClients()
    async with quick("harvester-a", tmp_path) as first:
        kubeconfig, block = first.kubeconfig(), first.block
        async with AsyncKubeClient(parse_kubeconfig(kubeconfig, guard=LOOPBACK), guard=LOOPBACK) as client:
            await create_server(client, plan, "cp-0")
            address = await address_of(client, "cp-0")
            await guests.wait_nodes(guests.client(plan, address), {"cp-0": "True"})
            uid = (await client.get(VIRTUAL_MACHINE_INSTANCES, "cp-0", "default"))["metadata"]["uid"]

    async with quick("harvester-a", tmp_path) as second:
        assert second.block == block
        # The kubeconfig of the first run still holds: same address, authority and rights.
        async with AsyncKubeClient(parse_kubeconfig(kubeconfig, guard=LOOPBACK), guard=LOOPBACK) as client:
            assert (await client.get(VIRTUAL_MACHINE_INSTANCES, "cp-0", "default"))["metadata"]["uid"] == uid
            await guests.wait_nodes(guests.client(plan, address), {"cp-0": "True"})
            assert await address_of(client, "cp-0") == address
    assert oct((tmp_path / "state.json").stat().st_mode & 0o777) == "0o600"
    assert oct(tmp_path.stat().st_mode & 0o077) == "0o0"
    await guests.close()


async def test_faults_meet_clients_and_not_the_clusters_own_controllers(
    harvester: SimulatedHarvester, client: AsyncKubeClient
) -> None:
    await client.create(VIRTUAL_MACHINES, machine("web"))
    await client.create(SECRETS, cloud_init("web"))
    fault = harvester.server.faults.add(Fault(FaultKind.SERVER_ERROR, count=None))

    with pytest.raises(ServerError):
        await client.get(VIRTUAL_MACHINES, "web", "default")
    await eventually(lambda: harvester.guests.find("default", "web"), "the machine is on")

    harvester.server.faults.remove(fault)
    assert await address_of(client, "web")


async def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        harvester = quick("harvester-a", port=port)
        try:
            with pytest.raises(PortTaken, match=f"harvester-a: cannot listen on 127.0.0.1:{port}"):
                await harvester.start()
        finally:
            await harvester.stop()


async def test_two_clusters_in_one_loop_do_not_meet() -> None:
    async with quick("harvester-a") as one, quick("harvester-b") as other:
        systems: list[Object] = []
        for harvester in (one, other):
            async with AsyncKubeClient(harvester.credentials, guard=LOOPBACK) as client:
                systems.append(await client.get(NAMESPACES, "kube-system"))
        assert systems[0]["metadata"]["uid"] != systems[1]["metadata"]["uid"]
        async with AsyncKubeClient(one.credentials, guard=LOOPBACK) as client:
            await client.create(VIRTUAL_MACHINES, machine("web", strategy="Halted"))
        async with AsyncKubeClient(other.credentials, guard=LOOPBACK) as client:
            assert await client.find(VIRTUAL_MACHINES, "web", "default") is None


def options(folder: Path, *arguments: str) -> list[str]:
    return ["--name", "harvester-a", "--name", "harvester-b", "--folder", str(folder), *arguments]


def test_clusters_share_the_network_and_keep_their_shares(tmp_path: Path) -> None:
    given = parse_options(options(tmp_path, "--network", "127.80.0.0/16"))
    shares = share_network(given)
    assert shares == {
        "harvester-a": ipaddress.IPv4Network("127.80.0.0/20"),
        "harvester-b": ipaddress.IPv4Network("127.80.16.0/20"),
    }
    kept = tmp_path / "harvester-b" / "state.json"
    kept.parent.mkdir()
    kept.write_text('{"port": 1, "block": "127.80.0.0/20"}')

    assert share_network(given)["harvester-b"] == ipaddress.IPv4Network("127.80.0.0/20")
    assert share_network(given)["harvester-a"] == ipaddress.IPv4Network("127.80.16.0/20")
    assert share_network(parse_options(options(tmp_path)))["harvester-a"].subnet_of(
        ipaddress.IPv4Network("127.80.0.0/16")
    )
    with pytest.raises(UsageError, match="not in --network"):
        share_network(parse_options(options(tmp_path, "--network", "127.90.0.0/16")))


def test_a_network_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too small"):
        share_network(parse_options(options(tmp_path, "--network", "127.80.0.0/28")))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--folder", "/tmp/x"],
        ["--name", "Bad_Name", "--folder", "/tmp/x"],
        ["--name", "a", "--name", "a", "--folder", "/tmp/x"],
        ["--name", "a", "--folder", "/tmp/x", "--listen", "0.0.0.0"],
        ["--name", "a", "--folder", "/tmp/x", "--network", "10.0.0.0/16"],
        ["--name", "a", "--folder", "/tmp/x", "--network", "127.80.0.1/16"],
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        parse_options(arguments)

    assert refusal.value.code == 2


# Each of these starts Python anew, with all that a cluster imports: too slow for the part that runs at every change.
own_process = pytest.mark.servers


def start_program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulator", *options(folder, *arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@own_process
async def test_the_program_writes_kubeconfigs_and_ends_cleanly(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = start_program(tmp_path, "--ready-file", str(ready))
    try:
        await eventually(lambda: ready.exists() or program.poll() is not None, "the program is ready")
        assert program.poll() is None, program.communicate()[0]
        for name in ("harvester-a", "harvester-b"):
            path = tmp_path / f"{name}.kubeconfig"
            assert path.stat().st_mode & 0o777 == 0o600
            async with AsyncKubeClient(parse_kubeconfig(path.read_text(), guard=LOOPBACK), guard=LOOPBACK) as client:
                assert await client.find(VIRTUAL_MACHINE_IMAGES, "ubuntu-22.04", "default") is not None
        program.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(program.wait, 20) == 0
    finally:
        program.kill()
        program.communicate()


@own_process
async def test_the_program_names_a_taken_port_and_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = start_program(tmp_path, "--port", str(port))
        output, _ = await asyncio.to_thread(program.communicate, None, 60)

    assert program.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in output
    assert "Traceback" not in output


@own_process
async def test_the_program_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    program = start_program(blocked)
    output, _ = await asyncio.to_thread(program.communicate, None, 60)

    assert program.returncode == 1
    assert f"--folder {blocked}" in output


@own_process
async def test_the_program_dies_with_its_parent_when_asked(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    arguments = options(tmp_path, "--ready-file", str(ready), "--die-with-parent")
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'simulator', *{arguments!r}])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        await eventually(ready.exists, "the program is ready")
        parent.kill()
        parent.communicate()

        def is_gone() -> bool:
            # Nobody may be there to reap it; a zombie has ended too.
            try:
                return "\nState:\tZ" in Path(f"/proc/{child}/status").read_text()
            except OSError:
                return True

        await eventually(is_gone, "the program has ended")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        parent.kill()


async def test_without_credentials_nothing_is_told(harvester: SimulatedHarvester) -> None:
    anonymous = type(harvester.credentials)((harvester.url,), harvester.credentials.ca_pem, token="x")
    async with AsyncKubeClient(anonymous, guard=LOOPBACK) as client:
        with pytest.raises(KubeError) as refusal:
            await client.list_page(SECRETS, limit=1)

    assert refusal.value.code == 401
