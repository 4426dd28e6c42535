"""Invitations: one-time links that give their first opener a role on a tenant or project. ``DELETE`` ends the link."""

import datetime
from typing import Annotated
from uuid import UUID

from django.utils import timezone
from pydantic import Field

from hub.access.invitations import (
    DEFAULT_LIFETIME,
    LONGEST_LIFETIME,
    NOTE_LIMIT,
    create_invitation,
    revoke_invitation,
)
from hub.access.models import Invitation
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References
from hub.api.documents import Body, Id, Name, RecordShown
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.core.errors import HubError, define
from hub.operations.models import Operation
from hub.tenancy.models import Project, Tenant

ROLE_LONGEST = 3660 * 86400

define("invitation.scope_missing", 400, "Name a tenant or a project, one of them")


class InvitationShown(RecordShown):
    """``accepted_by`` is the user whose the role is since ``accepted_at``. A project's invitation names its tenant too."""

    tenant: UUID = Field(validation_alias="tenant_id")
    project: UUID | None = Field(validation_alias="project_id")
    role: str
    note: str
    created_by: UUID | None = Field(validation_alias="created_by_id")
    role_expires_at: datetime.datetime | None = Field(validation_alias="binding_expires_at")
    expires_at: datetime.datetime
    accepted_by: UUID | None = Field(validation_alias="accepted_by_id")
    accepted_at: datetime.datetime | None
    revoked_at: datetime.datetime | None


class MadeInvitationShown(InvitationShown):
    """``link`` is shown in this one answer; the hub does not keep it."""

    link: str


class InvitationBody(Body):
    """``role`` is a built-in role's name or a custom one's key. ``role_expires_in_seconds`` counts from now; without it the
    role does not end.
    """

    role: Name
    tenant: Id | None = None
    project: Id | None = None
    note: Annotated[str, Field(max_length=NOTE_LIMIT)] = ""
    expires_in_seconds: Annotated[int, Field(ge=1, le=int(LONGEST_LIFETIME.total_seconds()))] = int(
        DEFAULT_LIFETIME.total_seconds()
    )
    role_expires_in_seconds: Annotated[int, Field(ge=1, le=ROLE_LONGEST)] | None = None

    @property
    def role_expires_at(self) -> datetime.datetime | None:
        if self.role_expires_in_seconds is None:
            return None
        return timezone.now() + datetime.timedelta(seconds=self.role_expires_in_seconds)


class InvitationViewSet(Lists[Invitation], Gets[Invitation], Creates[Invitation], Deletes[Invitation]):
    resource = "invitations"
    rows = Invitation.objects.all()
    shown = InvitationShown
    created = MadeInvitationShown
    listing = Listing((IdFilter("tenant"), IdFilter("project"), TextFilter("role")), ("-created_at", "expires_at"))
    create_body = InvitationBody
    references = {"project": Reference(Project.objects.all()), "tenant": Reference(Tenant.objects.all())}

    def perform_create(self, body: InvitationBody, references: References) -> Made:
        if len(references) != 1:
            raise HubError("invitation.scope_missing", named=sorted(references))
        invitation, link = create_invitation(
            self.actor,
            next(iter(references.values())),
            body.role,
            note=body.note,
            lifetime=datetime.timedelta(seconds=body.expires_in_seconds),
            binding_expires_at=body.role_expires_at,
        )
        return Made(invitation, extra={"link": link})

    def perform_delete(self, row: Invitation, expected_version: int | None) -> Operation | None:
        revoke_invitation(self.actor, row, expected_version=expected_version)
        return None
