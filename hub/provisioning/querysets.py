"""Questions about guest clusters and machines that more than one caller asks."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Count, Q

from .choices import Role

if TYPE_CHECKING:
    from .models import GuestCluster, Machine, NodePool  # noqa: F401


class GuestClusterQuerySet(models.QuerySet["GuestCluster"]):
    """Guest clusters."""


class NodePoolQuerySet(models.QuerySet["NodePool"]):
    def with_ready_count(self) -> Self:
        """Adds ``ready``: how many of a pool's machines are Ready nodes."""
        return self.annotate(ready=Count("machines", filter=Q(machines__ready_at__isnull=False)))


class MachineQuerySet(models.QuerySet["Machine"]):
    def wanted(self) -> Self:
        return self.filter(deletion_requested_at__isnull=True)

    def joined_servers(self) -> Self:
        """Servers whose API can be asked, the longest joined first."""
        return self.wanted().filter(role=Role.SERVER, joined_at__isnull=False).exclude(address="").order_by("joined_at")

    def unsettled(self) -> Self:
        """Machines that are being made or removed."""
        return self.filter(Q(ready_at__isnull=True) | Q(deletion_requested_at__isnull=False))
