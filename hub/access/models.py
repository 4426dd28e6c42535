"""Rows of access: custom roles, who holds which role where, invitations, and the counter that outdates snapshots."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from hub.core.models import Record
from hub.federation.models import Cluster
from hub.identity.models import Group, User
from hub.tenancy.models import Project, Tenant

from .grants import BindingFact
from .permissions import Role as RoleFact
from .querysets import RoleBindingQuerySet, RoleQuerySet
from .rule_documents import read_policy_rules, read_rules

SCOPE_KINDS = (("hub", "Hub"), ("tenant", "Tenant"), ("project", "Project"), ("cluster", "Cluster"))


class Role(Record):
    """A role that people made, of the hub or of one tenant; the built-in ones are in ``permissions``.

    ``rules`` is a list of ``{"resources", "verbs"}`` of the permission table, ``kubernetes_rules`` a list of
    ``{"apiGroups", "resources", "verbs"}`` that hold inside member clusters, ``inherits`` the keys of roles whose rules count
    too. A locked role keeps its bindings and takes no new ones.
    """

    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=200, blank=True, default="")
    scopes = models.JSONField(default=list)
    rules = models.JSONField(default=list)
    kubernetes_rules = models.JSONField(default=list)
    inherits = models.JSONField(default=list)
    is_locked = models.BooleanField(default=False)

    objects = RoleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "name"], name="role_name_in_owner", nulls_distinct=False),
        ]

    @property
    def key(self) -> str:
        """What bindings, inheritance and the groups of members name it by; it outlives a change of name."""
        return str(self.pk)

    @property
    def fact(self) -> RoleFact:
        """The role as ``role_book`` reads it."""
        return RoleFact(
            name=self.key,
            title=self.name,
            scopes=frozenset(self.scopes),
            rules=read_rules(self.rules),
            kubernetes=read_policy_rules(self.kubernetes_rules),
            inherits=tuple(self.inherits),
            tenant_id=self.tenant_id,
        )

    def __str__(self) -> str:
        return self.name


class RoleBinding(Record):
    """A role of a user (a service account too) or of a provider's group at one scope; it goes with whatever it names.

    ``role`` is a built-in role's name or a custom one's key; then ``custom_role`` is set too. ``tenant`` is also set for a
    project's binding, as on every row that a tenant owns. After ``expires_at`` it counts no more.
    """

    role = models.CharField(max_length=63)
    custom_role = models.ForeignKey(Role, null=True, blank=True, on_delete=models.PROTECT, related_name="bindings")
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    scope_kind = models.CharField(max_length=16, choices=SCOPE_KINDS)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="role_bindings")
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = RoleBindingQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["user", "group", "role", "scope_kind", "tenant", "project", "cluster"],
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
            models.CheckConstraint(
                name="role_binding_has_one_subject",
                condition=Q(user__isnull=False, group=None) | Q(user=None, group__isnull=False),
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
    def username(self) -> str | None:
        return self.user.username if self.user is not None else None

    @property
    def group_name(self) -> str | None:
        return str(self.group) if self.group is not None else None

    @property
    def service_account(self) -> UUID | None:
        """The service account that its user is; None for a person's and a group's."""
        account = getattr(self.user, "service_account", None)
        return account.pk if account is not None else None

    @property
    def role_name(self) -> str:
        """The role's name for people."""
        return self.custom_role.name if self.custom_role is not None else self.role

    @property
    def fact(self) -> BindingFact:
        """The binding as ``grants`` reads it."""
        return BindingFact(self.role, self.scope_kind, self.scope_id, self.expires_at, self.pk, self.group_id)

    def __str__(self) -> str:
        return f"{self.user_id or self.group_id}: {self.fact}"


class Invitation(Record):
    """A one-time link that gives its first opener a role on a tenant or project; the link's secret is nowhere.

    ``accepted_by`` is that first (issuer, subject): from then on the link is his alone, and good for nothing more.
    """

    key_id = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    pepper_id = models.CharField(max_length=32, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=63)
    custom_role = models.ForeignKey(Role, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    note = models.CharField(max_length=200, blank=True, default="")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    binding_expires_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"invitation {self.key_id} to {self.tenant_id}"


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
