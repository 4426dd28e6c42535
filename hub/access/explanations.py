"""Why somebody may do something, or why not: told from his bindings as they are, also those that do not count now.

What is told of others is for who may list role bindings at the place asked about (``hub.api`` asks for that), and of
bindings that he may not list himself only that there is one.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from django.db.models import Q
from django.utils import timezone

from hub.core.access import HUB_SCOPE, AccessScope, Actor, Explanation, TokenScope, visible_to
from hub.federation.models import Cluster
from hub.identity.models import Group, GroupMembership, User
from hub.tenancy.models import Project, Tenant

from .built_in_roles import ROLES
from .grants import FULL_SCOPE, BindingFact, Holdings, explain
from .models import Role, RoleBinding
from .permissions import RESOURCES
from .querysets import RoleBindingQuerySet, fresh_memberships
from .role_book import BUILT_IN, RoleBook

Why = Literal["ended", "group_not_confirmed", "role_unresolvable"]
Place = Tenant | Project | Cluster | None
Holder = User | Group


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A binding that would allow it and does not count now, or one of which nobody can tell what it gives."""

    binding: RoleBinding
    why: Why


@dataclass(frozen=True, slots=True)
class Answer:
    """``binding`` is the one that allows it, if one does and the asker may see it. ``roles`` are the built-in roles that
    would allow it, bound at this place.
    """

    explanation: Explanation
    binding: RoleBinding | None
    lapsed: tuple[Lapsed, ...]
    roles: tuple[str, ...]


def scopes_of(place: Place, resource: str) -> list[AccessScope]:
    """Where to ask, the place itself first. A tenant is known to who is in one of its projects, and a shared cluster to who
    has a project on it; so these are asked about too.
    """
    if isinstance(place, Project):
        return [AccessScope(place.tenant_id, place.pk)]
    if isinstance(place, Tenant):
        projects = place.projects.values_list("pk", flat=True) if resource == "tenants" else ()
        return [AccessScope(place.pk), *(AccessScope(place.pk, project_id) for project_id in projects)]
    if isinstance(place, Cluster):
        pairs = place.namespaces.values_list("tenant_id", "project_id").distinct()
        own = AccessScope(place.tenant_id, place.project_id, place.pk)
        return [own, *(AccessScope(*pair, place.pk) for pair in pairs)]
    return [HUB_SCOPE]


def explain_for(asker: Actor, holder: Holder, verb: str, resource: str, place: Place) -> Answer:
    """Why the holder may use the verb on the resource at the place, or why not; as much as the asker may know.

    Who asks about himself is told of all of his bindings, and asks with the scope of his token. Raises KeyError for a
    resource that the permission table does not have.
    """
    now = timezone.now()
    rows = list(_bindings_of(holder).with_names().order_by("id"))
    book = Role.objects.book_for(row.fact for row in rows)
    counting = _counting(holder, rows, now)
    himself = asker.id == holder.pk
    token = (asker.token_scope if himself else None) or FULL_SCOPE
    scopes = scopes_of(place, resource)
    answer = _ask([row.fact for row in counting], book, token, verb, resource, scopes, now)
    if isinstance(holder, User) and not holder.is_active:
        answer = Explanation(False, f"{holder.username} is locked", "nothing")
    known = {row.pk for row in rows}
    if not himself:
        known &= set(visible_to(_bindings_of(holder), asker, "list").values_list("pk", flat=True))
    binding = next((row for row in rows if row.pk == answer.binding_id and row.pk in known), None)
    if answer.binding_id is not None and binding is None:
        answer = Explanation(True, "a role binding that you may not see allows it", "binding")
    lapsed = () if answer.allowed else tuple(_lapsed(rows, counting, book, verb, resource, scopes, now))
    return Answer(
        answer,
        binding,
        tuple(one for one in lapsed if one.binding.pk in known),
        _roles_for(verb, resource, scopes[0]),
    )


def _ask(
    facts: Iterable[BindingFact],
    book: RoleBook,
    token: TokenScope,
    verb: str,
    resource: str,
    scopes: Sequence[AccessScope],
    now: datetime.datetime,
) -> Explanation:
    """The first yes, else the no at the place itself."""
    holdings = Holdings(facts, book)
    answers = [explain(holdings, token, verb, resource, scope, now) for scope in scopes]
    return next((answer for answer in answers if answer.allowed), answers[0])


def _bindings_of(holder: Holder) -> RoleBindingQuerySet:
    """All bindings of the holder and of his groups, whether they count or not."""
    if isinstance(holder, Group):
        return RoleBinding.objects.filter(group=holder)
    groups = GroupMembership.objects.filter(identity__user=holder).values("group_id")
    return RoleBinding.objects.filter(Q(user=holder) | Q(group_id__in=groups))


def _counting(holder: Holder, rows: Sequence[RoleBinding], now: datetime.datetime) -> list[RoleBinding]:
    live = set(_bindings_of(holder).live(now).values_list("pk", flat=True))
    counting = [row for row in rows if row.pk in live]
    if isinstance(holder, Group):
        return counting
    fresh = set(fresh_memberships(now).filter(identity__user=holder).values_list("group_id", flat=True))
    return [row for row in counting if row.group_id is None or row.group_id in fresh]


def _lapsed(
    rows: Sequence[RoleBinding],
    counting: Sequence[RoleBinding],
    book: RoleBook,
    verb: str,
    resource: str,
    scopes: Sequence[AccessScope],
    now: datetime.datetime,
) -> Iterable[Lapsed]:
    counted = {row.pk for row in counting}
    for row in rows:
        if not any(row.fact.covers(scope) for scope in scopes):
            continue
        if book.find(row.role) is None:
            yield Lapsed(row, "role_unresolvable")
        elif row.pk not in counted:
            endless = replace(row.fact, ends_at=None)
            if _ask([endless], book, FULL_SCOPE, verb, resource, scopes, now).source == "binding":
                yield Lapsed(row, "ended" if not row.fact.holds_at(now) else "group_not_confirmed")


def _roles_for(verb: str, resource: str, scope: AccessScope) -> tuple[str, ...]:
    if verb not in RESOURCES[resource].verbs:
        return ()
    kinds = {"hub"} | ({"tenant"} if scope.tenant_id else set()) | ({"project"} if scope.project_id else set())
    kinds |= {"cluster"} if scope.cluster_id else set()
    found = (BUILT_IN.find(name) for name in ROLES)
    return tuple(
        one.role.name for one in found if one and (verb, resource) in one.permissions and one.role.scopes & kinds
    )
