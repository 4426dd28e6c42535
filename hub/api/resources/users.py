"""Users: local accounts. A password goes in and never comes out; who has none uses tokens only."""

from typing import Annotated

from django.db import transaction
from pydantic import Field

from hub.access.services import set_user_active
from hub.api.actions import Creates, Gets, Lists, Made, References, Updates
from hub.api.documents import Body, Name, RecordShown
from hub.api.listing import Listing, TextFilter
from hub.identity.models import User
from hub.identity.passwords import MAXIMUM_LENGTH
from hub.identity.services import create_user, set_display_name, set_password

DisplayName = Annotated[str, Field(max_length=200)]
Password = Annotated[str, Field(max_length=MAXIMUM_LENGTH)]


class UserShown(RecordShown):
    username: str
    display_name: str
    is_active: bool
    must_change_password: bool


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


class UserViewSet(Lists[User], Gets[User], Creates[User], Updates[User]):
    resource = "users"
    rows = User.objects.all()
    shown = UserShown
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
