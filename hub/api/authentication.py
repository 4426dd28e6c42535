"""Who is asking: an API token as bearer, the cookie of a session, or, where a view says so, name and password of a local
user.

All end as an ``Actor``, with ``request.auth`` telling by what. What he may do is asked elsewhere; a header or a cookie that is
wrong in any way is the same 401. A request that explicitly brings credentials is not looked at for a cookie.
"""

import base64
import binascii
from dataclasses import dataclass

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from hub.core.access import Actor
from hub.core.errors import HubError, define
from hub.core.requests import request_context
from hub.identity.actors import actor_of
from hub.identity.logins import authenticate_password, complete_login
from hub.identity.models import LoginMethod, Session, User
from hub.identity.sessions import COOKIE, CSRF_HEADER, authenticate_session, check_csrf, check_origin
from hub.identity.tokens import authenticate_token

SAFE_METHODS = frozenset({"GET", "HEAD"})

define("login.second_factor_required", 403, "This user logs in with a second factor: use a browser or a token")
define("password.must_change", 403, "The password has to be changed first")


@dataclass(frozen=True, slots=True)
class ByPassword:
    """``request.auth`` of who came with name and password."""

    user: User


@dataclass(frozen=True, slots=True)
class BySession:
    """``request.auth`` of who came with a session's cookie."""

    session: Session
    text: str

    @property
    def user(self) -> User:
        return self.session.user


Found = tuple[Actor, ByPassword | BySession | None] | None


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer pdk_...``"""

    challenge = 'Bearer realm="paddock"'

    def authenticate(self, request: Request) -> Found:
        """None when the header is of another scheme. Raises AuthenticationFailed."""
        text = _credentials(request, "bearer")
        if text is None:
            return None
        actor = authenticate_token(text)
        if actor is None:
            raise AuthenticationFailed
        return actor, None

    def authenticate_header(self, request: Request) -> str:
        return self.challenge


class PasswordAuthentication(BaseAuthentication):
    """HTTP Basic with a local user's name and password, for getting the first token."""

    challenge = 'Basic realm="paddock", charset="UTF-8"'

    def authenticate(self, request: Request) -> Found:
        """As ``BearerAuthentication``; also HubError ``login.throttled``, ``login.local_hidden`` or
        ``login.second_factor_required``.
        """
        text = _credentials(request, "basic")
        if text is None:
            return None
        username, password = _name_and_password(text)
        user = authenticate_password(username, password, peer=request_context().source_ip)
        if user is None:
            raise AuthenticationFailed
        if user.has_second_factor:
            raise HubError("login.second_factor_required")
        complete_login(user, LoginMethod.PASSWORD)
        return actor_of(user), ByPassword(user)

    def authenticate_header(self, request: Request) -> str:
        return self.challenge


class SessionAuthentication(BaseAuthentication):
    """The cookie of a session; whether the request also comes from a page of the hub is ``check_page``'s."""

    def authenticate(self, request: Request) -> Found:
        """None without a cookie, and when the request says by a header who asks. Raises AuthenticationFailed."""
        text = request.COOKIES.get(COOKIE)
        if text is None or "Authorization" in request.headers:
            return None
        found = authenticate_session(text)
        if found is None:
            raise AuthenticationFailed
        actor, session = found
        return actor, BySession(session, text)


def check_page(request: Request) -> None:
    """For requests with a cookie that may change something. Raises HubError ``request.origin_foreign`` or
    ``session.csrf`` (SEC-71).
    """
    if isinstance(request.auth, BySession) and request.method not in SAFE_METHODS:
        headers = request.headers
        check_origin(headers.get("Origin"), headers.get("Sec-Fetch-Site"), request.get_host())
        check_csrf(request.auth.text, headers.get(CSRF_HEADER, ""))


def check_password_is_own(request: Request) -> None:
    """Raises HubError ``password.must_change`` for who came with a password that somebody else has set, or by it."""
    if isinstance(request.auth, BySession | ByPassword) and request.auth.user.must_change_password:
        raise HubError("password.must_change")


def user_of(actor: Actor) -> User:
    """The local user whom the actor is. Raises HubError ``request.denied`` for anybody else."""
    user = User.objects.filter(pk=actor.id).first() if actor.kind == "user" and actor.id is not None else None
    if user is None:
        raise HubError("request.denied")
    return user


def _credentials(request: Request, scheme: str) -> str | None:
    given, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if given.lower() == scheme else None


def _name_and_password(text: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise AuthenticationFailed from None
    if not colon or "\x00" in username:
        raise AuthenticationFailed
    return username, password
