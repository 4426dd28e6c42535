"""How role bindings and a token's scope combine, as pure functions over facts: no database, no Django.

``policy`` compiles the answers to SQL and ``snapshot`` asks them for the stream server, so both always agree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.core.access import AccessScope, Decision, TokenScope
from hub.federation.rights import cluster_group, project_group

from .permissions import READ_VERBS, RESOURCES, ROLES, WRITE_VERBS

FULL_SCOPE = TokenScope()


@dataclass(frozen=True, slots=True)
class BindingFact:
    """One role binding of one user. ``scope_id`` is None for scope kind "hub" and an id otherwise."""

    role: str
    scope_kind: str
    scope_id: UUID | None = None

    def allows(self, verb: str, resource: str) -> bool:
        """Whether the bound role permits the verb. A role that is not (or no longer) known permits nothing."""
        role = ROLES.get(self.role)
        return role is not None and self.scope_kind in role.scopes and role.allows(verb, resource)

    def covers(self, scope: AccessScope) -> bool:
        """Whether the binding's scope holds ``scope``."""
        within = {"tenant": scope.tenant_id, "project": scope.project_id, "cluster": scope.cluster_id}
        return self.scope_kind == "hub" or (self.scope_id is not None and within[self.scope_kind] == self.scope_id)

    def __str__(self) -> str:
        return f"{self.role} on {self.scope_kind}{f' {self.scope_id}' if self.scope_id else ''}"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where one verb on one resource is allowed: everywhere, or within these tenants, projects and clusters."""

    everywhere: bool = False
    tenants: frozenset[UUID] = frozenset()
    projects: frozenset[UUID] = frozenset()
    clusters: frozenset[UUID] = frozenset()
    own: bool = False


def reach_of(bindings: Iterable[BindingFact], verb: str, resource: str) -> Reach:
    """Where these bindings allow the verb, before any token narrows it."""
    allowing = [binding for binding in bindings if binding.allows(verb, resource)]

    def ids(kind: str) -> frozenset[UUID]:
        return frozenset(b.scope_id for b in allowing if b.scope_kind == kind and b.scope_id is not None)

    return Reach(
        any(binding.scope_kind == "hub" for binding in allowing),
        ids("tenant"),
        ids("project"),
        ids("cluster"),
        verb in RESOURCES[resource].owner_verbs,
    )


def permits_verb(scope: TokenScope, verb: str) -> bool:
    """Whether the token may use the verb at all."""
    if scope.verbs is not None and verb not in scope.verbs:
        return False
    return not scope.read_only or verb in READ_VERBS or verb == "proxy"


def reads_only(scope: TokenScope) -> bool:
    """Whether the token changes nothing; inside member clusters it then counts as a viewer's."""
    return scope.read_only or (scope.verbs is not None and not scope.verbs & WRITE_VERBS)


def decide(
    bindings: Sequence[BindingFact], token: TokenScope, verb: str, resource: str, scope: AccessScope
) -> Decision:
    """The answer to "may he do this here", with the reason. Raises KeyError for a resource the table does not have."""
    known = RESOURCES[resource]
    if verb not in known.verbs:
        return Decision(False, f"{resource} have no verb {verb}")
    if not permits_verb(token, verb):
        return Decision(False, f"the token's scope leaves out {verb}")
    if verb in known.public_verbs:
        return Decision(True, f"everybody may {verb} {resource}")
    if token.projects is not None and scope.project_id not in token.projects:
        return Decision(False, "the token's scope leaves out this project")
    if token.clusters is not None and scope.cluster_id not in token.clusters:
        return Decision(False, "the token's scope leaves out this cluster")
    for binding in bindings:
        if binding.allows(verb, resource) and binding.covers(scope):
            return Decision(True, f"{binding} allows {verb} {resource}")
    if verb in known.owner_verbs:
        return Decision(True, f"everybody may {verb} {resource} of his own")
    return Decision(False, f"no role binding allows {verb} {resource} here")


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What access needs to know of one cluster.

    ``projects`` are the (project id, tenant id) pairs with a namespace in it. ``groups`` are those that the hub is able
    to send by now: a group that the member does not let the hub impersonate would make it refuse the whole request.
    """

    tenant_id: UUID | None
    project_id: UUID | None
    projects: tuple[tuple[UUID, UUID], ...] = ()
    groups: frozenset[str] = frozenset()


def member_groups(
    bindings: Iterable[BindingFact], token: TokenScope, cluster_id: UUID, cluster: ClusterFacts
) -> list[str]:
    """The groups that stand for these bindings inside a member cluster, sorted; empty when it is out of reach.

    A binding that holds the whole cluster gives the cluster's group; otherwise it gives the groups of its projects that
    have a namespace there. A read-only token gives the viewer's group in place of any other.
    """
    if not permits_verb(token, "proxy") or (token.clusters is not None and cluster_id not in token.clusters):
        return []
    within = AccessScope(cluster.tenant_id, cluster.project_id, cluster_id)
    groups: set[str] = set()
    for binding in bindings:
        role = ROLES.get(binding.role)
        if role is None or role.member_role is None or not binding.allows("proxy", "clusters"):
            continue
        member_role = "viewer" if reads_only(token) else role.member_role
        if binding.covers(within) and _holds_project(token, cluster.project_id):
            groups.add(cluster_group(cluster_id, member_role))
            continue
        groups.update(
            project_group(project_id, member_role)
            for project_id, tenant_id in cluster.projects
            if binding.covers(AccessScope(tenant_id, project_id)) and _holds_project(token, project_id)
        )
    return sorted(groups & cluster.groups)


def project_member_roles(bindings: Iterable[BindingFact], project_id: UUID, tenant_id: UUID) -> frozenset[str]:
    """The member roles in use for one project: those that its own or its tenant's bindings give.

    With any role in use the viewer's is too, because it stands for read-only tokens. Bindings on the whole hub do not
    count: their holders come with the cluster's group.
    """
    scope = AccessScope(tenant_id, project_id)
    roles = {
        ROLES[binding.role].member_role
        for binding in bindings
        if binding.scope_kind != "hub" and binding.allows("proxy", "clusters") and binding.covers(scope)
    } - {None}
    return frozenset(role for role in (roles | {"viewer"} if roles else roles) if role is not None)


def _holds_project(token: TokenScope, project_id: UUID | None) -> bool:
    return token.projects is None or project_id in token.projects
