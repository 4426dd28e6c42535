"""Role bindings: which user has which role where. Nobody gives or takes a role with rights that he does not have there."""

from typing import Literal
from uuid import UUID

from pydantic import AliasPath, Field

from hub.access.models import RoleBinding
from hub.access.services import Scope, bind_role, unbind_role
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References
from hub.api.documents import Body, Id, Name, RecordShown
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.identity.models import User
from hub.operations.models import Operation
from hub.tenancy.models import Project, Tenant

define("role_binding.many_scopes", 400, "Name one of tenant, project and cluster, or none of them for the whole hub")


class RoleBindingShown(RecordShown):
    """A project's binding names its tenant too."""

    user: UUID = Field(validation_alias="user_id")
    username: str = Field(validation_alias=AliasPath("user", "username"))
    role: str
    scope: Literal["hub", "tenant", "project", "cluster"] = Field(validation_alias="scope_kind")
    tenant: UUID | None = Field(validation_alias="tenant_id")
    project: UUID | None = Field(validation_alias="project_id")
    cluster: UUID | None = Field(validation_alias="cluster_id")


class RoleBindingBody(Body):
    """On one tenant, project or cluster; without any, on the whole hub."""

    user: Id
    role: Name
    tenant: Id | None = None
    project: Id | None = None
    cluster: Id | None = None


class RoleBindingViewSet(Lists[RoleBinding], Gets[RoleBinding], Creates[RoleBinding], Deletes[RoleBinding]):
    resource = "role-bindings"
    rows = RoleBinding.objects.select_related("user")
    shown = RoleBindingShown
    listing = Listing((IdFilter("user"), TextFilter("role"), IdFilter("tenant"), IdFilter("project")))
    create_body = RoleBindingBody
    references = {
        "project": Reference(Project.objects.all()),
        "tenant": Reference(Tenant.objects.all()),
        "cluster": Reference(Cluster.objects.all()),
    }

    def perform_create(self, body: RoleBindingBody, references: References) -> Made:
        if len(references) > 1:
            raise HubError("role_binding.many_scopes", named=sorted(references))
        scope: Scope = next(iter(references.values()), None)
        return Made(bind_role(self.actor, body.role, _user(body.user), scope))

    def perform_delete(self, row: RoleBinding, expected_version: int | None) -> Operation | None:
        unbind_role(self.actor, row, expected_version=expected_version)
        return None


def _user(id: UUID) -> User:
    """Whoever may give the role may give it to anybody whose id he was told: owners of tenants cannot list users."""
    user = User.objects.filter(pk=id).first()
    if user is None:
        raise HubError("reference.not_found", pointer="/user")
    return user
