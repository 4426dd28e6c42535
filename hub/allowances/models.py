"""Rows of allowances: what of a cluster a tenant may use, how much of it all, and what is taken by now."""

from typing import ClassVar

from django.db import models

from hub.core.models import Record
from hub.federation.models import Cluster
from hub.tenancy.models import Project, Tenant

from .querysets import GrantQuerySet, QuotaQuerySet


class GrantKind(models.TextChoices):
    NETWORK = "network"
    IMAGE = "image"
    STORAGE_CLASS = "storage_class"
    IP_POOL = "ip_pool"


class Grant(Record):
    """A tenant may use one network, image, storage class or address pool of a cluster; what is not granted is refused.

    ``name`` is ``namespace/name`` or, for what has no namespace, ``name``; ``*`` stands for all of the kind.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="grants")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="grants")
    kind = models.CharField(max_length=20, choices=GrantKind)
    name = models.CharField(max_length=320)

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "cluster", "kind", "name"], name="grant_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Quota(Record):
    """How much may be taken: a tenant's budget over all clusters (no project), or a project's share; of all or one cluster.

    ``limits`` maps a resource of ``amounts.RESOURCES`` to the most that may be taken; a resource that is not named has no
    limit here. ``namespace_defaults`` are the limits that each namespace of the project gets in its cluster.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="quotas")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas")
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="quotas")
    limits = models.JSONField(default=dict)
    namespace_defaults = models.JSONField(default=dict, blank=True)

    objects = QuotaQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "project", "cluster"], name="quota_once", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"quota of {self.project or self.tenant}"


class QuotaUse(models.Model):
    """What one object takes, from the transaction that orders it until its removal is confirmed.

    Written under the tenant's lock, so the sum of these rows never exceeds a limit that was there before (FLT-15).
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    object_kind = models.CharField(max_length=63)
    object_id = models.UUIDField()
    amounts = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["object_kind", "object_id"], name="quota_use_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "project", "cluster"], name="quota_use_of_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.object_kind} {self.object_id}"
