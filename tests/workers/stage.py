"""A stage for the reconcilers of guest clusters: the fake driver below, a guest API that is a set of names, no processes.

Rows are real. The namespace and the member cluster, whose reconcilers are not on stage, are declared Ready.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.db import transaction

from hub.core import work
from hub.core.access import SYSTEM
from hub.core.changes import record_update
from hub.core.conditions import set_condition
from hub.core.models import Reconciled
from hub.federation.models import Cluster, ClusterKind, ProjectNamespace
from hub.operations.models import Operation
from hub.provisioning import drivers, services
from hub.provisioning.models import GuestCluster, Machine
from hub.provisioning.orders import GuestClusterOrder, PoolOrder
from kube.errors import Unavailable
from kube.resources import Resource
from node_driver.fake.infrastructure import FakeInfrastructure
from tests.hub.builders import grant_everything, make_cluster, make_project
from workers.reconcilers import machine as machine_reconciler
from workers.reconcilers.registry import reconcilers
from workers.runtime import run_claimed

MOST_ROUNDS = 60


class GuestApi:
    """What the reconcilers ask of a guest: nodes by name. A machine that runs becomes a node after one look at it."""

    def __init__(self) -> None:
        self.reachable = True
        self.nodes: dict[str, dict[str, Any]] = {}
        self.cordoned: list[str] = []

    def join(self, name: str, *, ready: bool = True) -> None:
        status = {"type": "Ready", "status": "True" if ready else "False", "reason": "KubeletReady", "message": ""}
        self.nodes[name] = {"status": {"conditions": [status], "nodeInfo": {"kubeletVersion": "v1.35.1"}}}

    def find(self, resource: Resource, name: str) -> dict[str, Any] | None:
        self._answer()
        return self.nodes.get(name)

    def patch(self, resource: Resource, name: str, body: Mapping[str, Any]) -> None:
        self._answer()
        self.cordoned.append(name)

    def delete(self, resource: Resource, name: str) -> bool:
        self._answer()
        return self.nodes.pop(name, None) is not None

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self) -> None:
        if not self.reachable:
            raise Unavailable("no route to 10.250.0.1:6443")


class Stage:
    """One infrastructure, one guest API, and the rounds in which every row is reconciled once."""

    def __init__(self, infrastructure: FakeInfrastructure, api: GuestApi) -> None:
        self.infrastructure = infrastructure
        self.api = api
        self.joins_by_itself = True

    def order(self, *pools: PoolOrder, **changes: Any) -> GuestCluster:
        guest, _ = services.order_guest_cluster(SYSTEM, build_order(*pools, **changes))
        return guest

    def round(self) -> None:
        """Every row once, whether it is due or not: a reconcile at any moment has to be harmless."""
        for namespace in ProjectNamespace.objects.all():
            declare_ready(namespace)
        for member in Cluster.objects.exclude(guest_cluster=None):
            declare_ready(member)
        for model in (GuestCluster, Machine):
            for pk in list(model.objects.values_list("pk", flat=True)):
                self.reconcile(model, pk)
        if self.joins_by_itself:
            for machine in Machine.objects.exclude(address="").filter(deletion_requested_at=None):
                self.api.join(machine.name)

    def reconcile(self, model: type[Reconciled], pk: Any) -> None:
        work.wake_by_id(model, pk)
        claim = work.claim(model, pk, "stage", 60)
        assert claim is not None
        run_claimed(reconcilers()[model.object_kind], claim)

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(MOST_ROUNDS):
            if done():
                return
            self.round()
        raise AssertionError(f"not done after {MOST_ROUNDS} rounds: {describe()}")

    def ready(self, guest: GuestCluster) -> GuestCluster:
        self.until(lambda: GuestCluster.objects.get(pk=guest.pk).phase == "Ready")
        return GuestCluster.objects.get(pk=guest.pk)

    def vm_names(self) -> set[str]:
        return {name for _, name, kind in self.infrastructure.parts if kind == "Machine"}


def build_order(*pools: PoolOrder, granted: bool = True, **changes: Any) -> GuestClusterOrder:
    """An order that fits the stage, by a tenant who may use all that the infrastructure has."""
    project = changes.pop("project", None) or make_project()
    infrastructure = changes.pop("infrastructure", None) or make_cluster(kind=ClusterKind.HARVESTER)
    if granted:
        grant_everything(project.tenant, infrastructure)
    values: dict[str, Any] = {"name": "web", "distribution": "k3s", "driver": "fake", **changes}
    return GuestClusterOrder(project=project, infrastructure=infrastructure, pools=pools or default_pools(), **values)


def pool(name: str, role: str, count: int, **changes: Any) -> PoolOrder:
    settings = {"image": "fake/image", "network": "fake/network", **changes.pop("settings", {})}
    return PoolOrder(name, role, count, settings=settings, **changes)


def default_pools() -> tuple[PoolOrder, ...]:
    return pool("servers", "server", 3), pool("workers", "worker", 2)


def declare_ready(row: Reconciled) -> None:
    if set_condition(row, "Ready", True, "Declared"):
        with transaction.atomic():
            record_update(row, ["conditions"])


def describe() -> str:
    machines = [f"{m.name}: {m.phase} {m.conditions}" for m in Machine.objects.all()]
    guests = [f"{g.name}: {g.phase} {g.conditions}" for g in GuestCluster.objects.all()]
    return "\n".join([*guests, *machines, *(str(o.steps) for o in Operation.objects.all())])


@pytest.fixture
def stage(db: None, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_stage(monkeypatch)


def set_stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage for as long as the patches stay."""
    infrastructure, api = FakeInfrastructure(), GuestApi()
    monkeypatch.setitem(drivers.CLUSTER_KINDS, "fake", "harvester")
    monkeypatch.setattr(drivers, "client_for", lambda cluster: infrastructure)
    monkeypatch.setattr(drivers, "machine_client_for", lambda namespace: infrastructure)
    monkeypatch.setattr(machine_reconciler, "find_guest_client", lambda guest: api)
    return Stage(infrastructure, api)
