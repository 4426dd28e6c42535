"""Removes from infrastructures what carries this hub's id and is no longer known to it (FLT-22).

It should find nothing: names are stored before anything is created. What it does find it removes only at the second
sighting, after a grace period, and only under its own hub's id; anything else is none of its business. ``watcher``
calls it now and then, in one process at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.utils import timezone

from hub.audit import services as audit
from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.core.models import hub_identity
from hub.federation.models import ProjectNamespace
from hub.provisioning.drivers import CLUSTER_KINDS, open_machine_driver
from hub.provisioning.models import Machine
from node_driver.base import NodeDriver
from node_driver.errors import DriverError
from node_driver.types import MachineRef, MachineView

GRACE = timedelta(minutes=15)

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
                    driver = open_machine_driver(name, namespace)
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
