"""The nodes of one guest cluster over time: registration, Ready, silence, deletion.

Plays kubelets, the node life-cycle controller, the node-password check and the small cloud controller of K3s and RKE2
(contract guest-bootstrap §3 to §5). Who is a member of the datastore is `cluster.py`'s part.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from kube.resources import NODES, SECRETS, Object
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.apiserver.storage import Change
from simulator.guests.distribution import Distribution
from simulator.guests.node_config import NodeConfig
from simulator.guests.nodes import (
    Kubelet,
    build_node,
    found_taints,
    lost_conditions,
    lost_taints,
    node_status,
    pod_subnet,
    ready_conditions,
    starting_conditions,
)
from simulator.guests.timings import GuestTimings
from simulator.kinds import KindSpec

_SYSTEM = "kube-system"

Entries = list[dict[str, Any]]


class NodeRefused(Exception):
    """The node's name is another machine's."""


class ClusterNodes:
    """Writes Node objects through the cluster's own registry.

    `wait_quorum` returns when the datastore takes writes. `on_deleted` is told the name of each Node that is deleted.
    """

    def __init__(
        self,
        registry: Registry,
        distribution: Distribution,
        timings: GuestTimings,
        wait_quorum: Callable[[], Awaitable[None]],
        on_deleted: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._distribution = distribution
        self._timings = timings
        self._wait_quorum = wait_quorum
        self._on_deleted = on_deleted
        self._nodes = self._kind(NODES.kind)
        self._secrets = self._kind(SECRETS.kind)
        self._live: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        registry.store.listeners.append(self._on_change)

    def names(self) -> set[str]:
        return {stored.key[1] for stored in self._registry.store.collection(self._nodes).list()}

    def register(
        self,
        config: NodeConfig,
        kubelet: Kubelet,
        node_password: str,
        *,
        cluster_cidr: str,
        embedded_etcd: bool,
        has_cloud_controller: bool,
    ) -> None:
        """A kubelet registers its node, or takes up the one it has. Raises NodeRefused."""
        self._check_password(kubelet.node_name, node_password)
        if kubelet.node_name not in self.names():
            objects = [stored.object for stored in self._registry.store.collection(self._nodes).list()]
            node = build_node(
                self._distribution,
                config,
                kubelet,
                pod_cidr=pod_subnet(cluster_cidr, {str(o["spec"].get("podCIDR", "")) for o in objects}),
                embedded_etcd=embedded_etcd,
                has_cloud_controller=has_cloud_controller,
            )
            self._registry.create(self._nodes, "", node, self._writes_as("kubelet"))
        facts = node_status(kubelet, self._distribution)
        self._change_status(kubelet.node_name, starting_conditions, facts)
        self._live.add(kubelet.node_name)

    def set_ready(self, name: str, *, has_network: bool) -> None:
        """The kubelet posts its status; nothing when the Node was deleted meanwhile."""
        if name in self.names():
            self._change_status(name, lambda conditions: ready_conditions(conditions, has_network=has_network))
            self._change_taints(name, found_taints)

    def kubelet_stopped(self, name: str) -> None:
        """The machine's kubelet is silent from now on; after a while the cluster notices."""
        self._live.discard(name)
        self._spawn(self._notice_silence(name))

    def look_for_silent(self) -> None:
        """After a time without quorum: nodes whose kubelets are silent are noticed from now on."""
        for name in self.names() - self._live:
            self._spawn(self._notice_silence(name))

    async def close(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _notice_silence(self, name: str) -> None:
        await asyncio.sleep(self._timings.lost)
        await self._wait_quorum()
        if name not in self._live and name in self.names():
            self._change_status(name, lost_conditions)
            self._change_taints(name, lost_taints)

    def _change_status(self, name: str, change: Callable[[Entries], Entries], facts: Object | None = None) -> None:
        def changed(node: Object) -> Object:
            status = node.get("status") or {}
            conditions = change(status.get("conditions") or [])
            return {**node, "status": {**status, **(facts or {}), "conditions": conditions}}

        self._registry.change(self._nodes, "", name, changed, self._writes_as("kubelet"), "status")

    def _change_taints(self, name: str, change: Callable[[Entries], Entries]) -> None:
        def changed(node: Object) -> Object:
            spec = {**node["spec"], "taints": change(node["spec"].get("taints") or [])}
            return {**node, "spec": spec}

        self._registry.change(self._nodes, "", name, changed, self._writes_as("node-controller"))

    def _check_password(self, node_name: str, password: str) -> None:
        """The first machine of a name leaves its password's hash; another machine of that name is refused by it."""
        name = self._password_secret(node_name)
        digest = hashlib.sha256(password.encode()).hexdigest()
        stored = self._registry.store.collection(self._secrets).find(_SYSTEM, name)
        if stored is None:
            data = {"hash": base64.b64encode(digest.encode()).decode()}
            secret = {"metadata": {"name": name}, "type": "Opaque", "data": data}
            self._registry.create(self._secrets, _SYSTEM, secret, self._writes_as(self._distribution.name))
        elif not hmac.compare_digest(base64.b64decode(stored.object["data"]["hash"]).decode(), digest):
            raise NodeRefused(
                "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match "
                "server node-passwd entry, try enabling a unique node name with the --with-node-id flag"
            )

    def _password_secret(self, node_name: str) -> str:
        return f"{node_name}.node-password.{self._distribution.name}"

    def _on_change(self, kind: KindSpec, change: Change) -> None:
        """Listeners of a store must not write: what follows from a deleted Node is done right after."""
        if kind.resource == NODES and change.type == "DELETED":
            asyncio.get_running_loop().call_soon(self._forget, change.stored.key[1])

    def _forget(self, node_name: str) -> None:
        name = self._password_secret(node_name)
        if self._registry.store.collection(self._secrets).find(_SYSTEM, name) is not None:
            self._registry.store.remove(self._secrets, _SYSTEM, name)
        self._live.discard(node_name)
        self._on_deleted(node_name)

    def _kind(self, name: str) -> KindSpec:
        kind = self._registry.find_kind_of("v1", name)
        if kind is None:
            raise LookupError(f"guest clusters do not serve {name}")
        return kind

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _writes_as(manager: str) -> WriteOptions:
        return WriteOptions(manager=manager)
