"""The K3s or RKE2 service of one machine: starts, founds or joins a cluster, and tries again when that fails.

What systemd, the binary and the kubelet do on one host; the cluster's side of it is `cluster.py`'s (contract
guest-bootstrap §1 to §4).
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urlsplit

from simulator.guests.boot_log import BootLog
from simulator.guests.cluster import GuestCluster, JoinRefused, found_state
from simulator.guests.cluster_shelf import ClusterShelf
from simulator.guests.disk import Disk
from simulator.guests.distribution import API_PORT, Distribution, Role
from simulator.guests.network import ConnectionFailed, MachineNetwork
from simulator.guests.node_config import (
    ConfigRefused,
    NodeConfig,
    build_node_config,
    merge_config,
    merge_config_files,
    parse_arguments,
)
from simulator.guests.nodes import Kubelet
from simulator.guests.pki import AuthorityRefused, read_or_make_authorities
from simulator.guests.timings import GuestTimings
from simulator.guests.tokens import TokenRefused

_ENVIRONMENT_KEYS = {"K3S_URL": "server", "K3S_TOKEN": "token", "K3S_NODE_NAME": "node-name"}


class ServiceFailed(Exception):
    """The process ended with this line in its log; systemd starts it again."""


class NodeService:
    """One unit of one machine. `save` writes the machine's disk."""

    def __init__(
        self,
        distribution: Distribution,
        role: Role,
        disk_id: str,
        disk: Disk,
        hardware: tuple[str, str],
        log: BootLog,
        network: MachineNetwork,
        clusters: ClusterShelf,
        timings: GuestTimings,
        save: Callable[[], None],
    ) -> None:
        self._distribution = distribution
        self._role = role
        self._unit = distribution.units[role]
        self._disk_id = disk_id
        self._disk = disk
        self._hardware = hardware
        self._log = log
        self._network = network
        self._clusters = clusters
        self._timings = timings
        self._save = save
        self._cluster: GuestCluster | None = None

    async def run(self) -> None:
        """Runs until cancelled, as long as the machine is on."""
        try:
            while True:
                try:
                    await self._start()
                    await self._serve()
                except ServiceFailed as error:
                    self._log.write(self._unit, f"level=fatal msg={str(error)!r}")
                await self._stop()
                await asyncio.sleep(self._timings.retry)
        finally:
            await self._stop()

    async def _start(self) -> None:
        config = self._read_config()
        node_name = self._choose_node_name(config)
        for warning in config.warnings:
            self._log.write(self._unit, f"level=warning msg={warning!r}")
        self._check_addresses(config)
        if self._role == "server":
            cluster = await self._start_server(config, node_name)
        else:
            cluster = await self._start_agent(config)
        await cluster.wait_quorum()
        try:
            cluster.register(config, self._kubelet(config, node_name), self._node_password())
        except JoinRefused as error:
            self._fail(str(error))
        self._disk.node_name, self._disk.cluster = node_name, cluster.state.id
        cluster.add_disk(self._disk_id)
        self._save()
        self._log.write(self._unit, f"node {node_name} registered")

    async def _serve(self) -> None:
        """Ready after a while; then until etcd removes this member, which an agent never is."""
        cluster, name = self._cluster, self._disk.node_name
        if cluster is None:
            return
        await asyncio.sleep(self._timings.ready)
        await cluster.wait_quorum()
        cluster.nodes.set_ready(name, has_network=cluster.state.has_network)
        self._log.write(self._unit, f"node {name} posts its status")
        if self._role == "server":
            await cluster.wait_removed(name)
            self._fail("this server has been removed from the cluster, shutting down etcd")
        await asyncio.Event().wait()

    async def _stop(self) -> None:
        cluster, self._cluster = self._cluster, None
        if cluster is None:
            return
        cluster.end_join(self._disk.node_name)
        if self._role == "server":
            self._network.unlisten(self._disk.address)
            await cluster.stop_server(self._disk.node_name)
            await self._clusters.abandon(cluster)
        cluster.nodes.kubelet_stopped(self._disk.node_name)

    def _read_config(self) -> NodeConfig:
        unit = self._disk.units[self._unit]
        try:
            merged = {_ENVIRONMENT_KEYS[k]: v for k, v in unit.environment.items() if k in _ENVIRONMENT_KEYS}
            merge_config(merged, merge_config_files(self._disk.files, self._distribution.config_folder))
            merge_config(merged, parse_arguments(unit.arguments))
            return build_node_config(self._distribution, self._role, merged)
        except ConfigRefused as error:
            self._fail(str(error))

    def _choose_node_name(self, config: NodeConfig) -> str:
        name = (config.node_name or self._disk.hostname).lower()
        if config.with_node_id:
            name = self._disk.node_name or f"{name}-{secrets.token_hex(4)}"
        self._disk.node_name = name
        return name

    def _check_addresses(self, config: NodeConfig) -> None:
        if not self._disk.address:
            self._fail("unable to select an IP from default routes")
        for address in config.node_addresses:
            if address != self._disk.address:
                self._fail(f"node IP: {address!r} not found in the host's network interfaces")

    async def _start_server(self, config: NodeConfig, node_name: str) -> GuestCluster:
        if self._disk.datastore:
            cluster = self._resume(node_name)
        elif config.server:
            cluster = self._join(config)
            try:
                cluster.begin_join(node_name, self._disk_id)
            except JoinRefused as error:
                self._fail(str(error))
        else:
            cluster = self._found(config)
        self._cluster = cluster
        # The supervisor answers as soon as the certificates exist, the API only after the start.
        self._network.listen(self._disk.address, self._distribution.join_port, cluster)
        await asyncio.sleep(self._timings.start)
        address = self._disk.address
        try:
            await cluster.start_server(node_name, self._disk_id, address, config.tls_names)
        except OSError as error:
            self._fail(f"listen tcp {address}:{API_PORT}: bind: {error.strerror or error}")
        cluster.end_join(node_name)
        self._disk.datastore, self._disk.cluster = True, cluster.state.id
        self._save()
        self._log.write(self._unit, f"server is up on {self._disk.address}, cluster {cluster.state.id}")
        return cluster

    def _resume(self, node_name: str) -> GuestCluster:
        """etcd data is on the disk: cluster-init, server and CA files count no more."""
        cluster = self._clusters.find(self._disk.cluster)
        if cluster is None or not cluster.is_member(node_name, self._disk_id):
            self._fail("etcd: this member has been permanently removed from the cluster")
        self._log.write(self._unit, "managed etcd cluster bootstrap already complete and initialized")
        return cluster

    def _found(self, config: NodeConfig) -> GuestCluster:
        try:
            authorities, found = read_or_make_authorities(self._disk.files, self._distribution.tls_folder)
            state = found_state(self._distribution, self._disk.units[self._unit].version, config, authorities)
        except (AuthorityRefused, TokenRefused) as error:
            self._fail(str(error))
        self._log.write(self._unit, f"new cluster; ready-made authorities: {', '.join(found) or 'none'}")
        return self._clusters.found(state)

    async def _start_agent(self, config: NodeConfig) -> GuestCluster:
        cluster = self._clusters.find(self._disk.cluster) if self._disk.cluster else None
        if cluster is None or not cluster.has_quorum:
            # An agent that has joined knows all servers; any of them will do, else it asks the one it was told.
            cluster = self._join(config)
        self._cluster = cluster
        await asyncio.sleep(self._timings.start)
        return cluster

    def _join(self, config: NodeConfig) -> GuestCluster:
        parts = urlsplit(config.server or "")
        host, port = parts.hostname or "", parts.port or 443
        try:
            cluster = self._network.connect(host, port)
        except ConnectionFailed as error:
            self._fail(f'failed to get CA certs: Get "{config.server}/cacerts": {error}')
        try:
            cluster.check_join(config, self._distribution)
        except JoinRefused as error:
            self._fail(f"{config.server}: {error}")
        return cluster

    def _kubelet(self, config: NodeConfig, node_name: str) -> Kubelet:
        cpus, memory = self._hardware
        return Kubelet(
            node_name=node_name,
            hostname=self._disk.hostname,
            addresses=config.node_addresses or (self._disk.address,),
            version=self._disk.units[self._unit].version,
            cpus=cpus,
            memory=memory,
        )

    def _node_password(self) -> str:
        if not self._disk.node_password:
            self._disk.node_password = secrets.token_hex(16)
            self._save()
        return self._disk.node_password

    def _fail(self, message: str) -> NoReturn:
        raise ServiceFailed(message)
