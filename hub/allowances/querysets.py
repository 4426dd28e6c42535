"""Questions asked of grants and quotas."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from .models import Grant, Quota  # noqa: F401

ALL = "*"
"""The name in a grant that stands for everything of its kind."""


class GrantQuerySet(models.QuerySet["Grant"]):
    """Grants by whom they are for and where."""

    def of(self, tenant_id: UUID, cluster_id: UUID) -> Self:
        """What one tenant may use of one cluster."""
        return self.filter(tenant_id=tenant_id, cluster_id=cluster_id)


class QuotaQuerySet(models.QuerySet["Quota"]):
    """Quotas by where they hold."""

    def that_hold(self, tenant_id: UUID, project_id: UUID, cluster_id: UUID) -> list["Quota"]:
        """Every quota that limits a project in a cluster: budgets and shares, over all clusters and of this one."""
        return list(
            self.filter(
                Q(project=None) | Q(project_id=project_id),
                Q(cluster=None) | Q(cluster_id=cluster_id),
                tenant_id=tenant_id,
            )
        )


def namespace_defaults(quotas: Iterable["Quota"]) -> dict[str, int]:
    """The limits of each namespace among quotas that hold in one cluster: those of this cluster before those of all."""
    defaults: dict[str, int] = {}
    for quota in sorted(quotas, key=lambda quota: quota.cluster_id is not None):
        defaults |= quota.namespace_defaults
    return defaults
