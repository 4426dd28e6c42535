"""API tokens: issued once, listed without their secret, rotated, and revoked by ``DELETE``.

The one place that takes name and password of a local user, so that somebody without a token can get one.
"""

import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from django.db.models import Q
from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.escalation import refuse_stronger_user
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, posted
from hub.api.authentication import user_of
from hub.api.documents import Body, Id, RecordShown, Shown, Text, read_body
from hub.api.listing import ChoiceFilter, Filter, IdFilter, Listing, TextFilter
from hub.api.service_account_rights import check_may_act_for
from hub.core.access import Actor, TokenScope
from hub.core.errors import HubError, define
from hub.identity.models import ApiToken, Session, TokenPurpose, UserKind
from hub.identity.tokens import LONGEST_OVERLAP, TOKEN_NAME_LIMIT, issue_token, revoke_token, rotate_token
from hub.operations.models import Operation

LONGEST = 3660 * 86400  # the hub's own cap is a setting, and lower
DEFAULT_OVERLAP = 3600

define("token.no_session", 422, "Only a token that is issued from a browser's login can end with it")

Lifetime = Annotated[int, Field(ge=1, le=LONGEST)]
Ids = Annotated[list[Id], Field(max_length=200)]
TokenName = Annotated[str, Field(min_length=1, max_length=TOKEN_NAME_LIMIT)]


class ScopeBody(Body):
    """What narrows the token below its owner's rights; null: not narrowed."""

    read_only: bool = False
    verbs: Annotated[list[Text], Field(max_length=200)] | None = None
    projects: Ids | None = None
    clusters: Ids | None = None

    @property
    def scope(self) -> TokenScope:
        return TokenScope(self.read_only, _set(self.verbs), _set(self.projects), _set(self.clusters))


class TokenBody(Body):
    """Without ``expires_in_seconds`` it lives for 90 days, or as long as the hub allows."""

    name: TokenName
    expires_in_seconds: Lifetime | None = None
    scope: ScopeBody = ScopeBody()

    @property
    def lifetime(self) -> datetime.timedelta | None:
        return None if self.expires_in_seconds is None else datetime.timedelta(seconds=self.expires_in_seconds)


class OwnTokenBody(TokenBody):
    """``ends_with_session``: logging out of the browser that issues it ends it too."""

    ends_with_session: bool = False


class RotationBody(Body):
    """For so long the old token stays good beside the new one."""

    overlap_seconds: Annotated[int, Field(ge=0, le=int(LONGEST_OVERLAP.total_seconds()))] = DEFAULT_OVERLAP


class ScopeShown(Shown):
    read_only: bool
    verbs: list[str] | None
    projects: list[UUID] | None
    clusters: list[UUID] | None


class TokenShown(RecordShown):
    """``session`` is the login that it ends with, ``replaced_by`` the token that came of its rotation."""

    user: UUID = Field(validation_alias="user_id")
    name: str
    key_id: str
    purpose: Literal["api", "kubeconfig", "login"]
    scope: ScopeShown
    session: UUID | None = Field(validation_alias="session_id")
    replaced_by: UUID | None = Field(validation_alias="replaced_by_id")
    expires_at: datetime.datetime
    last_used_at: datetime.datetime | None
    revoked_at: datetime.datetime | None


class IssuedTokenShown(TokenShown):
    """``token`` is shown in this one answer; the hub does not keep it."""

    token: str


class StateFilter(Filter):
    """Whether the token still opens anything."""

    def condition(self, text: str) -> Q:
        if text not in ("live", "ended"):
            raise self._refuse(known=("live", "ended"))
        live = Q(pk__in=ApiToken.objects.live().values("pk"))
        return live if text == "live" else ~live

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": ["live", "ended"]}


class ClusterFilter(Filter):
    """Tokens that are narrowed to clusters, this one among them."""

    def condition(self, text: str) -> Q:
        try:
            return Q(scope__clusters__contains=[str(UUID(text))])
        except ValueError:
            raise self._refuse(wanted="id") from None

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "uuid"}


class TokenViewSet(Lists[ApiToken], Gets[ApiToken], Creates[ApiToken], Deletes[ApiToken]):
    resource = "tokens"
    verbs = {"rotate": "create"}
    rows = ApiToken.objects.all()
    shown = TokenShown
    listing = Listing(
        (
            TextFilter("name"),
            IdFilter("user"),
            ChoiceFilter("purpose", choices=tuple(TokenPurpose.values)),
            StateFilter("state"),
            ClusterFilter("cluster"),
        ),
        ("-created_at", "expires_at"),
    )
    create_body = OwnTokenBody
    created = IssuedTokenShown
    password_actions: ClassVar[frozenset[str]] = frozenset({"create"})

    def perform_create(self, body: OwnTokenBody, references: References) -> Made:
        token, text = issue_token(
            self.actor,
            user_of(self.actor),
            name=body.name,
            lifetime=body.lifetime,
            scope=body.scope.scope,
            session=_session_of(self.actor) if body.ends_with_session else None,
        )
        return Made(token, extra={"token": text})

    def perform_delete(self, row: ApiToken, expected_version: int | None) -> Operation | None:
        if row.user_id != self.actor.id:
            refuse_stronger_user(self.actor, row.user)
        revoke_token(self.actor, row, expected_version=expected_version)
        return None

    @posted(RotationBody, IssuedTokenShown)
    def rotate(self, request: Request, pk: str) -> Response:
        """Replaces the token by a new one of the same name, scope and length of life; the old one ends after the overlap.

        One's own, or that of a service account that one may change: who rotates learns the new secret.
        """
        body = read_body(RotationBody, request.data)
        self._check_is_his()
        return self.once(request.data, lambda: self._rotate(body))

    def _rotate(self, body: RotationBody) -> Response:
        token, text = rotate_token(self.actor, self.row, datetime.timedelta(seconds=body.overlap_seconds))
        return self.answer(Made(token, extra={"token": text}), 201)

    def _check_is_his(self) -> None:
        user = self.row.user
        if user.pk == self.actor.id:
            return
        if user.kind == UserKind.SERVICE_ACCOUNT:
            check_may_act_for(self.actor, user)
        else:
            raise HubError("request.denied", verb=self.verb, resource=self.resource)


def _session_of(actor: Actor) -> Session:
    session = Session.objects.filter(pk=actor.session_id).first() if actor.session_id is not None else None
    if session is None:
        raise HubError("token.no_session", pointer="/ends_with_session")
    return session


def _set(values: list[Any] | None) -> frozenset[Any] | None:
    return None if values is None else frozenset(values)
