"""Access in memory, for the stream server: who a token or a session is and what he may reach, without a query per request.

``load_snapshot`` reads everything in one go; the rest are pure functions over what it read. The owner of a snapshot
polls ``current_epoch`` and loads again when it has moved. A snapshot carries the epoch from before it was read, so it
may know more than its epoch says, never less. What ends by itself (a token, a session, a binding, a membership that was
not confirmed again) ends at its moment also in an old snapshot.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from hub.core.access import Actor, ActorKind, TokenScope
from hub.core.keys import key_ring
from hub.federation.models import Cluster, ProjectNamespace
from hub.identity.models import ApiToken, Session, UserKind
from hub.identity.sessions import idle_limit
from hub.identity.token_format import API_TOKEN, SESSION, parse_token
from hub.identity.token_scope import parse_scope, scope_to_json

from .grants import FULL_SCOPE, BindingFact, ClusterFacts, Holdings, member_groups
from .models import AccessEpoch, Role, RoleBinding
from .querysets import fresh_memberships, membership_age
from .role_book import RoleBook

KNOWN_LIMIT = 50_000
NEVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)
_FULL_SCOPE_JSON = scope_to_json(FULL_SCOPE)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is at the other end, as of one snapshot; ends with his token or session at ``expires_at``."""

    user_id: UUID
    name: str
    token_id: UUID | None
    scope: TokenScope
    expires_at: datetime.datetime
    session_id: UUID | None = None
    kind: ActorKind = "user"
    group_ids: frozenset[UUID] = frozenset()

    @property
    def impersonated_user(self) -> str:
        """The name sent to members. The prefix keeps it from meeting anybody whom a member knows by himself."""
        if self.kind == "service_account":
            return f"paddock:serviceaccount:{self.name.removeprefix('sa:')}"
        return f"paddock:user:{self.name}"

    @property
    def actor(self) -> Actor:
        """The same person for the audit trail."""
        return Actor(
            kind=self.kind,
            id=self.user_id,
            name=self.name,
            token_id=self.token_id,
            token_scope=self.scope if self.token_id is not None else None,
            session_id=self.session_id,
            group_ids=self.group_ids,
        )


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A token or a session that opened something when the snapshot was read; its secret only as a keyed hash."""

    principal: Principal
    secret_hash: bytes
    pepper_id: str


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user is in a group until then, unless his provider says so again."""

    group_id: UUID
    fresh_until: datetime.datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Live tokens and sessions by key id, what users and groups hold, who is in which group, and all clusters, as of
    ``epoch``.
    """

    epoch: int
    tokens: Mapping[str, LiveKey] = field(default_factory=dict)
    sessions: Mapping[str, LiveKey] = field(default_factory=dict)
    of_users: Mapping[UUID, Holdings] = field(default_factory=dict)
    of_groups: Mapping[UUID, Holdings] = field(default_factory=dict)
    memberships: Mapping[UUID, tuple[Membership, ...]] = field(default_factory=dict)
    clusters: Mapping[UUID, ClusterFacts] = field(default_factory=dict)
    peppers: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    known: dict[tuple[UUID, TokenScope, UUID], "KnownGroups"] = field(default_factory=dict, repr=False, compare=False)
    """What was answered before, see ``groups_for``."""


@dataclass(frozen=True, slots=True)
class KnownGroups:
    """Somebody's groups in a cluster, right from one moment until something of them ends."""

    since: datetime.datetime
    until: datetime.datetime
    groups: tuple[str, ...]


def current_epoch() -> int:
    """The number that moves with every commit that access depends on; one query."""
    return AccessEpoch.objects.values_list("value", flat=True).first() or 0


def load_snapshot() -> Snapshot:
    """Reads the whole state: eight queries, whatever its size."""
    epoch = current_epoch()  # before the rest: see the module's text
    now = timezone.now()
    book = Role.objects.all().book()
    memberships = _read_memberships(now)
    groups = _group_ids(memberships)
    of_users, of_groups = _read_holdings(now, book)
    return Snapshot(
        epoch,
        _read_tokens(now, groups),
        _read_sessions(now, groups),
        of_users,
        of_groups,
        memberships,
        _read_clusters(),
        dict(key_ring().peppers),
    )


def authenticate(snapshot: Snapshot, token_text: str, now: datetime.datetime) -> Principal | None:
    """Whose live token this is; None for everything else."""
    return _recognise(snapshot, snapshot.tokens, token_text, API_TOKEN, now)


def authenticate_session(snapshot: Snapshot, cookie_text: str, now: datetime.datetime) -> Principal | None:
    """Whose live session this cookie is; None for everything else."""
    return _recognise(snapshot, snapshot.sessions, cookie_text, SESSION, now)


def groups_for(snapshot: Snapshot, principal: Principal, cluster_id: UUID, now: datetime.datetime) -> tuple[str, ...]:
    """The groups to impersonate in the cluster, sorted. Empty: he may not reach it, or there is no such cluster.

    A client asks the same again with each request, so answers are kept while the snapshot lives and nothing of them ends.
    """
    cluster = snapshot.clusters.get(cluster_id)
    if cluster is None:
        return ()
    key = principal.user_id, principal.scope, cluster_id
    known = snapshot.known.get(key)
    if known is None or not known.since <= now < known.until:
        holdings = tuple(holdings_of(snapshot, principal.user_id, now))
        groups = tuple(member_groups(holdings, principal.scope, cluster_id, cluster, now))
        if len(snapshot.known) >= KNOWN_LIMIT:
            snapshot.known.clear()
        known = snapshot.known[key] = KnownGroups(now, _next_end(snapshot, principal.user_id, holdings, now), groups)
    return known.groups


