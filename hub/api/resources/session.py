"""The caller's own session: who he is, until when, and what his page has to send with each change."""

import datetime
from typing import ClassVar
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.authentication import BySession
from hub.api.documents import Shown
from hub.api.viewsets import ApiViewSet
from hub.core.errors import HubError, define
from hub.identity.models import LoginMethod
from hub.identity.sessions import csrf_token, idle_limit

define("session.none", 404, "The request came without a session")


class CurrentSessionShown(Shown):
    """``csrf_token`` goes back in the header X-CSRF-Token with each request that changes something. The session ends at
    ``expires_at``, or at ``idle_expires_at`` when nothing is asked until then.
    """

    id: UUID
    user: UUID
    username: str
    display_name: str
    method: LoginMethod
    must_change_password: bool
    second_factor: bool
    csrf_token: str
    expires_at: datetime.datetime
    idle_expires_at: datetime.datetime


class CurrentSessionViewSet(ApiViewSet, wall=True):
    """Open to whoever came with a session, also to who has to change his password first."""

    title = "current-session"
    shown: ClassVar[type[Shown]] = CurrentSessionShown
    may_be_absent: ClassVar[bool] = True
    unready_actions: ClassVar[frozenset[str]] = frozenset({"retrieve"})

    def retrieve(self, request: Request) -> Response:
        by = request.auth
        if not isinstance(by, BySession):
            raise HubError("session.none")
        session = by.session
        shown = CurrentSessionShown(
            id=session.pk,
            user=session.user_id,
            username=session.user.username,
            display_name=session.user.display_name,
            method=LoginMethod(session.method),
            must_change_password=session.user.must_change_password,
            second_factor=session.user.has_second_factor,
            csrf_token=csrf_token(by.text),
            expires_at=session.expires_at,
            idle_expires_at=min(session.expires_at, session.last_seen_at + idle_limit()),
        )
        return Response(shown.model_dump(mode="json"))
