"""How role bindings and a token's scope combine, as pure functions over facts: no database, no Django.

``policy`` compiles the answers to SQL and ``snapshot`` asks them for the stream server, so both always agree. Bindings
are kept by place, so a decision costs the same however many tenants and projects there are.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hub.core.access import AccessScope, Decision, Explanation, TokenScope
from hub.federation.rights import PolicyRule, cluster_group, project_group, shared_group

from .permissions import READ_VERBS, RESOURCES
from .role_book import BUILT_IN, MemberRights, ResolvedRole, RoleBook

FULL_SCOPE = TokenScope()
PROXY = ("proxy", "clusters")


@dataclass(frozen=True, slots=True)
class BindingFact:
    """One role binding of a user, or of a group that he is in. ``scope_id`` is None for scope kind "hub" and an id otherwise.

    From ``ends_at`` on it counts no more. ``id`` and ``group_id`` are for explanations.
    """

    role: str
    scope_kind: str
    scope_id: UUID | None = None
    ends_at: datetime.datetime | None = None
    id: UUID | None = field(default=None, compare=False)
    group_id: UUID | None = field(default=None, compare=False)

    def covers(self, scope: AccessScope) -> bool:
        """Whether the binding's scope holds ``scope``."""
        within = {"tenant": scope.tenant_id, "project": scope.project_id, "cluster": scope.cluster_id}
        return self.scope_kind == "hub" or (self.scope_id is not None and within[self.scope_kind] == self.scope_id)

    def holds_at(self, now: datetime.datetime | None) -> bool:
        """Whether it counts at this moment. None asks for what has no end at all."""
        return self.ends_at is None or (now is not None and now < self.ends_at)

    def __str__(self) -> str:
        return f"{self.role} on {self.scope_kind}{f' {self.scope_id}' if self.scope_id else ''}"


@dataclass(frozen=True, slots=True)
class Held:
    """A binding with its role resolved."""

    fact: BindingFact
    role: ResolvedRole


class Holdings:
    """The bindings of somebody, or of one group, by place. A binding whose role gives nothing is left out."""

    __slots__ = ("_places", "ends", "projects", "tenants")

    def __init__(self, facts: Iterable[BindingFact] = (), book: RoleBook = BUILT_IN) -> None:
        places: defaultdict[tuple[str, UUID | None], list[Held]] = defaultdict(list)
        for fact in facts:
            role = book.find(fact.role)
            if role is not None and fact.scope_kind in role.role.scopes and (fact.scope_kind == "hub" or fact.scope_id):
                places[fact.scope_kind, fact.scope_id if fact.scope_kind != "hub" else None].append(Held(fact, role))
        self._places: Mapping[tuple[str, UUID | None], Sequence[Held]] = dict(places)
        self.ends = tuple(held.fact.ends_at for held in self if held.fact.ends_at is not None)
        self.tenants = frozenset(id for kind, id in places if kind == "tenant" and id is not None)
        self.projects = frozenset(id for kind, id in places if kind == "project" and id is not None)

    def at(self, kind: str, id: UUID | None) -> Sequence[Held]:
        """What is bound at exactly this place."""
        return self._places.get((kind, id), ())

    def over(self, scope: AccessScope) -> Iterator[Held]:
        """What is bound at any place that holds ``scope``, the widest first."""
        yield from self.at("hub", None)
        if scope.tenant_id is not None:
            yield from self.at("tenant", scope.tenant_id)
        if scope.project_id is not None:
            yield from self.at("project", scope.project_id)
        if scope.cluster_id is not None:
            yield from self.at("cluster", scope.cluster_id)

    def __iter__(self) -> Iterator[Held]:
        for held in self._places.values():
            yield from held


@dataclass(frozen=True, slots=True)
class Reach:
    """Where one verb on one resource is allowed: everywhere, or within these tenants, projects and clusters."""

    everywhere: bool = False
    tenants: frozenset[UUID] = frozenset()
    projects: frozenset[UUID] = frozenset()
    clusters: frozenset[UUID] = frozenset()
    own: bool = False


