"""One guest cluster: its datastore's members and quorum, and who may join.

Plays what K3s and RKE2 servers agree on among themselves (contract guest-bootstrap §3, §4). HTTP is `api.py`'s part,
Node objects are `cluster_nodes.py`'s, a single machine's service is `service.py`'s.
"""

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from simulator.guests.api import GuestApi
from simulator.guests.cluster_nodes import ClusterNodes, NodeRefused
from simulator.guests.distribution import DISTRIBUTIONS, Distribution
from simulator.guests.node_config import NodeConfig
from simulator.guests.nodes import Kubelet
from simulator.guests.pki import GuestAuthorities
from simulator.guests.timings import GuestTimings
from simulator.guests.tokens import TokenRefused, check_ca_hash, check_password, parse_token
from simulator.private_files import write_private

STATE_FILE = "cluster.json"


class JoinRefused(Exception):
    """The cluster does not take this machine, now or ever; the message is what its service would log."""


@dataclass(slots=True)
class ClusterState:
    """What a cluster's servers share and keep. `members` are etcd's, `disks` all machines': disk by node name."""

    id: str
    distribution: str
    version: str
    authorities: dict[str, str]
    server_password: str
    agent_password: str
    embedded_etcd: bool
    runs_cloud_controller: bool
    has_network: bool
    critical: dict[str, str]
    service_cidr: str
    members: dict[str, str] = field(default_factory=dict)
    disks: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"ClusterState(id={self.id!r}, members={sorted(self.members)!r})"


def found_state(
    distribution: Distribution, version: str, config: NodeConfig, authorities: GuestAuthorities
) -> ClusterState:
    """The state of a new cluster, as its first server's configuration has it. Raises TokenRefused."""
    return ClusterState(
        id=secrets.token_hex(8),
        distribution=distribution.name,
        version=version,
        authorities=authorities.to_json(),
        server_password=parse_token(config.token).password if config.token else secrets.token_hex(16),
        agent_password=config.agent_token,
        embedded_etcd=distribution.name == "rke2" or config.cluster_init,
        runs_cloud_controller=config.runs_cloud_controller,
        has_network=config.has_network,
        critical=dict(config.critical),
        service_cidr=config.service_cidr,
    )


