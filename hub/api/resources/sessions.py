"""Sessions: logins in browsers, one's own and, for administrators, everybody's. ``DELETE`` ends one for good."""

import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from pydantic import AliasPath, Field

from hub.access.services import refuse_stronger_user
from hub.api.actions import Deletes, Gets, Lists
from hub.api.documents import RecordShown
from hub.api.listing import Filter, IdFilter, Listing
from hub.identity.models import LoginMethod, Session
from hub.identity.sessions import end_session
from hub.operations.models import Operation


class SessionShown(RecordShown):
    """``ended_at`` is null while it lasts. ``end_reason`` is a word for programs, such as ``idle``."""

    user: UUID = Field(validation_alias="user_id")
    username: str = Field(validation_alias=AliasPath("user", "username"))
    method: LoginMethod
    peer: str
    user_agent: str
    last_seen_at: datetime.datetime
    expires_at: datetime.datetime
    ended_at: datetime.datetime | None
    end_reason: str


class OpenFilter(Filter):
    """``open=true``: those that have not ended."""

    def condition(self, text: str) -> Q:
        if text not in ("true", "false"):
            raise self._refuse(known=("true", "false"))
        return Q(ended_at__isnull=text == "true")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class SessionViewSet(Lists[Session], Gets[Session], Deletes[Session]):
    resource = "sessions"
    rows = Session.objects.select_related("user")
    shown = SessionShown
    listing = Listing((IdFilter("user"), OpenFilter("open")), ("-created_at", "-last_seen_at"))

    def perform_delete(self, row: Session, expected_version: int | None) -> Operation | None:
        refuse_stronger_user(self.actor, row.user)
        end_session(self.actor, row, "logged_out" if row.user_id == self.actor.id else "ended_by_other")
        return None
