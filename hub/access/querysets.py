"""Questions asked of role bindings, roles and memberships."""

import datetime
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q, QuerySet

from hub.core.environment import environment
from hub.identity.models import GroupMembership, UserKind

from .grants import BindingFact
from .role_book import BUILT_IN, RoleBook

if TYPE_CHECKING:
    from .models import Role, RoleBinding  # noqa: F401

FACT_COLUMNS = ("role", "scope_kind", "tenant_id", "project_id", "cluster_id", "expires_at", "id", "group_id")


def membership_age() -> datetime.timedelta:
    """How old a provider's word may be that somebody is in his groups (SEC-49)."""
    return datetime.timedelta(hours=environment().group_max_age_hours)


def fresh_memberships(now: datetime.datetime) -> QuerySet[GroupMembership]:
    """The memberships that count: of identities that are not disabled, confirmed lately (SEC-46, SEC-49)."""
    return GroupMembership.objects.filter(
        identity__disabled_at__isnull=True, identity__groups_confirmed_at__gt=now - membership_age()
    )


def build_fact(row: tuple[object, ...]) -> BindingFact:
    """A row of ``FACT_COLUMNS`` as ``grants`` reads it."""
    role, scope_kind, tenant_id, project_id, cluster_id, expires_at, id, group_id = row
    scope_id = {"tenant": tenant_id, "project": project_id, "cluster": cluster_id}.get(str(scope_kind))
    return BindingFact(role, scope_kind, scope_id, expires_at, id, group_id)  # type: ignore[arg-type]


class RoleBindingQuerySet(models.QuerySet["RoleBinding"]):
    """Role bindings by holder and by what they hold."""

    def live(self, now: datetime.datetime) -> Self:
        """Those that have not ended, and whose role may be used where they are: a tenant's own in that tenant only."""
        usable = Q(custom_role__isnull=True) | Q(custom_role__tenant__isnull=True) | Q(custom_role__tenant=F("tenant"))
        return self.filter(usable, Q(expires_at__isnull=True) | Q(expires_at__gt=now))

    def facts(self) -> list[BindingFact]:
        """These bindings as ``grants`` reads them."""
        return [build_fact(row) for row in self.values_list(*FACT_COLUMNS)]

    def facts_by_user(self) -> Iterator[tuple[UUID | None, BindingFact]]:
        """These bindings with the user of each; None for a group's."""
        for user_id, *row in self.values_list("user_id", *FACT_COLUMNS).iterator():
            yield user_id, build_fact(tuple(row))

    def facts_of(self, user_id: UUID, now: datetime.datetime) -> list[BindingFact]:
        """What counts for a user now, his own bindings and those of his groups, oldest first: one query.

        As a union, so that each half is found by its index.
        """
        groups = fresh_memberships(now).filter(identity__user_id=user_id).values("group_id")
        # Ids grow with time.
        rows = (
            self.live(now)
            .filter(user_id=user_id)
            .values_list(*FACT_COLUMNS)
            .union(self.live(now).filter(group_id__in=groups).values_list(*FACT_COLUMNS), all=True)
            .order_by("id")
        )
        return [build_fact(row) for row in rows]

    def with_names(self) -> Self:
        """With the names of holders and roles beside them."""
        return self.select_related("user__service_account", "group", "custom_role")

    def of_tenants(self, tenant_ids: Collection[UUID]) -> Self:
        """Bindings on these tenants and on their projects."""
        return self.filter(scope_kind__in=("tenant", "project"), tenant_id__in=tenant_ids)

    def lasting_admins(self) -> Self:
        """The bindings that make a person who can log in an administrator of the hub, for good.

        What a group gives does not count: the hub must not be left to whom a provider tells of.
        """
        return self.filter(
            role="hub-admin",
            scope_kind="hub",
            expires_at__isnull=True,
            user__is_active=True,
            user__kind=UserKind.PERSON,
        )


def find_role_id(key: str) -> UUID | None:
    """The id of the custom role that a key names; None for a built-in role, and for what is no role."""
    try:
        return UUID(key)
    except ValueError:
        return None


class RoleQuerySet(models.QuerySet["Role"]):
    """Custom roles."""

    def usable_in(self, tenant_id: UUID | None) -> Self:
        """The hub's own, and those of this tenant."""
        return self.filter(Q(tenant__isnull=True) | Q(tenant_id=tenant_id))

    def book(self) -> RoleBook:
        """These roles beside the built-in ones."""
        return RoleBook([row.fact for row in self])

    def book_for(self, facts: Iterable[BindingFact]) -> RoleBook:
        """A book that has every role these bindings name, with all that those inherit: at most one query."""
        return self.book_of(fact.role for fact in facts)

    def book_of(self, keys: Iterable[str]) -> RoleBook:
        """A book that has these roles, with all that they inherit: at most one query."""
        ids = [id for id in map(find_role_id, keys) if id is not None]
        if not ids:
            return BUILT_IN
        bound = self.filter(pk__in=ids)
        return self.filter(Q(tenant__isnull=True) | Q(tenant_id__in=bound.values("tenant_id"))).book()
