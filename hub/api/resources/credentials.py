"""Credentials: secrets that a project lends to what it orders, such as the password of a registry.

Values go in and never come out; what is shown is which keys are set. Orders name a credential by its id.
"""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, Updates
from hub.api.documents import Body, Id, Name, RecordShown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter
from hub.operations.models import Operation
from hub.tenancy.credentials import (
    KINDS,
    create_credential,
    delete_credential,
    is_readable,
    update_credential,
)
from hub.tenancy.models import Credential, Project
from hub.tenancy.names import DESCRIPTION_LIMIT

MOST_KEYS = 16
Description = Annotated[str, Field(max_length=DESCRIPTION_LIMIT)]
Value = Annotated[str, Field(max_length=32768)]
Values = Annotated[dict[Name, Value], Field(max_length=MOST_KEYS)]


class CredentialShown(RecordShown):
    """``keys`` are those that have a value. One that is not ``readable`` has lost its master key: enter its values again."""

    name: str
    tenant: UUID
    project: UUID
    kind: str
    description: str
    keys: list[str]
    readable: bool

    @classmethod
    def of(cls, source: Credential) -> Self:
        return cls(
            id=source.pk,
            version=source.version,
            created_at=source.created_at,
            updated_at=source.updated_at,
            name=source.name,
            tenant=source.tenant_id,
            project=source.project_id,
            kind=source.kind,
            description=source.description,
            keys=source.data_keys,
            readable=is_readable(source),
        )


class CredentialBody(Body):
    """The keys of ``values`` are those of the kind: ``basic`` username, password; ``token`` token; ``ssh_key`` private_key,
    and may have passphrase, username; ``s3`` access_key_id, secret_access_key, and may have region, endpoint.
    """

    name: Name
    project: Id
    kind: Literal["basic", "token", "ssh_key", "s3"]
    description: Description = ""
    values: Values = Field(repr=False)


class CredentialChange(Body):
    """Values that are not given stay; an empty text takes one away, for there is nothing to merge a null with."""

    description: Description = ""
    values: Values | None = Field(default=None, repr=False)


class CredentialViewSet(
    Lists[Credential], Gets[Credential], Creates[Credential], Updates[Credential], Deletes[Credential]
):
    resource = "credentials"
    rows = Credential.objects.all()
    shown = CredentialShown
    listing = Listing(
        (
            TextFilter("name"),
            IdFilter("tenant"),
            IdFilter("project"),
            ChoiceFilter("kind", choices=tuple(sorted(KINDS))),
        ),
        ("-created_at", "name"),
    )
    create_body = CredentialBody
    update_body = CredentialChange
    references = {"project": Reference(Project.objects.select_related("tenant"))}

    def perform_create(self, body: CredentialBody, references: References) -> Made:
        project, description = references["project"], body.description
        made = create_credential(self.actor, project, body.name, body.kind, body.values, description=description)
        return Made(made)

    def perform_update(self, row: Credential, body: CredentialChange, expected_version: int | None) -> Made:
        values = {key: value or None for key, value in (body.values or {}).items()}
        changed = update_credential(
            self.actor, row, description=body.description, values=values, expected_version=expected_version
        )
        return Made(changed)

    def perform_delete(self, row: Credential, expected_version: int | None) -> Operation | None:
        delete_credential(self.actor, row, expected_version=expected_version)
        return None
