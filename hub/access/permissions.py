"""The permission table, as data: what can be acted on, by which verbs, and what each role may do.

Two tables. ``RESOURCES`` names every kind of object the hub has, its verbs, and how a row of it reaches its tenant,
project, cluster and owner; ``ROLES`` names the built-in roles. Everything that decides (SQL filters, ``can()``, the
groups of the proxy) is computed from these two, so a new kind of object is one row here and nothing else.
How they are evaluated is in ``grants.py`` and ``policy.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

READ_VERBS = frozenset({"get", "list"})
WRITE_VERBS = frozenset({"create", "update", "delete"})
CRUD = READ_VERBS | WRITE_VERBS

SCOPE_KINDS = ("hub", "tenant", "project", "cluster")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object. Paths are Django lookups from its model to an id; several mean "any of these".

    ``model`` is an app label and class name, as text because the table sits below some of the apps it names; None for
    catalogues that are the same for everybody. A path through a reverse relation is allowed.
    """

    name: str
    verbs: frozenset[str]
    model: str | None = None
    tenant: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    owner: str | None = None
    owner_verbs: frozenset[str] = frozenset()
    public_verbs: frozenset[str] = frozenset()

    def paths(self, scope_kind: str) -> tuple[str, ...]:
        """The lookups that lead from a row to the id of its tenant, project or cluster."""
        by_kind: Mapping[str, tuple[str, ...]] = {
            "tenant": self.tenant,
            "project": self.project,
            "cluster": self.cluster,
        }
        return by_kind[scope_kind]


_TABLE = (
    Resource(
        "clusters",
        CRUD | {"use", "proxy"},
        "federation.Cluster",
        # A shared cluster is seen by the tenants whose projects have a namespace in it, and by nobody else.
        tenant=("tenant_id", "namespaces__tenant_id"),
        project=("project_id", "namespaces__project_id"),
        cluster=("id",),
    ),
    Resource(
        "project-namespaces",
        CRUD,
        "federation.ProjectNamespace",
        tenant=("tenant_id",),
        project=("project_id",),
        cluster=("cluster_id",),
    ),
    Resource(
        "guest-clusters",
        CRUD,
        "provisioning.GuestCluster",
        tenant=("tenant_id",),
        project=("project_id",),
        cluster=("member_id",),
    ),
    Resource(
        "node-pools",
        CRUD,
        "provisioning.NodePool",
        tenant=("tenant_id",),
        project=("guest__project_id",),
        cluster=("guest__member_id",),
    ),
    Resource(
        "machines",
        READ_VERBS,
        "provisioning.Machine",
        tenant=("tenant_id",),
        project=("guest__project_id",),
        cluster=("guest__member_id",),
    ),
    Resource(
        "operations",
        READ_VERBS | {"update"},
        "operations.Operation",
        tenant=("tenant_id",),
        project=("project_id",),
    ),
    Resource(
        "audit-events",
        READ_VERBS,
        "audit.AuditEvent",
        tenant=("tenant_id",),
        project=("project_id",),
        cluster=("cluster_id",),
    ),
    Resource("audit-forwarders", CRUD, "audit.AuditForwarder"),
    # Who sees a project sees the name of its tenant too.
    Resource("tenants", CRUD, "tenancy.Tenant", tenant=("id",), project=("projects__id",)),
    Resource("projects", CRUD, "tenancy.Project", tenant=("tenant_id",), project=("id",)),
    Resource(
        "role-bindings",
        CRUD - {"update"},
        "access.RoleBinding",
        tenant=("tenant_id",),
        project=("project_id",),
        cluster=("cluster_id",),
    ),
    Resource("users", CRUD, "identity.User", owner="id", owner_verbs=READ_VERBS),
    Resource(
        "tokens",
        CRUD - {"update"},
        "identity.ApiToken",
        owner="user_id",
        owner_verbs=CRUD - {"update"},
    ),
    Resource(
        "sessions", READ_VERBS | {"delete"}, "identity.Session", owner="user_id", owner_verbs=READ_VERBS | {"delete"}
    ),
    Resource("identity-providers", CRUD | {"test"}, "identity.IdentityProvider"),
    Resource("groups", READ_VERBS, "identity.Group"),
    Resource("service-accounts", CRUD, "tenancy.ServiceAccount", tenant=("tenant_id",), project=("project_id",)),
    Resource("credentials", CRUD | {"use"}, "tenancy.Credential", tenant=("tenant_id",), project=("project_id",)),
    Resource("roles", CRUD, "access.Role", tenant=("tenant_id",)),
    Resource("invitations", CRUD - {"update"}, "access.Invitation", tenant=("tenant_id",), project=("project_id",)),
    Resource("grants", CRUD, "allowances.Grant", tenant=("tenant_id",), cluster=("cluster_id",)),
    Resource(
        "quotas", CRUD, "allowances.Quota", tenant=("tenant_id",), project=("project_id",), cluster=("cluster_id",)
    ),
    Resource("releases", READ_VERBS, public_verbs=READ_VERBS),
    Resource("node-drivers", READ_VERBS, public_verbs=READ_VERBS),
)

