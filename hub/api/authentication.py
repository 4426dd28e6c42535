"""Who is asking: an API token as bearer, or, where a view says so, name and password of a local user.

Both end as an ``Actor``. What he may do is asked elsewhere; a header that is wrong in any way is the same 401.
"""

import base64
import binascii

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from hub.core.access import Actor
from hub.core.errors import HubError
from hub.core.requests import request_context
from hub.identity.models import User
from hub.identity.services import actor_of, authenticate_password
from hub.identity.tokens import authenticate_token

Found = tuple[Actor, None] | None


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
        """As ``BearerAuthentication``; also HubError ``login.throttled``."""
        text = _credentials(request, "basic")
        if text is None:
            return None
        username, password = _name_and_password(text)
        user = authenticate_password(username, password, peer=request_context().source_ip)
        if user is None:
            raise AuthenticationFailed
        return actor_of(user), None

    def authenticate_header(self, request: Request) -> str:
        return self.challenge


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
