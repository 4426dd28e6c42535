"""Questions asked of role bindings."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models

from .grants import BindingFact

if TYPE_CHECKING:
    from .models import RoleBinding  # noqa: F401


class RoleBindingQuerySet(models.QuerySet["RoleBinding"]):
    """Role bindings by holder and by what they hold."""

    def facts_of(self, user_id: UUID) -> list[BindingFact]:
        """A user's bindings as ``grants`` reads them."""
        rows = self.filter(user_id=user_id).order_by("created_at", "id")
        return [row.fact for row in rows]

    def of_tenants(self, tenant_ids: Collection[UUID]) -> Self:
        """Bindings on these tenants and on their projects."""
        return self.filter(scope_kind__in=("tenant", "project"), tenant_id__in=tenant_ids)

    def hub_admins(self) -> Self:
        """The bindings that make somebody who can log in an administrator of the hub."""
        return self.filter(role="hub-admin", scope_kind="hub", user__is_active=True)
