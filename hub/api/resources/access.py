"""Access explained: why somebody may do something, or why not; and who can reach an object, through which binding.

Everybody may ask about himself. About others asks who may list role bindings at the place in question, and is told of
bindings that he may not list only that there is one.
"""

import datetime
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from django.apps import apps
from django.db.models import Model, Q
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.explanations import Answer, Holder, Place, explain_for, scopes_of
from hub.access.models import RoleBinding
from hub.access.permissions import RESOURCES
from hub.access.reviews import bindings_reaching, may_review, verbs_of
from hub.api.documents import Shown
from hub.api.listing import PAGING, ChoiceFilter, Filter, IdFilter, Listing, envelope, read_parameters
from hub.api.viewsets import ApiViewSet
from hub.core.access import can, visible_to
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.identity.models import Group, User
from hub.tenancy.models import Project, Tenant

define("query.missing", 400, "A query parameter is missing")
define("query.too_many", 400, "Only one of these query parameters can be named")

PLACES: dict[str, type[Any]] = {"tenant": Tenant, "project": Project, "cluster": Cluster}
HOLDERS: dict[str, type[User] | type[Group]] = {"user": User, "group": Group}
VERBS = tuple(sorted({verb for resource in RESOURCES.values() for verb in resource.verbs}))


class GivingShown(Shown):
    """A role binding: whose it is, of which role, and where."""

    id: UUID
    user: UUID | None
    username: str | None
    group: UUID | None
    group_name: str | None
    role: str
    role_name: str
    scope: Literal["hub", "tenant", "project", "cluster"]
    tenant: UUID | None
    project: UUID | None
    cluster: UUID | None
    expires_at: datetime.datetime | None

    @classmethod
    def of(cls, source: RoleBinding, **more: Any) -> Self:
        names = (
            "user_id",
            "username",
            "group_id",
            "group_name",
            "role",
            "role_name",
            "tenant_id",
            "project_id",
            "cluster_id",
        )
        told = {name.removesuffix("_id"): getattr(source, name) for name in names}
        return cls.model_validate(
            {"id": source.pk, "scope": source.scope_kind, "expires_at": source.expires_at, **told, **more}
        )


class LapsedShown(GivingShown):
    """A binding that would allow it and does not count: it has ended, the provider has not confirmed the group lately, or
    the role cannot be resolved.
    """

    why: Literal["ended", "group_not_confirmed", "role_unresolvable"]


class ExplanationShown(Shown):
    """``source`` is what decided. ``rule`` is the one of the binding's role; ``lapsed`` are bindings that would allow it if
    they counted; ``roles`` are built-in roles that would, bound there.
    """

    allowed: bool
    source: Literal["system", "table", "token", "everybody", "owner", "binding", "nothing"]
    reason: str
    verb: str
    resource: str
    binding: GivingShown | None
    rule: str
    lapsed: list[LapsedShown]
    roles: list[str]


class ExplainViewSet(ApiViewSet, wall=True):
    """``GET access/explain``: about the caller, or about ``user`` or ``group``; on one tenant, project or cluster, else on the
    whole hub.
    """

    title = "access-explanation"
    shown: ClassVar[type[Shown]] = ExplanationShown
    query: ClassVar[tuple[Filter, ...]] = (
        IdFilter("user"),
        IdFilter("group"),
        ChoiceFilter("verb", choices=VERBS),
        ChoiceFilter("resource", choices=tuple(sorted(RESOURCES))),
        IdFilter("tenant"),
        IdFilter("project"),
        IdFilter("cluster"),
    )

    def retrieve(self, request: Request) -> Response:
        values = read_query(request, self.query, ("verb", "resource"))
        place = self._place(values)
        holder = self._holder(values, place)
        verb, resource = values["verb"], values["resource"]
        answer = explain_for(self.actor, holder, verb, resource, place)
        return Response(_document(answer, verb, resource).model_dump(mode="json"))

    def _place(self, values: dict[str, str]) -> Place:
        """The tenant, project or cluster, as far as the caller knows it; foreign and missing ones are one (SEC-40)."""
        name = _one_of(values, PLACES)
        if name is None:
            return None
        found: Place = (
            visible_to(PLACES[name]._default_manager.all(), self.actor, "get").filter(pk=values[name]).first()
        )
        if found is None:
            raise HubError("reference.not_found", parameter=name)
        return found

    def _holder(self, values: dict[str, str], place: Place) -> Holder:
        name = _one_of(values, HOLDERS)
        if name is None or (name == "user" and UUID(values["user"]) == self.actor.id):
            assert self.actor.id is not None
            return User.objects.get(pk=self.actor.id)
        if not can(self.actor, "list", "role-bindings", scopes_of(place, "")[0]).allowed:
            raise HubError("request.denied", verb="list", resource="role-bindings")
        model: type[Any] = HOLDERS[name]
        bound = visible_to(RoleBinding.objects.all(), self.actor, "list").filter(**{f"{name}_id": values[name]})
        known = visible_to(model.objects.all(), self.actor, "get").filter(pk=values[name])
        found = known.first() or (model.objects.get(pk=values[name]) if bound.exists() else None)
        if found is None:
            raise HubError("reference.not_found", parameter=name)
        return found  # type: ignore[no-any-return]  # a User or a Group, by its name


