"""The access policy that the hub asks: what may be seen, as SQL; what may be done, as a decision.

Implements the port of ``hub.core.access``; ``apps.py`` installs it. It holds no rules: they are in ``permissions`` and
``grants``. A row that an actor may not see and a row that does not exist are the same to every caller, because both are
simply not in the queryset (SEC-40).
"""

from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from hub.core.access import AccessScope, Actor, Decision

from .grants import FULL_SCOPE, BindingFact, Reach, decide, permits_verb, reach_of
from .models import RoleBinding
from .permissions import RESOURCE_OF_MODEL, RESOURCES, Resource

ModelT = TypeVar("ModelT", bound=Model)

NOTHING = Q(pk__in=())


class TableAccessPolicy:
    """``hub.core.access.AccessPolicy`` over the permission table and the role bindings in the database."""

    def visible_to(self, queryset: QuerySet[ModelT], actor: Actor, verb: str) -> QuerySet[ModelT]:
        """The rows that the actor may use ``verb`` on: one more query for his bindings, and a WHERE clause.

        Raises LookupError for a model that the permission table does not have, so no view can forget to add it.
        """
        resource = _resource_of(queryset.model)
        if actor.kind == "system":
            return queryset
        token = actor.token_scope or FULL_SCOPE
        if verb not in resource.verbs or not permits_verb(token, verb):
            return queryset.none()
        seen = _within_reach(queryset.model, resource, reach_of(_bindings_of(actor), verb, resource.name), actor.id)
        for kind, ids in (("project", token.projects), ("cluster", token.clusters)):
            if ids is not None:
                seen &= _any_path(queryset.model, resource.paths(kind), ids)
        return queryset.filter(seen)

    def can(self, actor: Actor, verb: str, resource: str, scope: AccessScope) -> Decision:
        """Whether the actor may use ``verb`` on objects of this kind at ``scope``; the reason is for audit and log.

        Raises KeyError for a resource that the permission table does not have.
        """
        if actor.kind == "system":
            known = verb in RESOURCES[resource].verbs
            return Decision(known, "the hub itself" if known else f"{resource} have no verb {verb}")
        return decide(_bindings_of(actor), actor.token_scope or FULL_SCOPE, verb, resource, scope)


def _resource_of(model: type[Model]) -> Resource:
    label = model._meta.label_lower
    if label not in RESOURCE_OF_MODEL:
        raise LookupError(f"{label} is not in the permission table (hub/access/permissions.py)")
    return RESOURCE_OF_MODEL[label]


def _bindings_of(actor: Actor) -> list[BindingFact]:
    if actor.kind != "user" or actor.id is None:
        return []
    return RoleBinding.objects.facts_of(actor.id)


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
    field = model._meta.get_field(path.partition("__")[0])
    return bool(field.one_to_many or field.many_to_many)
