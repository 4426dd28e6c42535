"""API tokens: issued once, listed without their secret, revoked by ``DELETE``.

The one place that takes name and password of a local user, so that somebody without a token can get one.
"""

import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References
from hub.api.authentication import user_of
from hub.api.documents import Body, Id, RecordShown, Shown, Text
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.core.access import TokenScope
from hub.identity.models import ApiToken
from hub.identity.tokens import DEFAULT_LIFETIME, MAXIMUM_LIFETIME, TOKEN_NAME_LIMIT, issue_token, revoke_token
from hub.operations.models import Operation

LONGEST = int(MAXIMUM_LIFETIME.total_seconds())

Lifetime = Annotated[int, Field(ge=1, le=LONGEST)]
Ids = Annotated[list[Id], Field(max_length=200)]


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
    name: Annotated[str, Field(min_length=1, max_length=TOKEN_NAME_LIMIT)]
    expires_in_seconds: Lifetime = int(DEFAULT_LIFETIME.total_seconds())
    scope: ScopeBody = ScopeBody()


class ScopeShown(Shown):
    read_only: bool
    verbs: list[str] | None
    projects: list[UUID] | None
    clusters: list[UUID] | None


class TokenShown(RecordShown):
    user: UUID = Field(validation_alias="user_id")
    name: str
    key_id: str
    scope: ScopeShown
    expires_at: datetime.datetime
    last_used_at: datetime.datetime | None
    revoked_at: datetime.datetime | None


class IssuedTokenShown(TokenShown):
    """``token`` is shown in this one answer; the hub does not keep it."""

    token: str


class TokenViewSet(Lists[ApiToken], Gets[ApiToken], Creates[ApiToken], Deletes[ApiToken]):
    resource = "tokens"
    rows = ApiToken.objects.all()
    shown = TokenShown
    listing = Listing((TextFilter("name"), IdFilter("user")), ("-created_at", "expires_at"))
    create_body = TokenBody
    created = IssuedTokenShown
    password_actions: ClassVar[frozenset[str]] = frozenset({"create"})

    def perform_create(self, body: TokenBody, references: References) -> Made:
        user = user_of(self.actor)
        lifetime = datetime.timedelta(seconds=body.expires_in_seconds)
        token, text = issue_token(self.actor, user, name=body.name, lifetime=lifetime, scope=body.scope.scope)
        return Made(token, extra={"token": text})

    def perform_delete(self, row: ApiToken, expected_version: int | None) -> Operation | None:
        revoke_token(self.actor, row, expected_version=expected_version)
        return None


def _set(values: list[Any] | None) -> frozenset[Any] | None:
    return None if values is None else frozenset(values)
