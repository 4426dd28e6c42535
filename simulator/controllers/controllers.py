"""All controllers over one Kubernetes API, simulated or real."""

import asyncio

from kube.aio import AsyncKubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.resources import (
    KEY_PAIRS,
    NETWORK_ATTACHMENT_DEFINITIONS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    STORAGE_CLASSES,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Resource,
)
from simulator.controllers.cache import ObjectCache
from simulator.controllers.images import ImageController
from simulator.controllers.instances import InstanceController
from simulator.controllers.key_pairs import KeyPairController
from simulator.controllers.nodes import NodeKeeper
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.settings import SimulationSettings
from simulator.controllers.virtual_machines import VirtualMachineController
from simulator.controllers.volumes import VolumeController
from simulator.controllers.work_queue import Key, Reconcile, WorkQueue
from simulator.guests.machines import GuestMachines

_WATCHED = (
    VIRTUAL_MACHINES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINE_IMAGES,
    KEY_PAIRS,
    PERSISTENT_VOLUME_CLAIMS,
    STORAGE_CLASSES,
    NETWORK_ATTACHMENT_DEFINITIONS,
    NODES,
)


class Controllers:
    """KubeVirt's, Longhorn's and Harvester's controllers. `guests` runs what is inside the machines; it is the caller's
    to start and to close."""

    def __init__(
        self,
        credentials: Credentials,
        guard: AddressGuard,
        guests: GuestMachines,
        settings: SimulationSettings | None = None,
    ) -> None:
        self.settings = settings or SimulationSettings()
        self._client = AsyncKubeClient(credentials, guard=guard, field_manager="harvester")
        self._cache = ObjectCache(self._client, _WATCHED)
        self._writer = ObjectWriter(self._client)
        self._guests = guests
        self._queues: dict[Resource, WorkQueue] = {}
        self._nodes = NodeKeeper(self._writer, self.settings)
        self._build_queues()

    def _build_queues(self) -> None:
        machines = VirtualMachineController(self._client, self._cache, self.settings)
        instances = InstanceController(self._writer, self._cache, self._guests, self.settings)
        self._own(VIRTUAL_MACHINES, machines.reconcile)
        self._own(VIRTUAL_MACHINE_INSTANCES, instances.reconcile)
        self._own(VIRTUAL_MACHINE_IMAGES, ImageController(self._writer, self._cache, self.settings).reconcile)
        self._own(KEY_PAIRS, KeyPairController(self._writer, self._cache).reconcile)
        volumes = VolumeController(self._writer, self._cache, self._guests, self.settings)
        self._own(PERSISTENT_VOLUME_CLAIMS, volumes.reconcile)
        self._cache.subscribe(VIRTUAL_MACHINE_INSTANCES, self._queues[VIRTUAL_MACHINES].add)
        self._cache.subscribe(STORAGE_CLASSES, self._wake_claims)
        self._guests.subscribe(self._queues[VIRTUAL_MACHINE_INSTANCES].add)

    def _own(self, resource: Resource, reconcile: Reconcile) -> None:
        queue = self._queues[resource] = WorkQueue(resource.plural, reconcile)
        self._cache.subscribe(resource, queue.add)

    def _wake_claims(self, key: Key) -> None:
        """A claim may have waited for this class."""
        self._cache.wake(PERSISTENT_VOLUME_CLAIMS, self._queues[PERSISTENT_VOLUME_CLAIMS].add)

    async def run(self) -> None:
        """Works until cancelled. Raises KubeError (in a group) when the API does not serve or allow what is needed."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._cache.run())
                group.create_task(self._nodes.run())
                # Not before all is seen: a machine whose instance is not yet known would be started twice.
                await self._cache.wait_synced()
                for queue in self._queues.values():
                    group.create_task(queue.run())
        finally:
            await self._client.aclose()
