"""Tenants: customers, departments or teams that see nothing of each other.

A new one is made in one step with what it may use, how much of it, and its owner or an invitation for him.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from hub.access.invitations import DEFAULT_LIFETIME, LONGEST_LIFETIME, NOTE_LIMIT
from hub.access.new_tenants import GrantWanted, OwnerInvited, TenantMade, TenantOrder, create_whole_tenant
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, Updates
from hub.api.documents import Body, Id, Name, RecordShown, Shown, Text
from hub.api.listing import Listing, TextFilter
from hub.core.access import Actor, visible_to
from hub.core.errors import HubError
from hub.federation.models import Cluster
from hub.identity.models import User
from hub.operations.models import Operation
from hub.tenancy.models import Tenant
from hub.tenancy.services import delete_tenant, rename_tenant

from .grants import GrantBody
from .quotas import LimitsGiven, given_limits


class TenantShown(RecordShown):
    name: str
    display_name: str


class OwnerInvitationShown(Shown):
    """``link`` is shown in this one answer; the hub does not keep it."""

    id: UUID
    link: str
    expires_at: datetime.datetime


class MadeTenantShown(TenantShown):
    """What was made with it, by id; null for what was not asked for."""

    grants: list[UUID]
    quota: UUID | None
    role_binding: UUID | None
    invitation: OwnerInvitationShown | None


class TenantChange(Body):
    """``name`` is a DNS label, unique in the hub."""

    name: Name
    display_name: Text = ""


class ClusterGrantBody(GrantBody):
    cluster: Id


class OwnerInvitationBody(Body):
    note: Annotated[str, Field(max_length=NOTE_LIMIT)] = ""
    expires_in_seconds: Annotated[int, Field(ge=1, le=int(LONGEST_LIFETIME.total_seconds()))] = int(
        DEFAULT_LIFETIME.total_seconds()
    )


class TenantBody(TenantChange):
    """``quota`` is the budget over all clusters: see quotas. ``owner`` is a user; ``invite_owner`` makes a one-time link."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "blue",
                    "display_name": "Blue department",
                    "grants": [
                        {
                            "cluster": "01a20f88-fc68-7702-a43d-1de58f318b35",
                            "kind": "image",
                            "name": "default/ubuntu-24.04",
                        },
                        {"cluster": "01a20f88-fc68-7702-a43d-1de58f318b35", "kind": "network", "name": "default/vlan1"},
                    ],
                    "quota": {"cpu": 64, "memory": "256Gi", "storage": "4Ti"},
                    "invite_owner": {"note": "Ann of Blue", "expires_in_seconds": 259200},
                }
            ]
        }
    )

    grants: Annotated[list[ClusterGrantBody], Field(max_length=500)] = []
    quota: LimitsGiven | None = None
    owner: Id | None = None
    invite_owner: OwnerInvitationBody | None = None


class TenantViewSet(Lists[Tenant], Gets[Tenant], Creates[Tenant], Updates[Tenant], Deletes[Tenant]):
    resource = "tenants"
    rows = Tenant.objects.all()
    shown = TenantShown
    created = MadeTenantShown
    listing = Listing((TextFilter("name"), TextFilter("display_name")), ("-created_at", "name", "updated_at"))
    create_body = TenantBody
    update_body = TenantChange
    references = {"owner": Reference(User.objects.filter(is_active=True))}

    def perform_create(self, body: TenantBody, references: References) -> Made:
        order = TenantOrder(
            name=body.name,
            display_name=body.display_name,
            grants=_grants(self.actor, body.grants),
            limits=given_limits(body.quota) if body.quota is not None else None,
            owner=references.get("owner"),
            invite_owner=_invited(body.invite_owner),
        )
        made = create_whole_tenant(self.actor, order)
        return Made(made.tenant, extra=_extra(made))

    def perform_update(self, row: Tenant, body: TenantChange, expected_version: int | None) -> Made:
        changes = {"name": body.name, "display_name": body.display_name}
        return Made(rename_tenant(self.actor, row, **changes, expected_version=expected_version))

    def perform_delete(self, row: Tenant, expected_version: int | None) -> Operation | None:
        delete_tenant(self.actor, row, expected_version=expected_version)
        return None


def _grants(actor: Actor, bodies: Sequence[ClusterGrantBody]) -> list[GrantWanted]:
    """Raises HubError ``request.invalid`` with a cause for each cluster that the actor does not see."""
    clusters = visible_to(Cluster.objects.all(), actor, "get").in_bulk({body.cluster for body in bodies})
    faults = [
        HubError("reference.not_found", pointer=f"/grants/{index}/cluster", verb="get")
        for index, body in enumerate(bodies)
        if body.cluster not in clusters
    ]
    if faults:
        raise HubError("request.invalid", causes=faults)
    return [GrantWanted(clusters[body.cluster], body.kind, body.name) for body in bodies]


def _invited(body: OwnerInvitationBody | None) -> OwnerInvited | None:
    if body is None:
        return None
    return OwnerInvited(body.note, datetime.timedelta(seconds=body.expires_in_seconds))


def _extra(made: TenantMade) -> Mapping[str, object]:
    invitation = made.invitation
    link = invitation and OwnerInvitationShown(id=invitation.pk, link=made.link, expires_at=invitation.expires_at)
    return {
        "grants": [grant.pk for grant in made.grants],
        "quota": made.quota and made.quota.pk,
        "role_binding": made.binding and made.binding.pk,
        "invitation": link and link.model_dump(mode="json"),
    }
