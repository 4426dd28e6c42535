"""Node pools: the machines of one kind in a guest cluster. Scaled by changing ``count``."""

from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AliasPath, Field

from hub.api.actions import Gets, Lists, Made, Updates
from hub.api.documents import Body, RecordShown
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.provisioning.models import NodePool
from hub.provisioning.services import scale_pool
from node_driver.registry import driver_class


class NodePoolShown(RecordShown):
    """``settings`` are the driver's, with secret ones masked. ``operation`` is the latest on the guest cluster."""

    guest_cluster: UUID = Field(validation_alias="guest_id")
    tenant: UUID = Field(validation_alias="tenant_id")
    name: str
    role: Literal["server", "worker"]
    count: int
    ready: int
    settings: dict[str, Any]
    labels: dict[str, str]
    taints: list[dict[str, str]]
    static_addresses: list[dict[str, Any]]
    operation: UUID | None = Field(validation_alias=AliasPath("guest", "operation_id"))

    @classmethod
    def of(cls, source: NodePool) -> Self:
        settings = driver_class(source.guest.driver).settings.mask(source.settings)
        return cls.model_validate(source).model_copy(update={"settings": settings})


class NodePoolChange(Body):
    """The servers' number is fixed when the cluster is ordered."""

    count: int


class NodePoolViewSet(Lists[NodePool], Gets[NodePool], Updates[NodePool]):
    resource = "node-pools"
    rows = NodePool.objects.select_related("guest").with_ready_count()
    shown = NodePoolShown
    listing = Listing((IdFilter("guest_cluster", "guest_id"), TextFilter("name")), ("created_at", "name"))
    update_body = NodePoolChange
    update_starts_work = True

    def perform_update(self, row: NodePool, body: NodePoolChange, expected_version: int | None) -> Made:
        return Made(row, scale_pool(self.actor, row, body.count, expected_version=expected_version))
