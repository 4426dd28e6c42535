"""Service accounts: users of a project that programs act as. Roles are given by role bindings on ``user``.

They belong to the project, not to who made them, and stay when he leaves.
"""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, Updates, location, posted
from hub.api.documents import CAN, Body, Id, Name, RecordShown, read_body
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.api.service_account_rights import check_may_act_for
from hub.core.access import verbs_on
from hub.identity.tokens import issue_token
from hub.operations.models import Operation
from hub.tenancy.models import Project, ServiceAccount
from hub.tenancy.names import DESCRIPTION_LIMIT
from hub.tenancy.service_accounts import (
    create_service_account,
    delete_service_account,
    update_service_account,
)

from .tokens import IssuedTokenShown, TokenBody, TokenShown

Description = Annotated[str, Field(max_length=DESCRIPTION_LIMIT)]


class ServiceAccountShown(RecordShown):
    """``user`` is what role bindings name, ``username`` what the audit trail and member clusters call it."""

    name: str
    tenant: UUID = Field(validation_alias="tenant_id")
    project: UUID = Field(validation_alias="project_id")
    description: str
    user: UUID = Field(validation_alias="user_id")
    username: str
    is_active: bool


class ServiceAccountBody(Body):
    name: Name
    project: Id
    description: Description = ""


class ServiceAccountChange(Body):
    """The tokens of one that is not active open nothing until it is active again."""

    description: Description = ""
    is_active: bool


class ServiceAccountViewSet(
    Lists[ServiceAccount],
    Gets[ServiceAccount],
    Creates[ServiceAccount],
    Updates[ServiceAccount],
    Deletes[ServiceAccount],
):
    resource = "service-accounts"
    verbs = {"tokens": "update"}
    rows = ServiceAccount.objects.select_related("user")
    shown = ServiceAccountShown
    listing = Listing((TextFilter("name"), IdFilter("tenant"), IdFilter("project")), ("-created_at", "name"))
    create_body = ServiceAccountBody
    update_body = ServiceAccountChange
    references = {"project": Reference(Project.objects.select_related("tenant"))}

    def perform_create(self, body: ServiceAccountBody, references: References) -> Made:
        account = create_service_account(self.actor, references["project"], body.name, description=body.description)
        return Made(account)

    def perform_update(self, row: ServiceAccount, body: ServiceAccountChange, expected_version: int | None) -> Made:
        check_may_act_for(self.actor, row.user)
        return Made(
            update_service_account(
                self.actor,
                row,
                description=body.description,
                is_active=body.is_active,
                expected_version=expected_version,
            )
        )

    def perform_delete(self, row: ServiceAccount, expected_version: int | None) -> Operation | None:
        check_may_act_for(self.actor, row.user)
        delete_service_account(self.actor, row, expected_version=expected_version)
        return None

    @posted(TokenBody, IssuedTokenShown)
    def tokens(self, request: Request, pk: str) -> Response:
        """Issues a token of the account. Whoever does it must himself hold every right that the account holds."""
        body = read_body(TokenBody, request.data)
        check_may_act_for(self.actor, self.row.user)
        return self.once(request.data, lambda: self._issue(body))

    def _issue(self, body: TokenBody) -> Response:
        token, text = issue_token(
            self.actor, self.row.user, name=body.name, lifetime=body.lifetime, scope=body.scope.scope
        )
        can = sorted(verbs_on([token], self.actor)[token.pk])
        shown = {**TokenShown.of(token).model_dump(mode="json"), CAN: can, "token": text}
        return Response(shown, status=201, headers={"Location": location("tokens", token.pk)})
