"""Usage: how much of its quotas a tenant or a project takes, over all clusters and in each.

Read by whoever may read the quotas of the whole tenant, or of the project: the numbers of a tenant tell of all its projects.
"""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from hub.allowances.reports import Report, report_usage
from hub.api.documents import Shown
from hub.api.viewsets import ApiViewSet, find_id
from hub.core.access import AccessScope, can, visible_to
from hub.core.errors import HubError
from hub.tenancy.models import Project, Tenant


class LevelShown(Shown):
    """In cores, MiB, GiB and pieces. ``free`` is what fits by every quota that holds; what is not limited is not named."""

    used: dict[str, int]
    limits: dict[str, int]
    free: dict[str, int]


class ClusterLevelShown(LevelShown):
    cluster: UUID


class UsageShown(LevelShown):
    """All clusters together, and each where something is taken or limited."""

    clusters: list[ClusterLevelShown]

    @classmethod
    def of(cls, source: Report) -> "UsageShown":
        levels = [
            ClusterLevelShown(cluster=id, used=dict(level.used), limits=dict(level.limits), free=dict(level.free))
            for id, level in source.clusters.items()
        ]
        total = source.total
        return cls(used=dict(total.used), limits=dict(total.limits), free=dict(total.free), clusters=levels)


class UsageViewSet(ApiViewSet, wall=True):
    """``GET tenants/{id}/usage``; ``owners`` is where the id is looked for."""

    resource = "quotas"
    title = "tenant-usage"
    shown: ClassVar[type[Shown]] = UsageShown
    owners: ClassVar[QuerySet[Any]] = Tenant.objects.all()
    place: AccessScope

    def authorise_action(self) -> None:
        """Raises HubError ``object.not_found`` alike for missing, foreign and merely known owners (SEC-40, SEC-41)."""
        id = find_id(self.kwargs["pk"])
        owner = visible_to(self.owners.all(), self.actor, "get").filter(pk=id).first() if id is not None else None
        if owner is None or not can(self.actor, "get", "quotas", _place_of(owner)).allowed:
            raise HubError("object.not_found", resource=str(self.owners.model._meta.verbose_name_plural))
        self.place = _place_of(owner)

    def retrieve(self, request: Request, pk: str) -> Response:
        assert self.place.tenant_id is not None
        report = report_usage(self.place.tenant_id, self.place.project_id)
        return Response(UsageShown.of(report).model_dump(mode="json"))


class ProjectUsageViewSet(UsageViewSet):
    """``GET projects/{id}/usage``."""

    title = "project-usage"
    owners = Project.objects.all()


def _place_of(owner: Tenant | Project) -> AccessScope:
    if isinstance(owner, Project):
        return AccessScope(tenant_id=owner.tenant_id, project_id=owner.pk)
    return AccessScope(tenant_id=owner.pk)
