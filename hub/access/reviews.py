"""Who can reach an object: the bindings that give any right to it, for an access review."""

from django.db.models import Model, Q
from django.utils import timezone

from hub.core.access import Actor, visible_to

from .grants import FULL_SCOPE, permits_verb, reach_of
from .models import Role, RoleBinding
from .permissions import RESOURCES
from .places import Place, places_of
from .policy import holdings_of, resource_of
from .querysets import RoleBindingQuerySet
from .role_book import RoleBook


def may_review(actor: Actor, row: Model) -> bool:
    """Whether the actor may list role bindings anywhere that the row belongs to."""
    if actor.kind == "system":
        return True
    token = actor.token_scope or FULL_SCOPE
    reach = reach_of(holdings_of(actor), "list", "role-bindings")
    place = _place_of(row)
    return permits_verb(token, "list") and place.open_to(token) and place.within(reach, actor.id)


def bindings_reaching(actor: Actor, row: Model) -> tuple[RoleBindingQuerySet, RoleBook]:
    """The bindings by which somebody has any right to the row, of those that the actor may list; and the roles they name."""
    resource, place = resource_of(type(row)), _place_of(row)
    there = (
        Q(scope_kind="hub")
        | Q(scope_kind="tenant", tenant__in=place.tenants)
        | Q(scope_kind="project", project__in=place.projects)
        | Q(scope_kind="cluster", cluster__in=place.clusters)
    )
    bindings = visible_to(RoleBinding.objects.live(timezone.now()).filter(there), actor, "list")
    assert isinstance(bindings, RoleBindingQuerySet)
    keys = set(bindings.order_by().values_list("role", flat=True).distinct())
    book = Role.objects.book_of(keys)
    giving = [key for key in keys if verbs_of(book, key, resource.name)]
    return bindings.filter(role__in=giving), book


def verbs_of(book: RoleBook, key: str, resource: str) -> list[str]:
    """What a role lets its holder do with objects of this kind, sorted."""
    role = book.find(key)
    verbs = RESOURCES[resource].verbs
    return sorted(verb for verb in verbs if role is not None and (verb, resource) in role.permissions)


def _place_of(row: Model) -> Place:
    place: Place = places_of([row], resource_of(type(row)))[row.pk]
    return place