RESOURCES: Mapping[str, Resource] = {resource.name: resource for resource in _TABLE}
RESOURCE_OF_MODEL: Mapping[str, Resource] = {
    resource.model.lower(): resource for resource in _TABLE if resource.model is not None
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources; ``*`` in either stands for all that the table has."""

    resources: frozenset[str]
    verbs: frozenset[str]

    def allows(self, verb: str, resource: str) -> bool:
        """Whether this rule alone permits the verb on the resource."""
        return bool(self.resources & {resource, "*"}) and bool(self.verbs & {verb, "*"})


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of rules, the scopes it may be bound at, and what it is worth inside member clusters.

    ``member_role`` ("admin" or "viewer") is the last part of the groups that the proxy sends for a holder: the cluster
    group in clusters that belong to the binding's scope, the project group in shared clusters.
    """

    name: str
    title: str
    scopes: frozenset[str]
    rules: tuple[Rule, ...]
    member_role: str | None = field(default=None)

    def allows(self, verb: str, resource: str) -> bool:
        """Whether any rule permits the verb on the resource."""
        return any(rule.allows(verb, resource) for rule in self.rules)

    def permissions(self) -> frozenset[tuple[str, str]]:
        """All (verb, resource) pairs the role grants, with the wildcards written out."""
        return frozenset(
            (verb, resource.name) for resource in _TABLE for verb in resource.verbs if self.allows(verb, resource.name)
        )


def _rule(resources: set[str], verbs: set[str] | frozenset[str]) -> Rule:
    return Rule(frozenset(resources), frozenset(verbs))


HUB_ADMIN = Role(
    "hub-admin",
    "Administrator of the hub",
    frozenset({"hub"}),
    (_rule({"*"}, {"*"}),),
    member_role="admin",
)
TENANT_OWNER = Role(
    "tenant-owner",
    "Owner of a tenant",
    frozenset({"tenant"}),
    (
        _rule({"clusters"}, READ_VERBS | {"use", "proxy"}),
        _rule({"project-namespaces", "machines", "audit-events"}, READ_VERBS),
        _rule({"guest-clusters", "node-pools"}, CRUD),
        _rule({"operations"}, READ_VERBS | {"update"}),
        _rule({"tenants"}, READ_VERBS | {"update"}),
        _rule({"projects"}, CRUD),
        _rule({"role-bindings"}, CRUD - {"update"}),
    ),
    member_role="admin",
)
PROJECT_VIEWER = Role(
    "project-viewer",
    "Viewer of a project, or of all projects of a tenant",
    frozenset({"tenant", "project"}),
    (
        _rule({"clusters"}, READ_VERBS | {"proxy"}),
        _rule(
            {"project-namespaces", "guest-clusters", "node-pools", "machines", "operations", "tenants", "projects"},
            READ_VERBS,
        ),
    ),
    member_role="viewer",
)

ROLES: Mapping[str, Role] = {role.name: role for role in (HUB_ADMIN, TENANT_OWNER, PROJECT_VIEWER)}
