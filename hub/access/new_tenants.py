"""A new tenant with what it may use, how much of it, and somebody who owns it: all or nothing, in one transaction.

Each part asks for its own right, so a role that may only make tenants grants nothing by the way.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from hub.allowances.grants import grant_faults, set_grants
from hub.allowances.models import Grant, Quota
from hub.allowances.quotas import create_quota
from hub.core.access import HUB_SCOPE, AccessScope, Actor, can
from hub.core.errors import HubError
from hub.federation.models import Cluster
from hub.identity.models import User
from hub.tenancy.models import Tenant
from hub.tenancy.services import create_tenant

from .invitations import DEFAULT_LIFETIME, create_invitation
from .models import Invitation, RoleBinding
from .services import bind_role

OWNER_ROLE = "tenant-owner"


@dataclass(frozen=True, slots=True)
class GrantWanted:
    """One thing of a cluster; the name is as in ``allowances.grants``."""

    cluster: Cluster
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class OwnerInvited:
    """Somebody who is not known yet gets a one-time link."""

    note: str = ""
    lifetime: datetime.timedelta = DEFAULT_LIFETIME


@dataclass(frozen=True, slots=True)
class TenantOrder:
    """``limits`` is the budget over all clusters; None leaves it without one."""

    name: str
    display_name: str = ""
    grants: Sequence[GrantWanted] = ()
    limits: Mapping[str, object] | None = None
    owner: User | None = None
    invite_owner: OwnerInvited | None = None


@dataclass(frozen=True, slots=True)
class TenantMade:
    """Whatever was made. ``link`` is the invitation's; the hub does not keep it."""

    tenant: Tenant
    grants: Sequence[Grant] = ()
    quota: Quota | None = None
    binding: RoleBinding | None = None
    invitation: Invitation | None = None
    link: str = field(default="", repr=False)


def create_whole_tenant(actor: Actor, order: TenantOrder) -> TenantMade:
    """Makes all of it, or nothing.

    Raises HubError ``request.denied`` for a part that the actor has no right to, and as ``create_tenant``, ``set_grants``,
    ``create_quota``, ``bind_role`` and ``create_invitation`` with the pointers of the order.
    """
    faults = [
        fault
        for index, wanted in enumerate(order.grants)
        for fault in grant_faults(wanted.kind, wanted.name, f"/grants/{index}")
    ]
    if faults:
        raise HubError("request.invalid", causes=faults)
    with transaction.atomic():
        tenant = create_tenant(actor, order.name, display_name=order.display_name)
        invitation, link = _invite(actor, tenant, order.invite_owner)
        return TenantMade(
            tenant,
            _grant(actor, tenant, order.grants),
            _limit(actor, tenant, order.limits),
            _own(actor, tenant, order.owner),
            invitation,
            link,
        )


def _grant(actor: Actor, tenant: Tenant, wanted: Sequence[GrantWanted]) -> list[Grant]:
    made: list[Grant] = []
    for cluster in sorted({one.cluster for one in wanted}, key=lambda cluster: cluster.pk):
        scope = AccessScope(tenant_id=cluster.tenant_id, project_id=cluster.project_id, cluster_id=cluster.pk)
        _require(actor, "grants", scope)
        made += set_grants(actor, tenant, cluster, [(one.kind, one.name) for one in wanted if one.cluster == cluster])
    return made


def _limit(actor: Actor, tenant: Tenant, limits: Mapping[str, object] | None) -> Quota | None:
    if limits is None:
        return None
    _require(actor, "quotas", HUB_SCOPE)
    return create_quota(actor, tenant, limits=limits, pointer="/quota")


def _own(actor: Actor, tenant: Tenant, owner: User | None) -> RoleBinding | None:
    if owner is None:
        return None
    _require(actor, "role-bindings", AccessScope(tenant_id=tenant.pk))
    return bind_role(actor, OWNER_ROLE, owner, tenant)


def _invite(actor: Actor, tenant: Tenant, invited: OwnerInvited | None) -> tuple[Invitation | None, str]:
    if invited is None:
        return None, ""
    _require(actor, "invitations", AccessScope(tenant_id=tenant.pk))
    return create_invitation(actor, tenant, OWNER_ROLE, note=invited.note, lifetime=invited.lifetime)


def _require(actor: Actor, resource: str, scope: AccessScope) -> None:
    if not can(actor, "create", resource, scope).allowed:
        raise HubError("request.denied", verb="create", resource=resource)