class ReachShown(GivingShown):
    """``verbs`` are what the binding lets its holder do with the object."""

    verbs: list[str]


class _AboutResource(ChoiceFilter):
    """Says which object the list is about, and narrows nothing itself."""

    def condition(self, text: str) -> Q:
        super().condition(text)
        return Q()


class _AboutId(IdFilter):
    """Says which object the list is about, and narrows nothing itself."""

    def condition(self, text: str) -> Q:
        super().condition(text)
        return Q()


REVIEWED = tuple(sorted(name for name, resource in RESOURCES.items() if resource.model is not None))


class ReviewViewSet(ApiViewSet, wall=True):
    """``GET access/review``: the role bindings by which somebody has any right to one object."""

    title = "access-review"
    shown: ClassVar[type[Shown]] = ReachShown
    listing = Listing((_AboutResource("resource", choices=REVIEWED), _AboutId("id")), ("-created_at", "role"))

    def list(self, request: Request) -> Response:
        values = read_query(request, self.listing.filters, ("resource", "id"), paged=True)
        resource = values["resource"]
        row = self._find(resource, values["id"])
        if not may_review(self.actor, row):
            raise HubError("request.denied", verb="list", resource="role-bindings")
        bindings, book = bindings_reaching(self.actor, row)
        page = self.listing.page(bindings.with_names(), request.GET)
        items = [ReachShown.of(one, verbs=verbs_of(book, one.role, resource)) for one in page.rows]
        return Response(envelope([item.model_dump(mode="json") for item in items], page.next))

    def _find(self, resource: str, id: str) -> Model:
        model = apps.get_model(str(RESOURCES[resource].model))
        row: Model | None = visible_to(model._base_manager.all(), self.actor, "get").filter(pk=id).first()
        if row is None:
            raise HubError("reference.not_found", parameter="id")
        return row


def read_query(
    request: Request, filters: tuple[Filter, ...], required: tuple[str, ...], *, paged: bool = False
) -> dict[str, str]:
    """The parameters, each as its filter takes it. Raises HubError ``query.*``."""
    names = [wanted.name for wanted in filters]
    values = read_parameters(request.GET, [*names, *(PAGING if paged else ())])
    for name in required:
        if name not in values:
            raise HubError("query.missing", parameter=name)
    for wanted in filters:
        if wanted.name in values:
            wanted.condition(values[wanted.name])
    return values


def _one_of(values: dict[str, str], names: dict[str, Any]) -> str | None:
    named = [name for name in names if name in values]
    if len(named) > 1:
        raise HubError("query.too_many", parameters=named)
    return named[0] if named else None


def _document(answer: Answer, verb: str, resource: str) -> ExplanationShown:
    told = answer.explanation
    return ExplanationShown(
        allowed=told.allowed,
        source=told.source,
        reason=told.reason,
        verb=verb,
        resource=resource,
        binding=GivingShown.of(answer.binding) if answer.binding is not None else None,
        rule=told.rule,
        lapsed=[LapsedShown.of(one.binding, why=one.why) for one in answer.lapsed],
        roles=list(answer.roles),
    )
