"""Watches the VMs of machines that are on their way, and wakes their reconcilers at once.

Only a matter of speed: every reconciler looks again by itself. One watch for each Harvester cluster that has machines
which are not settled; it ends when they are. Whatever goes wrong is logged and tried again.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async

from hub.core.errors import HubError
from hub.core.models import hub_identity
from hub.core.work import wake_by_id
from hub.federation.clients import async_client_for
from hub.federation.models import Cluster, ClusterKind
from hub.federation.rights import HUB_ID_LABEL, OWNER_ID_LABEL
from hub.provisioning.models import Machine
from kube.errors import KubeError
from kube.reflector import reflect
from kube.resources import VIRTUAL_MACHINE_INSTANCES, Object

LOOK_INTERVAL = 2.0  # seconds between two looks at which clusters have unsettled machines
RETRY_INTERVAL = 10.0

log = structlog.get_logger(__name__)


async def run_machine_watch(stop: asyncio.Event) -> None:
    """Runs until ``stop``."""
    watches: dict[UUID, asyncio.Task[None]] = {}
    try:
        while not stop.is_set():
            wanted = await sync_to_async(_find_active_clusters)()
            for gone in set(watches) - set(wanted):
                watches.pop(gone).cancel()
            for cluster_id in set(wanted) - set(watches):
                watches[cluster_id] = asyncio.create_task(_watch_cluster(cluster_id))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_INTERVAL)
    finally:
        for task in watches.values():
            task.cancel()
        await asyncio.gather(*watches.values(), return_exceptions=True)


def _find_active_clusters() -> list[UUID]:
    unsettled = Machine.objects.unsettled().values("guest__infrastructure_id")
    return list(Cluster.objects.filter(kind=ClusterKind.HARVESTER, pk__in=unsettled).values_list("pk", flat=True))


async def _watch_cluster(cluster_id: UUID) -> None:
    while True:
        try:
            await _reflect(cluster_id)
        except (KubeError, HubError) as error:
            log.warning("machine_watch_failed", cluster_id=str(cluster_id), error=str(error))
        await asyncio.sleep(RETRY_INTERVAL)


async def _reflect(cluster_id: UUID) -> None:
    """Ends with an error that trying again with the same client does not mend, a renewed token among them."""
    cluster = await sync_to_async(Cluster.objects.get)(pk=cluster_id)
    identity = await sync_to_async(hub_identity)()
    async with await sync_to_async(async_client_for)(cluster) as client:
        await reflect(
            client,
            VIRTUAL_MACHINE_INSTANCES,
            label_selector=f"{HUB_ID_LABEL}={identity.hub_id}",
            on_event=_wake_machine,
            on_sync=_nothing,
        )


async def _wake_machine(event: str, instance: Object) -> None:
    owner = (instance["metadata"].get("labels") or {}).get(OWNER_ID_LABEL, "")
    try:
        machine_id = UUID(owner)
    except ValueError:
        return  # somebody put our label on a VM of his own
    await sync_to_async(wake_by_id)(Machine, machine_id)


async def _nothing() -> None:
    """After a whole list there is nothing more to do: each object has woken its machine."""
