"""The wall: what every view stands behind, whatever it does. Leaves declare; they cannot get around it.

A request passes, in this order: authentication, where it comes from, the query parameters it may have, the method (405
when nobody declared it), and the right to do this. Rows are only reached narrowed to what the actor may use the action's
verb on, so a foreign and a missing id are one answer (SEC-40). Denials are recorded; errors become problem documents.
The methods themselves are in ``actions``.
"""

import logging
from abc import ABC
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from hub.access.permissions import RESOURCES
from hub.audit.models import Outcome
from hub.audit.services import record
from hub.audit.strangers import record_bad_credentials
from hub.core.access import HUB_SCOPE, AccessScope, Actor, can, visible_to
from hub.core.errors import HubError
from hub.identity.sessions import COOKIE

from .authentication import (
    SAFE_METHODS,
    BearerAuthentication,
    PasswordAuthentication,
    SessionAuthentication,
    check_page,
    check_password_is_own,
)
from .json_body import MergePatchParser, StrictJsonParser
from .listing import Filter, Listing, read_parameters
from .openapi import HubSchema
from .problems import error_of, problem_response

RowT = TypeVar("RowT", bound=Model)

log = logging.getLogger(__name__)

STANDARD_VERBS: Mapping[str, str] = {
    "list": "list",
    "retrieve": "get",
    "create": "create",
    "partial_update": "update",
    "destroy": "delete",
}

# What holds the wall up. A subclass that defines one of these does not load.
_WALL = frozenset({
    "authentication_classes", "permission_classes", "parser_classes", "renderer_classes", "http_method_names",
    "content_negotiation_class", "dispatch", "initial", "initialize_request", "perform_authentication",
    "check_permissions", "get_authenticators", "get_permissions", "get_parsers", "handle_exception", "find_row", "visible",
    "authorise", "authorise_action", "verb", "actor", "row", *STANDARD_VERBS,
})  # fmt: skip


