"""The access policy that the hub asks: what may be seen, as SQL; what may be done, as a decision; and why.

Implements the port of ``hub.core.access``; ``apps.py`` installs it. It holds no rules: they are in ``permissions``,
``built_in_roles`` and ``grants``. A row that an actor may not see and a row that does not exist are the same to every
caller, because both are simply not in the queryset (SEC-40).
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from hub.core.access import AccessScope, Actor, Decision, Explanation

from .grants import FULL_SCOPE, Holdings, Reach, explain, permits_verb, reach_of
from .models import Role, RoleBinding
from .permissions import RESOURCE_OF_MODEL, RESOURCES, Resource
from .places import places_of

ModelT = TypeVar("ModelT", bound=Model)

NOTHING = Q(pk__in=())


class TableAccessPolicy:
    """``hub.core.access.AccessPolicy`` over the permission table and the role bindings in the database."""

    def visible_to(self, queryset: QuerySet[ModelT], actor: Actor, verb: str) -> QuerySet[ModelT]:
        """The rows that the actor may use ``verb`` on: a query for his bindings, one for his custom roles if he has any,
        and a WHERE clause.

        Raises LookupError for a model that the permission table does not have, so no view can forget to add it.
        """
        resource = resource_of(queryset.model)
        if actor.kind == "system":
            return queryset
        token = actor.token_scope or FULL_SCOPE
        if verb not in resource.verbs or not permits_verb(token, verb):
            return queryset.none()
        reach = reach_of(holdings_of(actor), verb, resource.name)
        seen = _within_reach(queryset.model, resource, reach, actor.id)
        for kind, ids in (("project", token.projects), ("cluster", token.clusters)):
            if ids is not None:
                seen &= _any_path(queryset.model, resource.paths(kind), ids)
        return queryset.filter(seen)

    def can(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Decision:
        """Whether the actor may use ``verb`` on objects of this kind at ``scope``; the reason is for audit and log.

        Raises KeyError for a resource that the permission table does not have.
        """
        answer = self.explain(actor, verb, resource, scope)
        return Decision(answer.allowed, answer.reason)

    def explain(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Explanation:
        """Why, or why not. Raises KeyError like ``can``."""
        if actor.kind == "system":
            known = verb in RESOURCES[resource].verbs
            reason = "the hub itself" if known else f"{resource} have no verb {verb}"
            return Explanation(known, reason, "system" if known else "table")
        return explain(holdings_of(actor), actor.token_scope or FULL_SCOPE, verb, resource, scope, timezone.now())

    def verbs_on(self, rows: Sequence[Model], actor: Actor) -> Mapping[Any, frozenset[str]]:
        """What the actor may do with each row, by the same reading of the table as ``visible_to``: three queries at most."""
        if not rows:
            return {}
        resource = resource_of(type(rows[0]))
        if actor.kind == "system":
            return {row.pk: resource.verbs for row in rows}
        token = actor.token_scope or FULL_SCOPE
        holdings = holdings_of(actor)
        verbs = [verb for verb in resource.verbs if permits_verb(token, verb)]
        reaches = [(verb, reach_of(holdings, verb, resource.name)) for verb in verbs]
        return {
            pk: frozenset(verb for verb, reach in reaches if place.within(reach, actor.id))
            if place.open_to(token)
            else frozenset()
            for pk, place in places_of(rows, resource).items()
        }


def resource_of(model: type[Model]) -> Resource:
    """The model's row of the permission table. Raises LookupError when it has none."""
    label = model._meta.label_lower
    if label not in RESOURCE_OF_MODEL:
        raise LookupError(f"{label} is not in the permission table (hub/access/permissions.py)")
    return RESOURCE_OF_MODEL[label]


def holdings_of(actor: Actor, now: datetime.datetime | None = None) -> Holdings:
    """What the actor holds now, by bindings of his own and of his groups."""
    if actor.kind == "system" or actor.id is None:
        return Holdings()
    facts = RoleBinding.objects.facts_of(actor.id, now or timezone.now())
    return Holdings(facts, Role.objects.book_for(facts))


def _within_reach(model: type[Model], resource: Resource, reach: Reach, user_id: UUID | None) -> Q:
    if reach.everywhere:
        return Q()
    seen = NOTHING
    for kind, ids in (("tenant", reach.tenants), ("project", reach.projects), ("cluster", reach.clusters)):
        seen |= _any_path(model, resource.paths(kind), ids)
    if reach.own and resource.owner is not None:
        seen |= Q(**{resource.owner: user_id})
    return seen


def _any_path(model: type[Model], paths: Iterable[str], ids: frozenset[UUID]) -> Q:
    """Rows that one of the paths leads from to one of the ids; none when there is no path or no id."""
    seen = NOTHING
    for path in paths if ids else ():
        lookup = {f"{path}__in": ids}
        if _is_to_many(model, path):
            # As a subquery: a join would give a row once for each of its children.
            seen |= Q(pk__in=model._base_manager.filter(**lookup).values("pk"))
        else:
            seen |= Q(**lookup)
    return seen


def _is_to_many(model: type[Model], path: str) -> bool:
    """Whether any step of the path leads from one row to several."""
    for name in path.split("__"):
        field = model._meta.get_field(name)
        if field.one_to_many or field.many_to_many:
            return True
        if field.related_model is None:
            return False
        model = field.related_model
    return False
