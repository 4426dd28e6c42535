"""The permission table, as data: what can be acted on, by which verbs, and what a role is made of.

``RESOURCES`` names every kind of object the hub has, its verbs, and how a row of it reaches its tenant, project, cluster
and owner. Everything that decides (SQL filters, ``can()``, the groups of the proxy) is computed from it and from roles, so
a new kind of object is one row here and nothing else. The roles that every hub has are in ``built_in_roles``; how roles
are resolved and evaluated is in ``role_book``, ``grants`` and ``policy``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from hub.federation.rights import PolicyRule

READ_VERBS = frozenset({"get", "list"})
WRITE_VERBS = frozenset({"create", "update", "delete"})
CRUD = READ_VERBS | WRITE_VERBS
POWER_VERBS = frozenset({"start", "stop", "restart", "pause", "migrate"})
MACHINE_VERBS = CRUD | POWER_VERBS | {"console", "backup", "restore", "snapshot", "clone"}

SCOPE_KINDS = ("hub", "tenant", "project", "cluster")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object. Paths are Django lookups from its model to an id; several mean "any of these".

    ``model`` is an app label and class name, as text because the table sits below some of the apps it names; None for
    catalogues that are the same for everybody, and for objects that are not rows of the hub. A path through a reverse
    relation is allowed.
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
    # VMs of members, by hub verbs; what Kubernetes lets through besides is in the roles' Kubernetes rules.
    Resource("virtual-machines", MACHINE_VERBS),
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
        CRUD,
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
        # Those of service accounts; a person's are his own and the hub's.
        tenant=("user__service_account__tenant_id",),
        project=("user__service_account__project_id",),
        owner="user_id",
        owner_verbs=CRUD - {"update"},
    ),
    Resource(
        "sessions", READ_VERBS | {"delete"}, "identity.Session", owner="user_id", owner_verbs=READ_VERBS | {"delete"}
    ),
    Resource("identity-providers", CRUD | {"test"}, "identity.IdentityProvider"),
    Resource("provider-tests", CRUD - {"delete"}, "identity.ProviderDraft"),
    Resource("groups", READ_VERBS, "identity.Group"),
    Resource("service-accounts", CRUD, "tenancy.ServiceAccount", tenant=("tenant_id",), project=("project_id",)),
    Resource("credentials", CRUD | {"use"}, "tenancy.Credential", tenant=("tenant_id",), project=("project_id",)),
    Resource("roles", CRUD, "access.Role", tenant=("tenant_id",)),
    Resource("invitations", CRUD - {"update"}, "access.Invitation", tenant=("tenant_id",), project=("project_id",)),
    # Whoever works in a project may know what its tenant may use.
    Resource(
        "grants",
        CRUD,
        "allowances.Grant",
        tenant=("tenant_id",),
        project=("tenant__projects__id",),
        cluster=("cluster_id",),
    ),
    Resource(
        "quotas", CRUD, "allowances.Quota", tenant=("tenant_id",), project=("project_id",), cluster=("cluster_id",)
    ),
    Resource("built-in-roles", READ_VERBS, public_verbs=READ_VERBS),
    Resource("releases", READ_VERBS, public_verbs=READ_VERBS),
    Resource("node-drivers", READ_VERBS, public_verbs=READ_VERBS),
)

RESOURCES: Mapping[str, Resource] = {resource.name: resource for resource in _TABLE}
RESOURCE_OF_MODEL: Mapping[str, Resource] = {
    resource.model.lower(): resource for resource in _TABLE if resource.model is not None
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources of the hub; ``*`` in either stands for all that the table has."""

    resources: frozenset[str]
    verbs: frozenset[str]

    def permissions(self) -> frozenset[tuple[str, str]]:
        """All (verb, resource) pairs that the rule permits, with the wildcards written out."""
        return _permissions_of(self)

    def __str__(self) -> str:
        return f"{', '.join(sorted(self.verbs))} on {', '.join(sorted(self.resources))}"


@lru_cache(maxsize=4096)
def _permissions_of(rule: Rule) -> frozenset[tuple[str, str]]:
    named = RESOURCES if "*" in rule.resources else rule.resources & RESOURCES.keys()
    return frozenset(
        (verb, name)
        for name in named
        for verb in (RESOURCES[name].verbs if "*" in rule.verbs else rule.verbs & RESOURCES[name].verbs)
    )


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of rules and the scopes it may be bound at; a built-in one, or a row of people's own.

    ``name`` is what bindings, inheritance and the groups of members name it by. ``kubernetes`` holds in the namespaces of
    the scope's projects, and in whole clusters that belong to the scope. Where one of the two should be another role's
    rules, ``in_projects`` or ``in_clusters`` names that role: what is meant for a whole cluster gives too much in a namespace
    of a shared one. A role of a tenant counts in that tenant only.
    """

    name: str
    title: str
    scopes: frozenset[str]
    rules: tuple[Rule, ...]
    kubernetes: tuple[PolicyRule, ...] = ()
    in_projects: str = ""
    in_clusters: str = ""
    inherits: tuple[str, ...] = ()
    tenant_id: UUID | None = field(default=None)
