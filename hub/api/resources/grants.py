"""Grants: which networks, images, storage classes and address pools of a cluster a tenant may use. By default none.

Whoever administers a cluster, or the hub, gives and takes them; a tenant's people read their own.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field
from rest_framework.response import Response

from hub.allowances.grants import remove_grant, set_grants
from hub.allowances.models import Grant, GrantKind
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References
from hub.api.documents import Body, Id, Name, RecordShown, Shown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter
from hub.core.access import Actor, visible_to
from hub.core.errors import HubError
from hub.federation.models import Cluster, ProjectNamespace
from hub.operations.models import Operation
from hub.tenancy.models import Tenant

Kind = Literal["network", "image", "storage_class", "ip_pool"]


class GrantShown(RecordShown):
    tenant: UUID = Field(validation_alias="tenant_id")
    cluster: UUID = Field(validation_alias="cluster_id")
    kind: Kind
    name: str


class GrantsShown(Shown):
    """All that was asked for, in that order; also what had been granted before."""

    items: list[GrantShown]


class GrantBody(Body):
    """``name`` is ``namespace/name``, or ``name`` of what has no namespace; ``*`` stands for all of the kind."""

    kind: Kind
    name: Name


class GrantsBody(Body):
    """Several at once, all or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant": "01a20f88-fbb9-7bcc-98bb-c7f56f737aec",
                    "cluster": "01a20f88-fc68-7702-a43d-1de58f318b35",
                    "grants": [
                        {"kind": "image", "name": "default/ubuntu-24.04"},
                        {"kind": "network", "name": "default/vlan1"},
                        {"kind": "storage_class", "name": "*"},
                    ],
                }
            ]
        }
    )

    tenant: Id
    cluster: Id
    grants: Annotated[list[GrantBody], Field(min_length=1, max_length=500)]


class GrantViewSet(Lists[Grant], Gets[Grant], Creates[Grant], Deletes[Grant]):
    resource = "grants"
    rows = Grant.objects.all()
    shown = GrantShown
    created = GrantsShown
    listing = Listing(
        (
            IdFilter("tenant"),
            IdFilter("cluster"),
            ChoiceFilter("kind", choices=tuple(GrantKind.values)),
            TextFilter("name"),
        ),
        ("-created_at", "name"),
    )
    create_body = GrantsBody
    # The tenant is not among them: the right to grant is one on the cluster, not on who is given something.
    references = {"cluster": Reference(Cluster.objects.all())}

    def perform_create(self, body: GrantsBody, references: References) -> Made:
        cluster = references["cluster"]
        tenant = _tenant(self.actor, body.tenant, cluster)
        made = set_grants(self.actor, tenant, cluster, [(grant.kind, grant.name) for grant in body.grants])
        return Made(made[0], extra={"items": self.documents_of(made)})

    def answer(self, made: Made, status: int) -> Response:
        """Many are made at once, so the answer is a list, without one entity tag or place."""
        items: list[dict[str, Any]] = made.extra["items"]
        return Response({"items": items}, status=status)

    def perform_delete(self, row: Grant, expected_version: int | None) -> Operation | None:
        remove_grant(self.actor, row, expected_version=expected_version)
        return None


def _tenant(actor: Actor, id: UUID, cluster: Cluster) -> Tenant:
    """A tenant that the actor sees, or that is in the cluster already."""
    seen = visible_to(Tenant.objects.all(), actor, "get").filter(pk=id).first()
    if seen is not None:
        return seen
    there = ProjectNamespace.objects.filter(tenant_id=id, cluster=cluster).select_related("tenant").first()
    if there is None:
        raise HubError("request.invalid", causes=[HubError("reference.not_found", pointer="/tenant", verb="get")])
    return there.tenant
