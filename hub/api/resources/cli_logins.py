"""Logins of ``paddock-login``: begun by anybody, confirmed on a page of the hub, exchanged for a short token.

The rules are those of RFC 8628 (device code) and RFC 8252 (loopback, with PKCE); answers are problem documents whose code
says what those RFCs call ``error``.
"""

import datetime
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from uuid import UUID

from pydantic import Field, model_validator
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.documents import Body, Shown, Text, read_body
from hub.api.viewsets import ApiViewSet
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.core.requests import request_context
from hub.identity.cli_logins import (
    OPEN_FOR,
    POLL_SECONDS,
    LoginRequest,
    begin_browser_login,
    begin_device_login,
    exchange_code,
    exchange_device_code,
)
from hub.identity.models import ApiToken
from hub.identity.tokens import revoke_token

from .tokens import Lifetime, ScopeBody

HandlerT = TypeVar("HandlerT", bound=Callable[..., Response])
Secret = Annotated[str, Field(min_length=1, max_length=200)]


class CliLoginBody(Body):
    """``host`` is what the machine calls itself; the page that confirms shows it. The last three go with ``browser``."""

    flow: Literal["device", "browser"]
    host: Text = ""
    expires_in_seconds: Lifetime | None = None
    scope: ScopeBody = ScopeBody()
    redirect_uri: Text | None = None
    code_challenge: Text | None = None
    state: Text | None = None

    @model_validator(mode="after")
    def _browser_needs_all(self) -> "CliLoginBody":
        given = [value is not None for value in (self.redirect_uri, self.code_challenge, self.state)]
        if any(given) != (self.flow == "browser") or any(given) != all(given):
            raise ValueError("redirect_uri, code_challenge and state go with the flow browser")
        return self


class CliLoginShown(Shown):
    """What the program does next: show ``user_code`` and poll, or open ``authorization_uri`` in the browser."""

    device_code: str | None = None
    user_code: str | None = None
    verification_uri: str | None = None
    authorization_uri: str | None = None
    expires_in: int = int(OPEN_FOR.total_seconds())
    interval: int = POLL_SECONDS


class ExchangeBody(Body):
    """``device_code``, or ``code`` with its ``code_verifier``."""

    device_code: Secret | None = Field(default=None, repr=False)
    code: Secret | None = Field(default=None, repr=False)
    code_verifier: Secret | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _one_of_both(self) -> "ExchangeBody":
        by_code = self.code is not None and self.code_verifier is not None
        if (self.code is None) != (self.code_verifier is None) or by_code == (self.device_code is not None):
            raise ValueError("device_code, or code and code_verifier")
        return self


class LoginTokenShown(Shown):
    """``token`` is shown in this one answer. It ends at ``expires_at``, or before with the login that confirmed it."""

    token: str
    token_id: UUID
    username: str
    expires_at: datetime.datetime


class EndedShown(Shown):
    token_id: UUID


def _takes(body: type[Body], shown: type[Shown]) -> Callable[[HandlerT], HandlerT]:
    """Marks a method with its documents, for the OpenAPI file."""

    def mark(handler: HandlerT) -> HandlerT:
        marked: Any = handler
        marked.body, marked.shown = body, shown
        return handler

    return mark


class CliLoginViewSet(ApiViewSet, wall=True):
    title = "cli-logins"
    verbs = {"token": "create", "logout": "create"}
    open_actions: ClassVar[frozenset[str]] = frozenset({"create", "token"})
    create_body = CliLoginBody
    created = shown = CliLoginShown
    starts_work = False

    def create(self, request: Request) -> Response:
        body = read_body(CliLoginBody, request.data)
        lifetime = body.expires_in_seconds
        wanted = LoginRequest(
            host=body.host,
            peer=request_context().source_ip,
            lifetime=None if lifetime is None else datetime.timedelta(seconds=lifetime),
            scope=body.scope.scope,
        )
        return _answer(_begin_device(wanted) if body.flow == "device" else _begin_browser(wanted, body))

    @_takes(ExchangeBody, LoginTokenShown)
    def token(self, request: Request) -> Response:
        """Asks for the token. While nobody has confirmed the login the answer is 400 with
        ``cli_login.authorization_pending``.
        """
        body = read_body(ExchangeBody, request.data)
        if body.device_code is not None:
            token, text = exchange_device_code(body.device_code)
        else:
            token, text = exchange_code(body.code or "", body.code_verifier or "")
        return _answer(
            LoginTokenShown(token=text, token_id=token.pk, username=token.user.username, expires_at=token.expires_at)
        )

    @_takes(Body, EndedShown)
    def logout(self, request: Request) -> Response:
        """Ends the token that the request came with, whatever it is narrowed to."""
        read_body(Body, request.data)
        token = ApiToken.objects.filter(pk=self.actor.token_id).first() if self.actor.token_id else None
        if token is None:
            raise HubError("request.denied")
        revoke_token(self.actor, token)
        return _answer(EndedShown(token_id=token.pk))


def _begin_device(wanted: LoginRequest) -> CliLoginShown:
    login, device_code = begin_device_login(wanted)
    code = login.user_code or ""
    return CliLoginShown(
        device_code=device_code, user_code=f"{code[:4]}-{code[4:]}", verification_uri=f"{environment().url}/device"
    )


def _begin_browser(wanted: LoginRequest, body: CliLoginBody) -> CliLoginShown:
    login = begin_browser_login(
        wanted,
        redirect_uri=body.redirect_uri or "",
        code_challenge=body.code_challenge or "",
        state=body.state or "",
    )
    return CliLoginShown(authorization_uri=f"{environment().url}/cli-login?id={login.pk}")


def _answer(shown: Shown) -> Response:
    return Response(shown.model_dump(mode="json"), status=201)
