"""How much of its quotas a tenant or project takes: used, limit and free, over all clusters and in each."""

from dataclasses import dataclass
from uuid import UUID

from .amounts import Amounts, room
from .ledger import Usage, usage
from .models import Quota


@dataclass(frozen=True, slots=True)
class Level:
    """``limits`` and ``free`` name the limited resources, ``used`` names all."""

    used: Amounts
    limits: Amounts
    free: Amounts


@dataclass(frozen=True, slots=True)
class Report:
    """``total`` over all clusters; ``clusters`` those where something is taken or limited."""

    total: Level
    clusters: dict[UUID, Level]


def report_usage(tenant_id: UUID, project_id: UUID | None = None) -> Report:
    """Of a whole tenant, or of one of its projects. Two queries.

    The limits are those set for exactly the tenant, or exactly the project; a budget that is narrower than a project's
    share shows in what is free.
    """
    taken = usage(tenant_id)
    quotas = [quota for quota in Quota.objects.filter(tenant_id=tenant_id) if quota.project_id in (None, project_id)]
    places = taken.clusters(project_id) | {quota.cluster_id for quota in quotas if quota.cluster_id is not None}
    return Report(
        _level(taken, quotas, project_id, None),
        {place: _level(taken, quotas, project_id, place) for place in sorted(places)},
    )


def _level(taken: Usage, quotas: list[Quota], project_id: UUID | None, cluster_id: UUID | None) -> Level:
    used = taken.of(project_id=project_id, cluster_id=cluster_id)
    limits: dict[str, int] = {}
    free: dict[str, int] = {}
    for quota in quotas:
        if quota.cluster_id not in (None, cluster_id):
            continue
        left = room(taken.of(project_id=quota.project_id, cluster_id=quota.cluster_id), quota.limits)
        for resource, amount in left.items():
            free[resource] = min(amount, free.get(resource, amount))
        if (quota.project_id, quota.cluster_id) == (project_id, cluster_id):
            limits = dict(quota.limits)
    return Level(used, limits, free)
