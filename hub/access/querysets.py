"""Questions asked of role bindings."""

from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models
from django.db.models import Q

from .grants import BindingFact

if TYPE_CHECKING:
    from .models import RoleBinding  # noqa: F401


class RoleBindingQuerySet(models.QuerySet["RoleBinding"]):
    """Role bindings by holder and by what they hold."""

    def facts_of(self, user_id: UUID) -> list[BindingFact]:
        """A user's bindings as ``grants`` reads them."""
        rows = self.filter(user_id=user_id).order_by("created_at", "id")
        return [row.fact for row in rows]

    def on_project(self, project_id: UUID, tenant_id: UUID) -> Self:
        """Bindings on the project and on its tenant."""
        return self.filter(Q(scope_kind="project", project_id=project_id) | Q(scope_kind="tenant", tenant_id=tenant_id))

    def hub_admins(self) -> Self:
        """The bindings that make somebody who can log in an administrator of the hub."""
        return self.filter(role="hub-admin", scope_kind="hub", user__is_active=True)
