"""Access in memory, for the stream server: who a token is and what he may reach, without a query per request.

``load_snapshot`` reads everything in one go; the rest are pure functions over what it read. The owner of a snapshot
polls ``current_epoch`` and loads again when it has moved. A snapshot carries the epoch from before it was read, so it
may know more than its epoch says, never less.
"""

import datetime
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from hub.core.access import Actor, TokenScope
from hub.core.keys import key_ring
from hub.federation.models import Cluster, ProjectNamespace
from hub.identity.models import ApiToken
from hub.identity.token_format import parse_token
from hub.identity.token_scope import parse_scope, scope_to_json

from .grants import FULL_SCOPE, BindingFact, ClusterFacts, member_groups
from .models import AccessEpoch, RoleBinding

_FULL_SCOPE_JSON = scope_to_json(FULL_SCOPE)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is at the other end, as of one snapshot; ends with his token at ``expires_at``."""

    user_id: UUID
    name: str
    token_id: UUID
    scope: TokenScope
    expires_at: datetime.datetime

    @property
    def impersonated_user(self) -> str:
        """The name sent to members. The prefix keeps it from meeting anybody whom a member knows by himself."""
        return f"paddock:user:{self.name}"

    @property
    def actor(self) -> Actor:
        """The same person for the audit trail."""
        return Actor(kind="user", id=self.user_id, name=self.name, token_id=self.token_id, token_scope=self.scope)


@dataclass(frozen=True, slots=True)
class LiveToken:
    """One token that opened something when the snapshot was read; its secret only as a keyed hash."""

    principal: Principal
    secret_hash: bytes
    pepper_id: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All live tokens by key id, all bindings by user, and all clusters, as of ``epoch``."""

    epoch: int
    tokens: Mapping[str, LiveToken]
    bindings: Mapping[UUID, tuple[BindingFact, ...]]
    clusters: Mapping[UUID, ClusterFacts]
    peppers: Mapping[str, bytes] = field(repr=False)


def current_epoch() -> int:
    """The number that moves with every commit that access depends on; one query."""
    return AccessEpoch.objects.values_list("value", flat=True).first() or 0


def load_snapshot() -> Snapshot:
    """Reads the whole state: five queries, whatever its size."""
    epoch = current_epoch()  # before the rest: see the module's text
    return Snapshot(epoch, _read_tokens(), _read_bindings(), _read_clusters(), dict(key_ring().peppers))


def authenticate(snapshot: Snapshot, token_text: str, now: datetime.datetime) -> Principal | None:
    """Whose live token this is; None for everything else."""
    offered = parse_token(token_text)
    token = snapshot.tokens.get(offered.key_id) if offered else None
    pepper = snapshot.peppers.get(token.pepper_id) if token else None
    if offered is None or token is None or pepper is None or not offered.matches(token.secret_hash, pepper):
        return None
    return token.principal if token.principal.expires_at > now else None


def groups_for(snapshot: Snapshot, principal: Principal, cluster_id: UUID) -> list[str]:
    """The groups to impersonate in the cluster, sorted. Empty: he may not reach it, or there is no such cluster."""
    cluster = snapshot.clusters.get(cluster_id)
    if cluster is None:
        return []
    return member_groups(snapshot.bindings.get(principal.user_id, ()), principal.scope, cluster_id, cluster)


def may_reach(snapshot: Snapshot, principal: Principal, cluster_id: UUID) -> bool:
    """Whether the principal has any right in the cluster. A foreign and a missing cluster answer alike (SEC-40)."""
    return bool(groups_for(snapshot, principal, cluster_id))


def _read_tokens() -> dict[str, LiveToken]:
    rows = ApiToken.objects.live(timezone.now()).values_list(
        "key_id", "secret_hash", "pepper_id", "user_id", "user__username", "id", "scope", "expires_at"
    )
    return {
        key_id: LiveToken(
            Principal(user_id, username, token_id, _scope(scope), expires_at), bytes(secret_hash), pepper_id
        )
        for key_id, secret_hash, pepper_id, user_id, username, token_id, scope, expires_at in rows.iterator()
    }


def _scope(document: object) -> TokenScope:
    # Most tokens are not narrowed; they share one object.
    return FULL_SCOPE if document == _FULL_SCOPE_JSON else parse_scope(document)


def _read_bindings() -> dict[UUID, tuple[BindingFact, ...]]:
    found: defaultdict[UUID, list[BindingFact]] = defaultdict(list)
    for binding in RoleBinding.objects.filter(user__is_active=True).order_by("created_at", "id").iterator():
        if binding.user_id is not None:
            found[binding.user_id].append(binding.fact)
    return {user_id: tuple(facts) for user_id, facts in found.items()}


def _read_clusters() -> dict[UUID, ClusterFacts]:
    projects: defaultdict[UUID, list[tuple[UUID, UUID]]] = defaultdict(list)
    namespaces = ProjectNamespace.objects.kept().values_list("cluster_id", "project_id", "tenant_id").distinct()
    for cluster_id, project_id, tenant_id in namespaces.iterator():
        projects[cluster_id].append((project_id, tenant_id))
    clusters = Cluster.objects.kept().values_list("id", "tenant_id", "project_id", "groups")
    return {
        cluster_id: ClusterFacts(tenant_id, project_id, tuple(projects.get(cluster_id, ())), frozenset(groups))
        for cluster_id, tenant_id, project_id, groups in clusters.iterator()
    }
