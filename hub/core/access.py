"""The access port: who acts, where, and the questions lower apps may ask without knowing roles.

``hub.access`` implements ``AccessPolicy`` and installs it when Django is ready. Until something is installed
everything is refused.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

ActorKind = Literal["user", "service_account", "system"]
ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What an API token narrows its owner's rights to; None means "not narrowed"."""

    read_only: bool = False
    verbs: frozenset[str] | None = None
    projects: frozenset[UUID] | None = None
    clusters: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. ``token_id`` names the API token he came with, ``session_id`` his browser's login; ``group_ids``
    are the groups whose bindings count for him now, ``tenant_ids`` the tenants he belongs to.
    """

    kind: ActorKind
    id: UUID | None
    name: str
    token_id: UUID | None = None
    tenant_ids: frozenset[UUID] = field(default_factory=frozenset)
    token_scope: TokenScope | None = None
    session_id: UUID | None = None
    group_ids: frozenset[UUID] = frozenset()


SYSTEM = Actor(kind="system", id=None, name="system")
"""The hub itself: reconcilers, watchers, housekeeping."""


@dataclass(frozen=True, slots=True)
class AccessScope:
    """Where something is done. All None is the hub itself."""

    tenant_id: UUID | None = None
    project_id: UUID | None = None
    cluster_id: UUID | None = None


HUB_SCOPE = AccessScope()


@dataclass(frozen=True, slots=True)
class Decision:
    """``reason`` is for the audit row and the log, not for the one refused."""

    allowed: bool
    reason: str


Source = Literal["system", "table", "token", "everybody", "owner", "binding", "nothing"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something is allowed or not. ``source`` is what decided: a binding, the token's scope, the table of what there
    is, what everybody has, or that nothing allows it.

    The rest is set for a binding: its id, the group by which it counts (None: it is the user's own), the role's key, the
    rule in words, where the role is bound, and when that ends. ``ends_at`` is the earlier of the binding's end and the
    moment from which the group's membership would have to be confirmed again.
    """

    allowed: bool
    reason: str
    source: Source
    binding_id: UUID | None = None
    group_id: UUID | None = None
    role: str = ""
    rule: str = ""
    scope_kind: str = ""
    scope_id: UUID | None = None
    ends_at: datetime.datetime | None = None


class AccessPolicy(Protocol):
    """What ``hub.access`` answers. ``verb`` and ``resource`` are names of its permission table."""

    def visible_to(self, queryset: QuerySet[ModelT], actor: Actor, verb: str) -> QuerySet[ModelT]: ...

    def can(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Decision: ...

    def explain(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Explanation: ...

    def verbs_on(self, rows: Sequence[Model], actor: Actor) -> Mapping[Any, frozenset[str]]: ...


class _NothingInstalled:
    def visible_to(self, queryset: QuerySet[ModelT], actor: Actor, verb: str) -> QuerySet[ModelT]:
        return queryset.none()

    def can(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Decision:
        return Decision(False, "no access policy is installed")

    def explain(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Explanation:
        return Explanation(False, "no access policy is installed", "nothing")

    def verbs_on(self, rows: Sequence[Model], actor: Actor) -> Mapping[Any, frozenset[str]]:
        return {row.pk: frozenset() for row in rows}


_installed: AccessPolicy = _NothingInstalled()


def install_policy(policy: AccessPolicy) -> None:
    """Called once, by ``hub.access`` when Django is ready."""
    global _installed
    _installed = policy


def policy() -> AccessPolicy:
    return _installed


def visible_to(queryset: QuerySet[ModelT], actor: Actor, verb: str = "list") -> QuerySet[ModelT]:
    """The rows of ``queryset`` that the actor may see for this verb."""
    return _installed.visible_to(queryset, actor, verb)


def can(actor: Actor, verb: str, resource: str, scope: AccessScope = HUB_SCOPE) -> Decision:
    return _installed.can(actor, verb, resource, scope)


def explain(actor: Actor, verb: str, resource: str, scope: AccessScope = HUB_SCOPE) -> Explanation:
    """Why the actor may do this, or why not. It tells of bindings: show it to himself, or to who may list them there."""
    return _installed.explain(actor, verb, resource, scope)


def verbs_on(rows: Sequence[Model], actor: Actor) -> Mapping[Any, frozenset[str]]:
    """What the actor may do with each of these rows of one kind, by primary key: a few queries however many they are."""
    return _installed.verbs_on(rows, actor)
