"""Rows of access: which user holds which role where, and the counter that tells when a snapshot is out of date."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from hub.core.models import Record
from hub.federation.models import Cluster
from hub.identity.models import User
from hub.tenancy.models import Project, Tenant

from .grants import BindingFact
from .querysets import RoleBindingQuerySet

SCOPE_KINDS = (("hub", "Hub"), ("tenant", "Tenant"), ("project", "Project"), ("cluster", "Cluster"))


class RoleBinding(Record):
    """A user's role at one scope. It goes with whatever it names: user, tenant, project or cluster.

    ``tenant`` is also set for a project's binding, as on every row that a tenant owns.
    """

    role = models.CharField(max_length=63)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_bindings")
    scope_kind = models.CharField(max_length=16, choices=SCOPE_KINDS)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")

    objects = RoleBindingQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["user", "role", "scope_kind", "tenant", "project", "cluster"],
                name="role_binding_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="role_binding_names_its_scope",
                condition=(
                    Q(scope_kind="hub", tenant=None, project=None, cluster=None)
                    | Q(scope_kind="tenant", tenant__isnull=False, project=None, cluster=None)
                    | Q(scope_kind="project", tenant__isnull=False, project__isnull=False, cluster=None)
                    | Q(scope_kind="cluster", project=None, cluster__isnull=False)
                ),
            ),
        ]

    @property
    def scope_id(self) -> UUID | None:
        """The id of what the role is bound on; None for the hub."""
        ids: dict[str, UUID | None] = {
            "tenant": self.tenant_id,
            "project": self.project_id,
            "cluster": self.cluster_id,
        }
        return ids.get(self.scope_kind)

    @property
    def fact(self) -> BindingFact:
        """The binding as ``grants`` reads it."""
        return BindingFact(self.role, self.scope_kind, self.scope_id)

    def __str__(self) -> str:
        return f"{self.user_id}: {self.fact}"


class AccessEpoch(models.Model):
    """One row, raised by database triggers at the commit of anything that access depends on (migration 0002).

    Triggers, because cascades and statements by hand count too; at the commit, because a number that moved earlier
    could be read by somebody who does not see the change yet.
    """

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    value = models.BigIntegerField(default=1)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(id=1), name="access_epoch_is_one_row"),
        ]

    def __str__(self) -> str:
        return str(self.value)