class GuestCluster:
    """A running cluster over one store. Made and closed by `ClusterShelf`."""

    def __init__(self, state: ClusterState, folder: Path | None, timings: GuestTimings) -> None:
        self.state = state
        self.distribution = DISTRIBUTIONS[state.distribution]
        self.authorities = GuestAuthorities.from_json(state.authorities)
        self._folder = folder
        self.api = GuestApi(
            self.distribution,
            self.authorities,
            version=state.version,
            service_cidr=state.service_cidr,
            folder=folder,
        )
        self._running: dict[str, str] = {}
        self._joining = ""
        self._quorum = asyncio.Event()
        self._removed: dict[str, asyncio.Event] = {}
        self.nodes = ClusterNodes(self.api.registry, self.distribution, timings, self.wait_quorum, self._node_deleted)

    @property
    def has_quorum(self) -> bool:
        """Whether a majority of the members runs; without it the API answers 503."""
        return len(self._running.keys() & self.state.members.keys()) > len(self.state.members) // 2

    async def wait_quorum(self) -> None:
        """Returns when the datastore takes writes."""
        await self._quorum.wait()

    def is_member(self, node_name: str, disk_id: str) -> bool:
        return self.state.members.get(node_name) == disk_id

    def begin_join(self, node_name: str, disk_id: str) -> None:
        """A server's etcd asks to become a member. Raises JoinRefused when it must wait, or cannot."""
        if self.state.members.get(node_name, disk_id) != disk_id:
            raise JoinRefused("duplicate node name found, please use a unique name for this node")
        if self._joining not in ("", node_name):
            raise JoinRefused("etcd cluster join failed: etcdserver: too many learner members in cluster")
        self._joining = node_name

    def end_join(self, node_name: str) -> None:
        """The attempt is over, with or without success."""
        if self._joining == node_name:
            self._joining = ""

    def add_disk(self, disk_id: str) -> None:
        """A machine's disk holds this cluster's data or certificates from now on."""
        if disk_id not in self.state.disks:
            self.state.disks.append(disk_id)
            self._save()

    def discard_disk(self, disk_id: str) -> bool:
        """A disk is destroyed. False when it was the last one: nothing of the cluster is left."""
        if disk_id in self.state.disks:
            self.state.disks.remove(disk_id)
            self._save()
        return bool(self.state.disks)

    async def start_server(self, node_name: str, disk_id: str, address: str, names: tuple[str, ...]) -> None:
        """A server's processes are up and its etcd is a member. Raises OSError when its address cannot be bound."""
        await self.api.listen(address, (node_name, address, *names))
        self._running[node_name] = address
        if not self.is_member(node_name, disk_id):
            self.state.members[node_name] = disk_id
            self._removed[node_name] = asyncio.Event()
        self.add_disk(disk_id)
        self._save()
        self._update_quorum()

    async def stop_server(self, node_name: str) -> None:
        address = self._running.pop(node_name, None)
        self._update_quorum()
        if address is not None:
            await self.api.unlisten(address)

    async def wait_removed(self, node_name: str) -> None:
        """Returns when the member was removed from etcd, as deleting its Node does."""
        await self._removed.setdefault(node_name, asyncio.Event()).wait()

    def _update_quorum(self) -> None:
        had_quorum = self._quorum.is_set()
        self.api.set_available(self.has_quorum)
        if not self.has_quorum:
            self._quorum.clear()
            return
        self._quorum.set()
        self.api.publish_servers(sorted(self._running.values()))
        if not had_quorum:
            self.nodes.look_for_silent()

    def check_join(self, config: NodeConfig, distribution: Distribution) -> None:
        """The supervisor's answer to a machine that wants to join. Raises JoinRefused."""
        if distribution != self.distribution:
            raise JoinRefused(f"/v1-{distribution.name}/config: 404 Not Found")
        try:
            token = parse_token(config.token)
            check_ca_hash(token, self.authorities.server.cert_pem.encode())
            passwords = self.state.server_password, self.state.agent_password
            check_password(token, config.role, server_password=passwords[0], agent_password=passwords[1])
        except TokenRefused as error:
            raise JoinRefused(str(error)) from error
        if not self.has_quorum:
            raise JoinRefused("503 Service Unavailable: runtime core not ready")
        if config.role == "server":
            self._check_server(config)

    def _check_server(self, config: NodeConfig) -> None:
        if not self.state.embedded_etcd:
            raise JoinRefused("the server has no managed etcd to join: it was started without cluster-init")
        different = sorted(key for key, value in config.critical.items() if self.state.critical.get(key) != value)
        if different:
            raise JoinRefused(f"critical configuration value mismatch between servers: {', '.join(different)}")

    def register(self, config: NodeConfig, kubelet: Kubelet, node_password: str) -> None:
        """A kubelet registers its node. Raises JoinRefused when the name is another machine's."""
        try:
            self.nodes.register(
                config,
                kubelet,
                node_password,
                cluster_cidr=self.state.critical["cluster-cidr"],
                embedded_etcd=self.state.embedded_etcd,
                has_cloud_controller=self.state.runs_cloud_controller,
            )
        except NodeRefused as error:
            raise JoinRefused(str(error)) from error

    def _node_deleted(self, node_name: str) -> None:
        # etcd refuses to remove its last member.
        if node_name in self.state.members and len(self.state.members) > 1:
            del self.state.members[node_name]
            self._save()
            self._removed.setdefault(node_name, asyncio.Event()).set()
            self._update_quorum()

    def _save(self) -> None:
        if self._folder is not None:
            write_private(self._folder / STATE_FILE, json.dumps(asdict(self.state)))

    async def close(self) -> None:
        await self.nodes.close()
        await self.api.close()
