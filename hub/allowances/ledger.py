"""The ledger: what is taken of the quotas. Written in the transaction of the intent, under the tenant's lock.

An object's use is reserved before there is anything of it, and given back when its removal is confirmed (FLT-15).
Raising needs the tenant's lock and is checked against every limit that holds there; lowering needs neither.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.tenancy.models import Project, Tenant

from .amounts import RESOURCES, Amounts, add, growth, lesser
from .models import Quota, QuotaUse
from .querysets import namespace_defaults

define("quota.exceeded", 422, "The quota does not allow this")


@dataclass(frozen=True, slots=True)
class Excess:
    """One limit that an order would break. ``scope`` is whose it is (tenant, project, or each namespace of the project);
    ``cluster`` is where it holds, None for all together.

    ``used`` is taken already, ``asked`` is what the order adds, ``free`` is what would fit.
    """

    resource: str
    scope: str
    cluster: str | None
    used: int
    limit: int
    asked: int
    free: int


class QuotaExceeded(HubError):
    """An order does not fit. ``excesses`` are all limits that it would break."""

    def __init__(self, excesses: Sequence[Excess], *, pointer: str | None = None, **params: Any) -> None:
        self.excesses = tuple(excesses)
        super().__init__("quota.exceeded", pointer=pointer, exceeded=[asdict(one) for one in excesses], **params)

    def how_many(self, each: Amounts) -> int:
        """How many more of a thing that takes ``each`` would fit."""
        return min((one.free // each[one.resource] for one in self.excesses if each.get(one.resource)), default=0)


class Usage:
    """What one tenant takes, by project and cluster; read at once, summed as often as wanted."""

    def __init__(self, taken: dict[tuple[UUID, UUID], Amounts]) -> None:
        self._taken = taken

    def of(self, *, project_id: UUID | None = None, cluster_id: UUID | None = None) -> dict[str, int]:
        """The sum over one project, one cluster, both, or all; every resource named."""
        return add(
            amounts
            for (project, cluster), amounts in self._taken.items()
            if project_id in (None, project) and cluster_id in (None, cluster)
        )

    def clusters(self, project_id: UUID | None = None) -> set[UUID]:
        """Where anything is taken."""
        return {cluster for project, cluster in self._taken if project_id in (None, project)}


def lock_tenant(tenant_id: UUID) -> None:
    """The first lock of every transaction that raises what a tenant takes; see ``hub.core.transactions``."""
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def reserve(project: Project, cluster: Cluster, object_kind: str, object_id: UUID, amounts: Amounts) -> None:
    """Has the object take ``amounts`` in all from now on. Call within the transaction of the intent, before other locks.

    Only what grows is checked, so whoever is over a lowered limit may still shrink. Raises QuotaExceeded with everything
    that does not fit; then nothing is reserved.
    """
    lock_tenant(project.tenant_id)
    row = QuotaUse.objects.select_for_update().filter(object_kind=object_kind, object_id=object_id).first()
    asked = growth(row.amounts if row is not None else {}, amounts)
    excesses = _excesses(project, cluster, asked)
    if excesses:
        raise QuotaExceeded(excesses)
    if row is None:
        row = QuotaUse(
            tenant_id=project.tenant_id,
            project=project,
            cluster=cluster,
            object_kind=object_kind,
            object_id=object_id,
        )
    row.amounts = dict(amounts)
    row.save()


def lower(object_kind: str, object_id: UUID, count: Callable[[], Amounts]) -> None:
    """Gives back what the object takes no more. ``count`` says what it takes now, asked under the row's lock.

    It never raises an amount: that is ``reserve``'s.
    """
    row = QuotaUse.objects.select_for_update().filter(object_kind=object_kind, object_id=object_id).first()
    if row is None:
        return
    amounts = lesser(row.amounts, count())
    if amounts != row.amounts:
        row.amounts = amounts
        row.save(update_fields=["amounts"])


def release(object_kind: str, object_id: UUID) -> None:
    """The object is gone for certain and takes nothing any more. Repeated it changes nothing."""
    QuotaUse.objects.filter(object_kind=object_kind, object_id=object_id).delete()


def usage(tenant_id: UUID) -> Usage:
    """What the tenant takes everywhere: one query."""
    rows = QuotaUse.objects.filter(tenant_id=tenant_id).values("project_id", "cluster_id")
    sums = {name: Coalesce(Sum(Cast(KeyTextTransform(name, "amounts"), BigIntegerField())), 0) for name in RESOURCES}
    found: Iterable[Any] = rows.annotate(**sums)
    return Usage({(row["project_id"], row["cluster_id"]): {name: row[name] for name in RESOURCES} for row in found})


def _excesses(project: Project, cluster: Cluster, asked: Amounts) -> list[Excess]:
    if not asked:
        return []
    quotas = Quota.objects.that_hold(project.tenant_id, project.pk, cluster.pk)
    taken = usage(project.tenant_id)
    here = taken.of(project_id=project.pk, cluster_id=cluster.pk)
    broken = [
        excess
        for quota in quotas
        for excess in _broken(
            quota.limits,
            taken.of(project_id=quota.project_id, cluster_id=quota.cluster_id),
            asked,
            "tenant" if quota.project_id is None else "project",
            quota.cluster_id,
        )
    ]
    return broken + _broken(namespace_defaults(quotas), here, asked, "namespace", cluster.pk)


def _broken(limits: Amounts, used: Amounts, asked: Amounts, scope: str, cluster_id: UUID | None) -> list[Excess]:
    return [
        Excess(
            resource=resource,
            scope=scope,
            cluster=str(cluster_id) if cluster_id else None,
            used=used[resource],
            limit=limit,
            asked=asked[resource],
            free=max(0, limit - used[resource]),
        )
        for resource, limit in limits.items()
        if resource in asked and used[resource] + asked[resource] > limit
    ]
