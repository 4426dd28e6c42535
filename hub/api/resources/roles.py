"""Roles that people have made, of the hub or of one tenant. Those that every hub has are under ``built-in-roles``.

Nobody writes a role with rights that he does not have himself, with everything that it inherits.
"""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field

from hub.access.built_in_roles import ROLES
from hub.access.custom_roles import RoleText, create_role, delete_role, update_role
from hub.access.models import Role
from hub.access.permissions import Role as BuiltInRole
from hub.api.actions import Catalogue, Creates, Deletes, Gets, Lists, Made, Reference, References, Updates
from hub.api.documents import Body, Id, Name, RecordShown, Shown, Text
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.federation.rights import PolicyRule
from hub.operations.models import Operation
from hub.tenancy.models import Tenant

ScopeKind = Literal["hub", "tenant", "project", "cluster"]
Words = Annotated[list[Text], Field(min_length=1, max_length=100)]


class RuleShown(Shown):
    """Verbs on kinds of objects of the hub; ``*`` stands for all."""

    resources: list[str]
    verbs: list[str]


class KubernetesRuleShown(Shown):
    """A rule as a ClusterRole has it, that holds inside member clusters; paths outside the API's resources are only in
    built-in roles.
    """

    apiGroups: list[str] = []
    resources: list[str] = []
    verbs: list[str]
    resourceNames: list[str] = []
    nonResourceURLs: list[str] = []


class RoleShown(RecordShown):
    """``inherits`` are names of built-in roles and ids of custom ones, whose rules count too. A locked role keeps its
    bindings and takes no new ones. ``tenant`` is null for a role of the hub.
    """

    name: str
    description: str
    tenant: UUID | None = Field(validation_alias="tenant_id")
    scopes: list[ScopeKind]
    rules: list[RuleShown]
    kubernetes_rules: list[KubernetesRuleShown]
    inherits: list[str]
    is_locked: bool


class RuleBody(Body):
    resources: Words
    verbs: Words


class KubernetesRuleBody(Body):
    """``""`` is the core API group."""

    apiGroups: Words
    resources: Words
    verbs: Words
    resourceNames: Annotated[list[Text], Field(max_length=100)] = []


class RoleChange(Body):
    name: Name
    description: Text = ""
    scopes: Annotated[list[ScopeKind], Field(min_length=1, max_length=4)]
    rules: Annotated[list[RuleBody], Field(max_length=100)] = []
    kubernetes_rules: Annotated[list[KubernetesRuleBody], Field(max_length=100)] = []
    inherits: Annotated[list[Name], Field(max_length=20)] = []
    is_locked: bool = False


class RoleBody(RoleChange):
    """A role of this tenant, or without one of the whole hub."""

    tenant: Id | None = None


class RoleViewSet(Lists[Role], Gets[Role], Creates[Role], Updates[Role], Deletes[Role]):
    resource = "roles"
    rows = Role.objects.all()
    shown = RoleShown
    listing = Listing((TextFilter("name"), IdFilter("tenant")), ("name", "created_at", "updated_at"))
    create_body = RoleBody
    update_body = RoleChange
    references = {"tenant": Reference(Tenant.objects.all())}

    def perform_create(self, body: RoleBody, references: References) -> Made:
        return Made(create_role(self.actor, references.get("tenant"), _text_of(body)))

    def perform_update(self, row: Role, body: RoleChange, expected_version: int | None) -> Made:
        update_role(self.actor, row, _text_of(body), expected_version=expected_version)
        return Made(row)

    def perform_delete(self, row: Role, expected_version: int | None) -> Operation | None:
        delete_role(self.actor, row, expected_version=expected_version)
        return None


class BuiltInRoleShown(Shown):
    """``in_projects`` and ``in_clusters`` name the role whose Kubernetes rules hold instead in the namespaces of projects,
    or in whole clusters that belong to the scope.
    """

    name: str
    title: str
    scopes: list[ScopeKind]
    rules: list[RuleShown]
    kubernetes_rules: list[KubernetesRuleShown]
    in_projects: str
    in_clusters: str

    @classmethod
    def of(cls, source: BuiltInRole) -> Self:
        return cls(
            name=source.name,
            title=source.title,
            scopes=[kind for kind in ("hub", "tenant", "project", "cluster") if kind in source.scopes],
            rules=[RuleShown(resources=sorted(rule.resources), verbs=sorted(rule.verbs)) for rule in source.rules],
            kubernetes_rules=[_kubernetes_rule(rule) for rule in source.kubernetes],
            in_projects=source.in_projects or source.name,
            in_clusters=source.in_clusters or source.name,
        )


class BuiltInRoleViewSet(Catalogue):
    resource = "built-in-roles"
    shown: ClassVar[type[Shown]] = BuiltInRoleShown

    def entries(self) -> list[BuiltInRoleShown]:
        return [BuiltInRoleShown.of(role) for role in ROLES.values()]


def _text_of(body: RoleChange) -> RoleText:
    document = body.model_dump()
    return RoleText(**{name: value for name, value in document.items() if name != "tenant"})


def _kubernetes_rule(rule: PolicyRule) -> KubernetesRuleShown:
    return KubernetesRuleShown.model_validate(rule.render())
