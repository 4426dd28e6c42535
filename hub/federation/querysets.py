"""Questions asked of clusters and project namespaces."""

from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models

if TYPE_CHECKING:
    from .models import Cluster, ProjectNamespace  # noqa: F401


class ClusterQuerySet(models.QuerySet["Cluster"]):
    """Clusters by what may be done with them."""

    def kept(self) -> Self:
        """Clusters that nobody has asked to delete."""
        return self.filter(deletion_requested_at__isnull=True)

    def with_uid(self, uid: str) -> Self:
        """The cluster whose kube-system namespace has this UID."""
        return self.filter(uid=uid)


class ProjectNamespaceQuerySet(models.QuerySet["ProjectNamespace"]):
    """Project namespaces by whose they are and where."""

    def kept(self) -> Self:
        """Namespaces that nobody has asked to delete."""
        return self.filter(deletion_requested_at__isnull=True)

    def of(self, project_id: UUID, cluster_id: UUID) -> Self:
        """A project's namespaces in one cluster, the oldest first."""
        return self.filter(project_id=project_id, cluster_id=cluster_id).order_by("created_at", "id")
