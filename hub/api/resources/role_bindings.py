"""Role bindings: who has which role where, and until when; a user, a service account or a provider's group.

Nobody gives or takes a role with rights that he does not have there, or gives it for longer than he has them.
"""

import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from hub.access.models import RoleBinding
from hub.access.services import Scope, Subject, bind_role, set_binding_end, unbind_role
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, Updates
from hub.api.documents import Body, Id, Moment, Name, RecordShown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter, TimeFilter
from hub.core.access import Actor, visible_to
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.identity.models import Group, User
from hub.operations.models import Operation
from hub.tenancy.models import Project, ServiceAccount, Tenant

define("role_binding.many_scopes", 400, "Name one of tenant, project and cluster, or none of them for the whole hub")
define("role_binding.one_subject", 400, "Name one of user, username, group and service_account")

SCOPE_KINDS = ("hub", "tenant", "project", "cluster")


class RoleBindingShown(RecordShown):
    """A project's binding names its tenant too. ``role`` is a built-in role's name or the id of a custom one. A service
    account's binding has its user too. After ``expires_at`` it counts no more.
    """

    user: UUID | None = Field(validation_alias="user_id")
    username: str | None
    group: UUID | None = Field(validation_alias="group_id")
    group_name: str | None
    service_account: UUID | None
    role: str
    role_name: str
    scope: Literal["hub", "tenant", "project", "cluster"] = Field(validation_alias="scope_kind")
    tenant: UUID | None = Field(validation_alias="tenant_id")
    project: UUID | None = Field(validation_alias="project_id")
    cluster: UUID | None = Field(validation_alias="cluster_id")
    expires_at: datetime.datetime | None


class RoleBindingBody(Body):
    """For one user (by id, or by name where he is known to the caller), group or service account; on one tenant, project
    or cluster, without any on the whole hub.
    """

    user: Id | None = None
    username: Name | None = None
    group: Id | None = None
    service_account: Id | None = None
    role: Name
    tenant: Id | None = None
    project: Id | None = None
    cluster: Id | None = None
    expires_at: Moment | None = None


class RoleBindingChange(Body):
    """When it ends; null for never."""

    expires_at: Moment | None = None


class RoleBindingViewSet(
    Lists[RoleBinding], Gets[RoleBinding], Creates[RoleBinding], Updates[RoleBinding], Deletes[RoleBinding]
):
    resource = "role-bindings"
    rows = RoleBinding.objects.with_names()
    shown = RoleBindingShown
    listing = Listing(
        (
            IdFilter("user"),
            IdFilter("group"),
            IdFilter("service_account", "user__service_account__id"),
            TextFilter("role"),
            ChoiceFilter("scope", "scope_kind", choices=SCOPE_KINDS),
            IdFilter("tenant"),
            IdFilter("project"),
            IdFilter("cluster"),
            TimeFilter("expires_before", "expires_at__lt"),
        ),
        ("-created_at", "updated_at", "role", "scope_kind"),
    )
    create_body = RoleBindingBody
    update_body = RoleBindingChange
    references = {
        "project": Reference(Project.objects.all()),
        "tenant": Reference(Tenant.objects.all()),
        "cluster": Reference(Cluster.objects.all()),
    }

    def perform_create(self, body: RoleBindingBody, references: References) -> Made:
        if len(references) > 1:
            raise HubError("role_binding.many_scopes", named=sorted(references))
        scope: Scope = next(iter(references.values()), None)
        subject = find_subject(self.actor, body)
        return Made(bind_role(self.actor, body.role, subject, scope, expires_at=body.expires_at))

    def perform_update(self, row: RoleBinding, body: RoleBindingChange, expected_version: int | None) -> Made:
        set_binding_end(self.actor, row, body.expires_at, expected_version=expected_version)
        return Made(row)

    def perform_delete(self, row: RoleBinding, expected_version: int | None) -> Operation | None:
        unbind_role(self.actor, row, expected_version=expected_version)
        return None


def find_subject(actor: Actor, body: RoleBindingBody) -> Subject:
    """Whom the body names. Whoever may give a role may give it to anybody whose id he was told: owners of tenants cannot
    list users. By name they find only those who are in their tenants already, or names could be tried out (SEC-40).
    """
    named = [name for name in ("user", "username", "group", "service_account") if getattr(body, name) is not None]
    if len(named) != 1:
        raise HubError("role_binding.one_subject", named=named)
    subject: Subject | None = None
    if body.group is not None:
        subject = Group.objects.filter(pk=body.group).first()
    elif body.service_account is not None:
        accounts = visible_to(ServiceAccount.objects.select_related("user"), actor, "get")
        account = accounts.filter(pk=body.service_account).first()
        subject = account.user if account is not None else None
    elif body.username is not None:
        subject = _find_known_user(actor, body.username)
    elif body.user is not None:
        subject = User.objects.filter(pk=body.user).first()
    if subject is None:
        raise HubError("reference.not_found", pointer=f"/{named[0]}")
    return subject


def _find_known_user(actor: Actor, username: str) -> User | None:
    user = visible_to(User.objects.all(), actor, "get").filter(username=username).first()
    if user is not None:
        return user
    known = visible_to(RoleBinding.objects.all(), actor, "list").filter(user__username=username)
    binding = known.select_related("user").first()
    return binding.user if binding is not None else None
