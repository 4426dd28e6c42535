"""Removes from infrastructures what carries this hub's id and is no longer known to it (FLT-22).

It should find nothing: names are stored before anything is created. What it does find it removes only at the second
sighting, after a grace period, and only under its own hub's id; anything else is none of its business. One process
sweeps at a time.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.utils import timezone

from hub.audit import services as audit
from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.core.leases import acquire_lease
from hub.core.models import hub_identity
from hub.federation.models import ProjectNamespace
from hub.provisioning.drivers import CLUSTER_KINDS, open_driver
from hub.provisioning.models import Machine
from node_driver.base import NodeDriver
from node_driver.errors import DriverError
from node_driver.types import MachineRef, MachineView
from workers.reconcilers.contract import jittered
from workers.runtime import holder_name

GRACE = timedelta(minutes=15)
INTERVAL = 300.0
LEASE = "sweeper"

log = structlog.get_logger(__name__)


@dataclass
class Sweeper:
    """Keeps the first sightings between two sweeps; a new process begins with none, which only delays a removal."""

    grace: timedelta = GRACE
    sightings: dict[tuple[UUID, str], datetime] = field(default_factory=dict)

    def sweep(self) -> int:
        """Looks at every namespace of every project; returns how many orphans were asked to go."""
        removed = 0
        seen: set[tuple[UUID, str]] = set()
        for namespace, driver, view in self._owned_machines():
            if self._is_known(view):
                continue
            key = (namespace.pk, f"{view.ref.name}/{view.external_id}")
            seen.add(key)
            first = self.sightings.setdefault(key, timezone.now())
            if first <= timezone.now() - self.grace:
                removed += self._remove(namespace, driver, view.ref)
        self.sightings = {key: at for key, at in self.sightings.items() if key in seen}
        return removed

    def _owned_machines(self) -> Iterator[tuple[ProjectNamespace, NodeDriver[object], MachineView]]:
        hub_id = str(hub_identity().hub_id)
        for namespace in ProjectNamespace.objects.select_related("cluster"):
            for name, kind in CLUSTER_KINDS.items():
                if kind != namespace.cluster.kind:
                    continue
                try:
                    driver = open_driver(name, namespace.cluster)
                    views = driver.list_owned(namespace.name, hub_id)
                except (DriverError, HubError) as error:
                    log.info("sweep_skipped", namespace=namespace.name, reason=str(error))
                    continue
                for view in views:
                    yield namespace, driver, view

    def _is_known(self, view: MachineView) -> bool:
        try:
            return Machine.objects.filter(pk=UUID(view.ref.owner.machine_id)).exists()
        except ValueError:
            return True  # not an id of ours: somebody else's label, left alone

    def _remove(self, namespace: ProjectNamespace, driver: NodeDriver[object], ref: MachineRef) -> bool:
        try:
            remains = driver.delete(ref)
        except DriverError as error:
            log.warning("orphan_not_removed", machine=ref.name, reason=str(error))
            return False
        log.warning("orphan_removed", namespace=namespace.name, machine=ref.name, remains=remains.objects)
        audit.record(
            SYSTEM,
            "delete",
            "machines",
            object_name=ref.name,
            tenant_id=namespace.tenant_id,
            project_id=namespace.project_id,
            cluster_id=namespace.cluster_id,
            detail={"orphan": True},
        )
        return True


async def run_sweeper(stop: asyncio.Event) -> None:
    """Sweeps every five minutes until ``stop``, while this process has the lease."""
    sweeper, holder = Sweeper(), holder_name()
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), jittered(INTERVAL))
            return
        await sync_to_async(_sweep_under_lease)(sweeper, holder)


def _sweep_under_lease(sweeper: Sweeper, holder: str) -> None:
    close_old_connections()
    if acquire_lease(LEASE, holder, 2 * INTERVAL) is not None:
        sweeper.sweep()
