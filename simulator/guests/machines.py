"""Machines that are powered on, and what they do from the first second: cloud-init, network, agent, services.

Whoever owns the power button (`simulator.controllers`) calls `boot` and `halt` and looks at `GuestMachine`; nothing here
knows of virtual machine objects.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulator.guests.boot_log import BootLog
from simulator.guests.cloud_init import UserData, UserDataRefused, parse_user_data
from simulator.guests.cluster_shelf import ClusterShelf
from simulator.guests.commands import CommandRunner
from simulator.guests.disk import Disk, DiskShelf
from simulator.guests.distribution import find_unit
from simulator.guests.network import AddressTaken, MachineNetwork, random_block
from simulator.guests.network_data import NetworkDataRefused, parse_network_data
from simulator.guests.service import NodeService
from simulator.guests.timings import GuestTimings

_log = logging.getLogger(__name__)

Listener = Callable[[tuple[str, str]], None]


@dataclass(frozen=True, slots=True)
class BootOrder:
    """What a machine is powered on with. `disk_id` names its root disk; `cpus` and `memory` are quantities."""

    namespace: str
    name: str
    disk_id: str
    hostname: str
    user_data: str | None = None
    network_data: str | None = None
    cpus: str = "1"
    memory: str = "1Gi"

    def __repr__(self) -> str:
        return f"BootOrder({self.namespace}/{self.name}, disk {self.disk_id})"


class GuestMachine:
    """One machine from power on to power off. `address` is empty until the network is up."""

    def __init__(self, order: BootOrder, disk: Disk, log: BootLog, host: "GuestMachines") -> None:
        self.order = order
        self.log = log
        self.address = ""
        self.guest_agent = False
        self._disk = disk
        self._host = host
        self._services: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def power_on(self) -> None:
        self._task = self._watched(asyncio.create_task(self._run()))

    async def power_off(self) -> None:
        """At once and without a word, as pulling the plug does."""
        tasks = [task for task in (self._task, *self._services.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._host.network.set_down(self.address)
        self.address, self.guest_agent = "", False

    async def _run(self) -> None:
        self.log.write("machine", "powered on")
        await asyncio.sleep(self._host.timings.boot)
        user_data = self._user_data()
        self._disk.hostname = self._disk.hostname or (user_data.hostname if user_data else "") or self.order.hostname
        self._bring_up_network()
        if user_data is not None:
            await self._provision(user_data)
        else:
            self._announce_agent()
            for unit in self._disk.enabled:
                self._start_unit(unit)
        self._save()

    def _user_data(self) -> UserData | None:
        """The user data to carry out; None when this disk has been through it, or when it is refused."""
        if self._disk.provisioned:
            self.log.write("cloud-init", "instance id unchanged, per-instance modules are not run again")
            return None
        self._disk.provisioned = True
        if not self.order.user_data:
            self.log.write("cloud-init", "no user data")
            return None
        try:
            return parse_user_data(self.order.user_data)
        except UserDataRefused as error:
            self.log.write("cloud-init", f"user data refused: {error}")
            return None

    def _bring_up_network(self) -> None:
        """The address of the disk's first boot stays with it, as cloud-init writes the network configuration once."""
        network, disk_id = self._host.network, self.order.disk_id
        try:
            if not self._disk.address:
                data = parse_network_data(self.order.network_data)
                self._disk.address = str(data.addresses[0].ip) if data.addresses else network.lease(disk_id)
            network.claim(self._disk.address, disk_id)
        except (NetworkDataRefused, AddressTaken) as error:
            self.log.write("network", f"no address: {error}")
            return
        if ipaddress.ip_address(self._disk.address) not in network.block:
            self.log.write("network", f"{self._disk.address} is not in {network.block}: only machines can reach it")
        self.address = self._disk.address
        network.set_up(self.address)
        self.log.write("network", f"address {self.address}")
        self._host.notify(self)

    async def _provision(self, user_data: UserData) -> None:
        """First boot: bootcmd, files, packages, runcmd, as cloud-init orders its modules."""
        runner = CommandRunner(self._disk, self.log, self._start_unit)
        runner.run_all(user_data.boot_commands, "bootcmd")
        for file in user_data.files:
            earlier = self._disk.files.get(file.path, b"") if file.append else b""
            self._disk.files[file.path] = earlier + file.content
            self.log.write("cloud-init", f"wrote {file.path}, mode {file.mode:04o}, {len(file.content)} bytes")
        await asyncio.sleep(self._host.timings.install)
        for package in user_data.packages:
            runner.install_package(package)
        self._announce_agent()
        runner.run_all(user_data.run_commands)
        self._announce_agent()
        self.log.write("cloud-init", "finished")

    def _announce_agent(self) -> None:
        if self._disk.guest_agent and not self.guest_agent:
            self.guest_agent = True
            self.log.write("qemu-guest-agent", "started")
            self._host.notify(self)

    def _start_unit(self, unit: str) -> None:
        found = find_unit(unit)
        if found is None or unit in self._services:
            return
        self.log.write("systemd", f"started {unit}.service")
        distribution, role = found
        service = NodeService(
            distribution,
            role,
            self.order.disk_id,
            self._disk,
            (self.order.cpus, self.order.memory),
            self.log,
            self._host.network,
            self._host.clusters,
            self._host.timings,
            self._save,
        )
        self._services[unit] = self._watched(asyncio.create_task(service.run()))

    def _watched(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """A fault of ours must not look like a machine that is merely slow."""
        task.add_done_callback(self._report)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.write("simulator", f"internal error: {error!r}")
            _log.error("machine %s/%s", self.order.namespace, self.order.name, exc_info=error)

    def _save(self) -> None:
        self._host.disks.save(self.order.disk_id)


class GuestMachines:
    """All machines of one simulated Harvester cluster, on one network.

    With a folder, disks, clusters and logs outlive the process. `block` is the network's address block, a random /16
    below 127/8 when none is given.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        block: ipaddress.IPv4Network | None = None,
        timings: GuestTimings | None = None,
    ) -> None:
        self.timings = timings or GuestTimings()
        self.disks = DiskShelf(folder / "disks" if folder else None)
        self.clusters = ClusterShelf(folder / "clusters" if folder else None, self.timings)
        self.network = MachineNetwork(block or random_block(), self.disks.addresses())
        self._logs_folder = folder / "logs" if folder else None
        self._machines: dict[tuple[str, str], GuestMachine] = {}
        self._logs: dict[tuple[str, str], BootLog] = {}
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` with namespace and name when a machine has something new to tell."""
        self._listeners.append(listener)

    def notify(self, machine: GuestMachine) -> None:
        for listener in self._listeners:
            listener((machine.order.namespace, machine.order.name))

    def find(self, namespace: str, name: str) -> GuestMachine | None:
        """The machine if it is on."""
        return self._machines.get((namespace, name))

    def boot(self, order: BootOrder) -> GuestMachine:
        """Powers a machine on; one that is on stays as it is."""
        key = (order.namespace, order.name)
        if key not in self._machines:
            machine = GuestMachine(order, self.disks.open(order.disk_id), self._log(key), self)
            self._machines[key] = machine
            machine.power_on()
        return self._machines[key]

    async def halt(self, namespace: str, name: str) -> None:
        """Powers a machine off; nothing when it is off."""
        machine = self._machines.pop((namespace, name), None)
        if machine is not None:
            await machine.power_off()

    async def discard_disk(self, disk_id: str) -> None:
        """Destroys a disk; nothing when there is none. A cluster goes with its last disk."""
        cluster = self.disks.open(disk_id).cluster
        self.disks.delete(disk_id)
        self.network.forget(disk_id)
        if cluster:
            await self.clusters.discard_disk(cluster, disk_id)

    def boot_log(self, namespace: str, name: str) -> list[str]:
        """The lines of all boots of a machine of that name."""
        return self._log((namespace, name)).lines()

    async def close(self) -> None:
        """Powers everything off; what was kept in the folder stays."""
        for key in [*self._machines]:
            await self.halt(*key)
        await self.clusters.close()

    def _log(self, key: tuple[str, str]) -> BootLog:
        if key not in self._logs:
            path = self._logs_folder / f"{key[0]}.{key[1]}.log" if self._logs_folder else None
            self._logs[key] = BootLog(path)
        return self._logs[key]
