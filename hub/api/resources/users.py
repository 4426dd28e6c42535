"""Users: people with an account here. A password goes in and never comes out; who has none comes by an identity provider,
or uses tokens only.
"""

import datetime
from typing import Annotated

from django.db import transaction
from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.services import refuse_loss_of_last_admin, refuse_stronger_user, set_user_active
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, Updates, posted
from hub.api.documents import Body, Name, RecordShown
from hub.api.listing import Listing, TextFilter
from hub.core.errors import HubError, define
from hub.identity.models import User, UserKind
from hub.identity.passwords import MAXIMUM_LENGTH
from hub.identity.second_factor import remove_second_factor
from hub.identity.services import create_user, delete_user, end_access, set_display_name, set_password
from hub.operations.models import Operation

define("second_factor.own", 409, "Your own second factor is removed where you also show a code (/account)")
define("password.own", 409, "Your own password is changed where you also give the one you have (whoami/password)")

DisplayName = Annotated[str, Field(max_length=200)]
Password = Annotated[str, Field(max_length=MAXIMUM_LENGTH)]


class UserShown(RecordShown):
    """``second_factor``: whether his password alone does not log him in."""

    username: str
    display_name: str
    email: str
    is_active: bool
    must_change_password: bool
    second_factor: bool = Field(validation_alias="has_second_factor")
    last_login_at: datetime.datetime | None


class UserBody(Body):
    """A password that somebody else has set must be changed."""

    username: Name
    display_name: DisplayName = ""
    password: Password | None = Field(default=None, repr=False)


class UserChange(Body):
    """``password`` stays as it is when it is left out or null. Who is not active has no access, by tokens neither."""

    display_name: DisplayName = ""
    is_active: bool
    password: Password | None = Field(default=None, repr=False)


class UserViewSet(Lists[User], Gets[User], Creates[User], Updates[User], Deletes[User]):
    """Whoever acts on a user has to have every right that the user has."""

    resource = "users"
    rows = User.objects.filter(kind=UserKind.PERSON)
    shown = UserShown
    verbs = {"end_sessions": "update", "reset_second_factor": "update"}
    listing = Listing((TextFilter("username"),), ("-created_at", "username"))
    create_body = UserBody
    update_body = UserChange

    def perform_create(self, body: UserBody, references: References) -> Made:
        return Made(
            create_user(
                self.actor,
                body.username,
                password=body.password,
                display_name=body.display_name,
                must_change_password=body.password is not None,
            )
        )

    def perform_update(self, row: User, body: UserChange, expected_version: int | None) -> Made:
        """All of it or nothing. Each change raises the version, so the first one alone is held against what was read."""
        refuse_stronger_user(self.actor, row)
        if body.password is not None and row.pk == self.actor.id:
            raise HubError("password.own", pointer="/password")
        with transaction.atomic():
            if body.display_name != row.display_name:
                set_display_name(self.actor, row, body.display_name, expected_version=expected_version)
                expected_version = row.version
            if body.is_active != row.is_active:
                set_user_active(self.actor, row, body.is_active, expected_version=expected_version)
                expected_version = row.version
            if body.password is not None:
                set_password(self.actor, row, body.password, expected_version=expected_version)
        return Made(row)

    def perform_delete(self, row: User, expected_version: int | None) -> Operation | None:
        refuse_stronger_user(self.actor, row)
        with transaction.atomic():
            refuse_loss_of_last_admin(row)
            delete_user(self.actor, row, expected_version=expected_version)
        return None

    @posted(path="end-sessions")
    def end_sessions(self, request: Request, pk: str) -> Response:
        """Logs the user out everywhere: his sessions end, and all his tokens."""
        refuse_stronger_user(self.actor, self.row)
        end_access(self.actor, self.row, "ended_by_other")
        return Response(status=204)

    @posted(path="reset-second-factor")
    def reset_second_factor(self, request: Request, pk: str) -> Response:
        """Takes the user's second factor and recovery codes away, so that he gets in by his password and sets up another."""
        refuse_stronger_user(self.actor, self.row)
        if self.row.pk == self.actor.id:
            raise HubError("second_factor.own")
        remove_second_factor(self.actor, self.row)
        return Response(status=204)
