"""Rows of tenancy: a tenant owns projects; a project spans clusters."""

from typing import ClassVar
from uuid import UUID

from django.db import models

from hub.core.models import Record


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