def reach_of(holdings: Iterable[Held], verb: str, resource: str) -> Reach:
    """Where these bindings allow the verb, before any token narrows it."""
    allowing = [held.fact for held in holdings if (verb, resource) in held.role.permissions]

    def ids(kind: str) -> frozenset[UUID]:
        return frozenset(fact.scope_id for fact in allowing if fact.scope_kind == kind and fact.scope_id is not None)

    return Reach(
        any(fact.scope_kind == "hub" for fact in allowing),
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
    """Whether the token changes nothing; inside member clusters it then counts as a viewer's.

    One that names a verb beside reading comes with its owner's groups there; the rest of what it leaves out is refused
    before a request leaves for the member.
    """
    return scope.read_only or (scope.verbs is not None and scope.verbs <= READ_VERBS | {"proxy"})


def decide(
    holdings: Holdings, token: TokenScope, verb: str, resource: str, scope: AccessScope, now: datetime.datetime
) -> Decision:
    """The answer to "may he do this here", with the reason. Raises KeyError for a resource the table does not have."""
    answer = explain(holdings, token, verb, resource, scope, now)
    return Decision(answer.allowed, answer.reason)


def explain(
    holdings: Holdings, token: TokenScope, verb: str, resource: str, scope: AccessScope, now: datetime.datetime
) -> Explanation:
    """Why he may do this here, or why not. Raises KeyError for a resource the table does not have."""
    known = RESOURCES[resource]
    if verb not in known.verbs:
        return Explanation(False, f"{resource} have no verb {verb}", "table")
    narrowed = _narrowed(token, verb, resource, scope)
    if narrowed:
        return Explanation(False, f"the token's scope leaves out {narrowed}", "token")
    if verb in known.public_verbs:
        return Explanation(True, f"everybody may {verb} {resource}", "everybody")
    held = _find_held(holdings, verb, resource, scope, now)
    if held is not None:
        return _explain_held(held, verb, resource)
    if verb in known.owner_verbs:
        return Explanation(True, f"everybody may {verb} {resource} of his own", "owner")
    return Explanation(False, f"no role binding allows {verb} {resource} here", "nothing")


def holds_permission(
    holdings: Holdings, token: TokenScope, verb: str, resource: str, scope: AccessScope, until: datetime.datetime | None
) -> bool:
    """Whether somebody has a right by a role, so that he may give it away until then (None: for good).

    What everybody has of his own does not count: given by a role, it would be a right to what is others'.
    """
    if _narrowed(token, verb, resource, scope):
        return False
    if verb in RESOURCES[resource].public_verbs:
        return True
    return _find_held(holdings, verb, resource, scope, until) is not None


def member_rules(
    holdings: Holdings, token: TokenScope, scope: AccessScope, until: datetime.datetime | None
) -> tuple[list[PolicyRule], list[PolicyRule]]:
    """What somebody has inside members, in the namespaces of the scope's projects and in the scope's whole clusters.

    With a token that names its verbs he has nothing there to give away: those are the hub's verbs, and not fit to tell which
    of Kubernetes' rules they hold.
    """
    in_projects: list[PolicyRule] = []
    in_clusters: list[PolicyRule] = []
    if token.read_only or token.verbs is not None or _narrowed(token, *PROXY, scope):
        return in_projects, in_clusters
    for held in holdings.over(scope):
        if PROXY in held.role.permissions and held.fact.holds_at(until):
            in_projects += held.role.in_projects.rules
            in_clusters += held.role.in_clusters.rules
            if held.fact.scope_kind == "hub":  # all clusters are its, and so is every namespace in them
                in_projects += held.role.in_clusters.rules
    return in_projects, in_clusters


def _narrowed(token: TokenScope, verb: str, resource: str, scope: AccessScope) -> str:
    """What of the question the token's scope leaves out, in words; "" when it permits it."""
    if not permits_verb(token, verb):
        return verb
    if verb in RESOURCES[resource].public_verbs:
        return ""
    if token.projects is not None and scope.project_id not in token.projects:
        return "this project"
    if token.clusters is not None and scope.cluster_id not in token.clusters:
        return "this cluster"
    return ""


def _find_held(
    holdings: Holdings, verb: str, resource: str, scope: AccessScope, now: datetime.datetime | None
) -> Held | None:
    wanted = (verb, resource)
    for held in holdings.over(scope):
        if wanted in held.role.permissions and held.fact.holds_at(now):
            return held
    return None


def _explain_held(held: Held, verb: str, resource: str) -> Explanation:
    fact = held.fact
    return Explanation(
        True,
        f"{fact} allows {verb} {resource}",
        "binding",
        binding_id=fact.id,
        group_id=fact.group_id,
        role=fact.role,
        rule=held.role.rule_for(verb, resource),
        scope_kind=fact.scope_kind,
        scope_id=fact.scope_id,
        ends_at=fact.ends_at,
    )


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What access needs to know of one cluster.

    ``projects`` maps each project with a namespace in it to its tenant. ``groups`` are those that the hub is able to send
    by now: a group that the member does not let the hub impersonate would make it refuse the whole request.
    """

    tenant_id: UUID | None
    project_id: UUID | None
    projects: Mapping[UUID, UUID] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    by_tenant: Mapping[UUID, frozenset[UUID]] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        by_tenant: defaultdict[UUID, set[UUID]] = defaultdict(set)
        for project_id, tenant_id in self.projects.items():
            by_tenant[tenant_id].add(project_id)
        object.__setattr__(self, "by_tenant", {tenant_id: frozenset(ids) for tenant_id, ids in by_tenant.items()})


def member_groups(
    holdings: Iterable[Holdings], token: TokenScope, cluster_id: UUID, cluster: ClusterFacts, now: datetime.datetime
) -> list[str]:
    """The groups that stand for these bindings inside a member cluster, sorted; empty when it is out of reach.

    A binding that holds the whole cluster gives the cluster's groups; otherwise it gives the groups of its projects that
    have a namespace there. A token that only reads gives the viewer's groups in place of those that do more.
    """
    if not permits_verb(token, "proxy") or (token.clusters is not None and cluster_id not in token.clusters):
        return []
    as_a_whole = token.projects is None or cluster.project_id in token.projects
    reading = reads_only(token)
    groups: set[str] = set()
    for one in holdings:
        if as_a_whole:
            over = one.over(AccessScope(cluster.tenant_id, cluster.project_id, cluster_id))
            for held in _proxying(over, now):
                groups.update(cluster_group(cluster_id, key) for key in _keys(held.role.in_clusters, reading))
        for bound, project_ids in _shares(one, cluster, as_a_whole):
            within = project_ids if token.projects is None else project_ids & token.projects
            for held in _proxying(bound, now) if within else ():
                for key in _keys(held.role.in_projects, reading):
                    groups.update(project_group(project_id, key) for project_id in within)
    if groups:
        groups.add(shared_group(cluster_id))
    return sorted(groups & cluster.groups)


def _shares(
    holdings: Holdings, cluster: ClusterFacts, as_a_whole: bool
) -> Iterator[tuple[Sequence[Held], frozenset[UUID]]]:
    """What is bound on projects with a namespace in the cluster, where that does not hold the cluster as a whole."""
    if not as_a_whole:
        yield holdings.at("hub", None), frozenset(cluster.projects)
    for tenant_id in holdings.tenants & cluster.by_tenant.keys():
        if not (as_a_whole and tenant_id == cluster.tenant_id):
            yield holdings.at("tenant", tenant_id), cluster.by_tenant[tenant_id]
    for project_id in holdings.projects & cluster.projects.keys():
        if not (as_a_whole and project_id == cluster.project_id):
            yield holdings.at("project", project_id), frozenset((project_id,))


def keys_in_project(holdings: Holdings, project_id: UUID, tenant_id: UUID) -> frozenset[str]:
    """The roles in use in the namespaces of one project: what its own and its tenant's bindings give.

    Bindings on the whole hub do not count: their holders come with the cluster's groups.
    """
    over = holdings.over(AccessScope(tenant_id, project_id))
    return _keys_in_use(held.role.in_projects for held in over if held.fact.scope_kind != "hub" and _proxies(held))


def keys_in_cluster(
    holdings: Holdings, cluster_id: UUID, tenant_id: UUID | None, project_id: UUID | None
) -> frozenset[str]:
    """The roles in use for one whole cluster: what is bound on it, on the hub, and on whom it belongs to."""
    over = holdings.over(AccessScope(tenant_id, project_id, cluster_id))
    return _keys_in_use(held.role.in_clusters for held in over if _proxies(held))


def _keys_in_use(rights: Iterable[MemberRights]) -> frozenset[str]:
    # Those that stand for tokens that only read are in use too: nobody knows who comes with one.
    return frozenset().union(*(one.keys | one.reading_keys for one in rights))


def _proxies(held: Held) -> bool:
    return PROXY in held.role.permissions


def _proxying(held: Iterable[Held], now: datetime.datetime) -> Iterator[Held]:
    return (one for one in held if PROXY in one.role.permissions and one.fact.holds_at(now))


def _keys(rights: MemberRights, reading: bool) -> frozenset[str]:
    return rights.reading_keys if reading else rights.keys