def may_reach(snapshot: Snapshot, principal: Principal, cluster_id: UUID, now: datetime.datetime) -> bool:
    """Whether the principal has any right in the cluster. A foreign and a missing cluster answer alike (SEC-40)."""
    return bool(groups_for(snapshot, principal, cluster_id, now))


def holdings_of(snapshot: Snapshot, user_id: UUID, now: datetime.datetime) -> Iterator[Holdings]:
    """What the user holds himself, and by each group that his membership in is fresh."""
    own = snapshot.of_users.get(user_id)
    if own is not None:
        yield own
    for membership in snapshot.memberships.get(user_id, ()):
        held = snapshot.of_groups.get(membership.group_id)
        if held is not None and now < membership.fresh_until:
            yield held


def _next_end(
    snapshot: Snapshot, user_id: UUID, holdings: Iterable[Holdings], now: datetime.datetime
) -> datetime.datetime:
    """When the first of a user's bindings and memberships will count no more."""
    ends = [end for held in holdings for end in held.ends]
    ends += [membership.fresh_until for membership in snapshot.memberships.get(user_id, ())]
    return min((end for end in ends if end > now), default=NEVER)


def _recognise(
    snapshot: Snapshot, keys: Mapping[str, LiveKey], text: str, prefix: str, now: datetime.datetime
) -> Principal | None:
    offered = parse_token(text, prefix)
    key = keys.get(offered.key_id) if offered else None
    pepper = snapshot.peppers.get(key.pepper_id) if key else None
    if offered is None or key is None or pepper is None or not offered.matches(key.secret_hash, pepper):
        return None
    return key.principal if key.principal.expires_at > now else None


GroupIds = Mapping[UUID, frozenset[UUID]]


def _read_tokens(now: datetime.datetime, groups: GroupIds) -> dict[str, LiveKey]:
    # Who has to change his password first is nobody until then.
    live = ApiToken.objects.live(now).filter(user__must_change_password=False)
    rows = live.values_list(
        "key_id", "secret_hash", "pepper_id", "user_id", "user__username", "user__kind", "id", "scope", "expires_at"
    )
    return {
        key_id: LiveKey(
            Principal(
                user_id,
                username,
                token_id,
                _scope(scope),
                expires_at,
                kind=_actor_kind(kind),
                group_ids=groups.get(user_id, frozenset()),
            ),
            bytes(secret_hash),
            pepper_id,
        )
        for key_id, secret_hash, pepper_id, user_id, username, kind, token_id, scope, expires_at in rows.iterator()
    }


def _read_sessions(now: datetime.datetime, groups: GroupIds) -> dict[str, LiveKey]:
    live = Session.objects.live(idle_limit(), now).filter(user__must_change_password=False)
    rows = live.values_list("key_id", "secret_hash", "pepper_id", "user_id", "user__username", "id", "expires_at")
    return {
        key_id: LiveKey(
            Principal(
                user_id,
                username,
                None,
                FULL_SCOPE,
                expires_at,
                session_id=session_id,
                group_ids=groups.get(user_id, frozenset()),
            ),
            bytes(secret_hash),
            pepper_id,
        )
        for key_id, secret_hash, pepper_id, user_id, username, session_id, expires_at in rows.iterator()
    }


def _group_ids(memberships: Mapping[UUID, tuple[Membership, ...]]) -> dict[UUID, frozenset[UUID]]:
    return {user_id: frozenset(one.group_id for one in found) for user_id, found in memberships.items()}


def _actor_kind(kind: str) -> ActorKind:
    return "service_account" if kind == UserKind.SERVICE_ACCOUNT else "user"


def _scope(document: object) -> TokenScope:
    # Most tokens are not narrowed; they share one object.
    return FULL_SCOPE if document == _FULL_SCOPE_JSON else parse_scope(document)


def _read_memberships(now: datetime.datetime) -> dict[UUID, tuple[Membership, ...]]:
    age = membership_age()
    found: defaultdict[UUID, list[Membership]] = defaultdict(list)
    rows = fresh_memberships(now).values_list("identity__user_id", "group_id", "identity__groups_confirmed_at")
    for user_id, group_id, confirmed_at in rows.order_by("id").iterator():
        if confirmed_at is not None:
            found[user_id].append(Membership(group_id, confirmed_at + age))
    return {user_id: tuple(memberships) for user_id, memberships in found.items()}


def _read_holdings(now: datetime.datetime, book: RoleBook) -> tuple[dict[UUID, Holdings], dict[UUID, Holdings]]:
    """What users hold, and what groups hold."""
    of_users: defaultdict[UUID, list[BindingFact]] = defaultdict(list)
    of_groups: defaultdict[UUID, list[BindingFact]] = defaultdict(list)
    for holder_id, fact in RoleBinding.objects.live(now).order_by("id").facts_by_user():
        if fact.group_id is not None:
            of_groups[fact.group_id].append(fact)
        elif holder_id is not None:
            of_users[holder_id].append(fact)
    return (
        {user_id: Holdings(facts, book) for user_id, facts in of_users.items()},
        {group_id: Holdings(facts, book) for group_id, facts in of_groups.items()},
    )


def _read_clusters() -> dict[UUID, ClusterFacts]:
    projects: defaultdict[UUID, dict[UUID, UUID]] = defaultdict(dict)
    namespaces = ProjectNamespace.objects.kept().values_list("cluster_id", "project_id", "tenant_id").distinct()
    for cluster_id, project_id, tenant_id in namespaces.iterator():
        projects[cluster_id][project_id] = tenant_id
    clusters = Cluster.objects.kept().values_list("id", "tenant_id", "project_id", "groups")
    return {
        cluster_id: ClusterFacts(tenant_id, project_id, projects.get(cluster_id, {}), frozenset(groups))
        for cluster_id, tenant_id, project_id, groups in clusters.iterator()
    }
