"""The caller's own password: changed by who knows it, in a browser, with a token, or by name and password."""

from typing import Annotated, ClassVar

from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.actions import posted
from hub.api.authentication import user_of
from hub.api.documents import Body, read_body
from hub.api.viewsets import ApiViewSet
from hub.core.requests import request_context
from hub.identity.passwords import MAXIMUM_LENGTH
from hub.identity.services import change_own_password

Password = Annotated[str, Field(max_length=MAXIMUM_LENGTH)]


class PasswordBody(Body):
    current: Password = Field(repr=False)
    new: Password = Field(repr=False)


class OwnPasswordViewSet(ApiViewSet, wall=True):
    """The one thing that is open to who has to change his password first."""

    title = "whoami"
    password_actions: ClassVar[frozenset[str]] = frozenset({"password"})
    unready_actions: ClassVar[frozenset[str]] = frozenset({"password"})

    @posted(PasswordBody)
    def password(self, request: Request) -> Response:
        """Changes the caller's password; his other sessions end."""
        body = read_body(PasswordBody, request.data)
        peer = request_context().source_ip
        change_own_password(self.actor, user_of(self.actor), body.current, body.new, peer=peer)
        return Response(status=204)