class JsonAlways(BaseContentNegotiation):
    """There is one representation; a client that wants another gets it too."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        given = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == given), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class ApiViewSet(ViewSet, ABC):
    """A view behind the wall. ``resource`` is its row in the permission table; None: whoever is authenticated may.

    ``verbs`` gives the verb of each action beside the standard ones. ``password_actions`` may also be reached with name and
    password, ``unready_actions`` also by who has to change his password first, ``open_actions`` by anybody, and there nobody
    is asked who he is. ``query`` are the parameters of what is no list. ``title`` names it in the OpenAPI file where it is not
    simply its resource.
    """

    resource: ClassVar[str | None] = None
    title: ClassVar[str] = ""
    verbs: ClassVar[Mapping[str, str]] = {}
    password_actions: ClassVar[frozenset[str]] = frozenset()
    unready_actions: ClassVar[frozenset[str]] = frozenset()
    open_actions: ClassVar[frozenset[str]] = frozenset()
    may_be_absent: ClassVar[bool] = False
    """Whether what is asked for without an id may not be there; for the OpenAPI file."""
    listing: ClassVar[Listing] = Listing()
    query: ClassVar[tuple[Filter, ...]] = ()

    schema = HubSchema()
    http_method_names = ["get", "head", "post", "patch", "delete"]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = JsonAlways

    def __init_subclass__(cls, *, wall: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not wall and (opened := _WALL & set(vars(cls))):
            raise TypeError(f"{cls.__name__} redefines what every view stands behind: {', '.join(sorted(opened))}")
        if cls.resource is not None:
            cls._check_verbs(RESOURCES[cls.resource].verbs)

    @classmethod
    def _check_verbs(cls, known: frozenset[str]) -> None:
        standard = {action for action in STANDARD_VERBS if hasattr(cls, action)}
        extra = {action.__name__ for action in cls.get_extra_actions()}
        for action in standard | extra:
            if {**STANDARD_VERBS, **cls.verbs}.get(action) not in known:
                raise TypeError(f"{cls.__name__}.{action} has no verb that {cls.resource} know")

    @classmethod
    def title_of_resource(cls) -> str:
        return cls.title or str(cls.resource)

    @property
    def actor(self) -> Actor:
        user: Actor = self.request.user  # type: ignore[assignment]  # authentication gives actors, never Django users
        return user

    @property
    def verb(self) -> str:
        return {**STANDARD_VERBS, **self.verbs}[self.action]

    def get_authenticators(self) -> list[BaseAuthentication]:
        if self._declared_action() in self.open_actions:
            return []
        if self._declared_action() in self.password_actions:
            return [BearerAuthentication(), PasswordAuthentication(), SessionAuthentication()]
        return [BearerAuthentication(), SessionAuthentication()]

    def get_parsers(self) -> list[BaseParser]:
        if self._declared_action() == "partial_update":
            return [MergePatchParser(), StrictJsonParser()]
        return [StrictJsonParser()]

    def perform_authentication(self, request: Request) -> None:
        """Who was refused is nobody, also for what is done about the refusal."""
        try:
            super().perform_authentication(request)
        except HubError:
            request.user = None  # type: ignore[assignment]  # as for everybody who is nobody
            raise

    def check_permissions(self, request: Request) -> None:
        if self._declared_action() in self.open_actions:
            read_parameters(request.GET, ())
            return
        if request.user is None:
            raise NotAuthenticated
        check_page(request)
        if self._declared_action() not in self.unready_actions:
            check_password_is_own(request)
        if not self._declared_action():
            return  # nobody declared this method: 405 follows
        if self.action != "list":
            read_parameters(self.request.GET, [wanted.name for wanted in self.query])
        self.authorise_action()

    def authorise_action(self) -> None:
        """For views without rows: the right is asked for at the hub itself."""
        if self.resource is not None:
            self.authorise(self.verb, HUB_SCOPE)

    def authorise(self, verb: str, scope: AccessScope) -> None:
        """Raises HubError ``request.denied``."""
        assert self.resource is not None
        if not can(self.actor, verb, self.resource, scope).allowed:
            self._denied_at = scope
            raise HubError("request.denied", verb=verb, resource=self.resource)

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # a problem is rendered already
        error = error_of(exc)
        try:
            self._record_denial(error)
        except HubError as failure:
            if self.request.method in SAFE_METHODS:  # reads go on without the trail (FLT-42)
                log.warning("a refused read was not recorded: %s", failure)
            else:
                error = failure
        response = problem_response(error)
        if error.status == 401:
            response["WWW-Authenticate"] = ", ".join(
                header for scheme in self.get_authenticators() if (header := scheme.authenticate_header(self.request))
            )
        return response

    _denied_at: AccessScope = HUB_SCOPE
    _denied_row: Model | None = None

    def _record_denial(self, error: HubError) -> None:
        """One audit event for each no. Reading a missing id is none, or everybody who polls until it is gone fills the
        trail; trying to change one is, and is recorded alike for foreign and missing ids.
        """
        if error.status == 401 and _shows_credentials(self.request):
            record_bad_credentials(error.code, {"method": self.request.method, "path": self.request.path})
        refused = error.status == 403 or (error.status == 404 and self.request.method not in SAFE_METHODS)
        if not refused or self.resource is None or not self._declared_action() or self.request.user is None:
            return
        with transaction.atomic():
            record(
                self.actor,
                self.verb,
                self.resource,
                self._denied_row,
                outcome=Outcome.DENIED,
                code=error.code,
                object_id=find_id(self.kwargs.get("pk")),
                tenant_id=self._denied_at.tenant_id,
                project_id=self._denied_at.project_id,
                cluster_id=self._denied_at.cluster_id,
            )

    def _declared_action(self) -> str | None:
        # Authenticators are asked for before DRF names the action.
        return self.action_map.get((self.request.method or "").lower()) if self.request is not None else self.action


class ResourceViewSet(ApiViewSet, Generic[RowT], wall=True):
    """A view on rows. ``rows`` is where they come from; leaves get them narrowed: ``row`` is the one that the path names,
    already looked up for the action's verb, and ``visible`` are the many.
    """

    rows: ClassVar[QuerySet[Any]]
    row: RowT

    def authorise_action(self) -> None:
        """One row is looked up before its action runs; many are narrowed by ``visible``; a creation asks for the right when
        its body has told where. Anything else needs the right on the whole hub.
        """
        if self.detail:
            self.row = self.find_row()
        elif self.action not in STANDARD_VERBS:
            self.authorise(self.verb, HUB_SCOPE)

    def visible(self, verb: str | None = None) -> QuerySet[RowT]:
        """The rows that the actor may use the verb on; the action's own without one."""
        return visible_to(self.rows.all(), self.actor, verb or self.verb)

    def find_row(self) -> RowT:
        """The row that the path names. Raises HubError ``object.not_found``, or ``request.denied`` when the actor may see
        the row and not do this to it.
        """
        id = find_id(self.kwargs["pk"])
        if id is None:
            raise HubError("object.not_found", resource=self.resource)
        row = self.visible().filter(pk=id).first()
        if row is not None:
            return row
        self._denied_row = self.visible("get").filter(pk=id).first()
        if self._denied_row is not None:
            raise HubError("request.denied", verb=self.verb, resource=self.resource)
        raise HubError("object.not_found", resource=self.resource)


def _shows_credentials(request: Request) -> bool:
    """A token or a session's cookie; a name with its password is recorded as a login."""
    return request.headers.get("Authorization", "").lower().startswith("bearer ") or COOKIE in request.COOKIES


def find_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
