"""Rows of tenancy: a tenant owns projects; a project spans clusters and owns service accounts and credentials."""

from typing import ClassVar
from uuid import UUID

from django.db import models

from hub.core.models import Record
from hub.core.sealed import SealedText
from hub.identity.models import User


class Tenant(Record):
    """A customer, department or team that sees nothing of the others. ``name`` is a DNS label."""

    name = models.CharField(max_length=63, unique=True)
    display_name = models.CharField(max_length=200, blank=True, default="")

    @property
    def owning_tenant_id(self) -> UUID:
        """A tenant belongs to itself."""
        return self.pk

    def __str__(self) -> str:
        return self.name


class Project(Record):
    """What a tenant divides its work into. ``name`` is a DNS label, unique in the tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="projects")
    name = models.CharField(max_length=63)
    display_name = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "name"], name="project_name_in_tenant"),
        ]

    def __str__(self) -> str:
        return self.name


class ServiceAccount(Record):
    """A user that belongs to a project and that programs act as: its rights, tokens and audit trail are those of ``user``."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="service_account")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="service_accounts")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="service_accounts")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "name"], name="service_account_in_project"),
        ]

    @property
    def username(self) -> str:
        """What the audit trail and member clusters call it."""
        return self.user.username

    @property
    def is_active(self) -> bool:
        """Whether its tokens open anything."""
        return self.user.is_active

    def __str__(self) -> str:
        return self.name


class CredentialKind(models.TextChoices):
    """What a credential opens; says which keys its data has (see ``credentials``)."""

    BASIC = "basic"
    TOKEN = "token"  # noqa: S105  # a kind, not a secret
    SSH_KEY = "ssh_key"
    S3 = "s3"


class Credential(Record):
    """A secret that a project lends to what it orders; whoever names it needs the verb ``use`` on it (SEC-07).

    ``data`` is a JSON object of texts by the keys of its kind, sealed whole; it goes in and never comes out. ``data_keys``
    are the keys in it, for people.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="credentials")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="credentials")
    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=20, choices=CredentialKind)
    description = models.CharField(max_length=200, blank=True, default="")
    data = SealedText(default="", blank=True)
    data_keys = models.JSONField(default=list, db_default=[], blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "name"], name="credential_in_project"),
        ]

    def __str__(self) -> str:
        return self.name
