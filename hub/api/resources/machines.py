"""Machines of guest clusters. What was logged of each is in ``machine_log``."""

import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from hub.api.actions import Gets, Lists
from hub.api.documents import ConditionShown, RecordShown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter
from hub.provisioning.choices import Role
from hub.provisioning.models import Machine


class MachineShown(RecordShown):
    """``name`` is that of the VM and of the node; ``attempt`` counts the tries of its bootstrap."""

    name: str
    role: Literal["server", "worker"]
    guest_cluster: UUID = Field(validation_alias="guest_id")
    pool: UUID = Field(validation_alias="pool_id")
    tenant: UUID = Field(validation_alias="tenant_id")
    phase: str
    conditions: list[ConditionShown]
    address: str
    external_id: str
    attempt: int
    joined_at: datetime.datetime | None
    ready_at: datetime.datetime | None
    deletion_requested_at: datetime.datetime | None


class MachineViewSet(Lists[Machine], Gets[Machine]):
    resource = "machines"
    rows = Machine.objects.all()
    shown = MachineShown
    listing = Listing(
        (
            IdFilter("guest_cluster", "guest_id"),
            IdFilter("pool"),
            TextFilter("name"),
            ChoiceFilter("role", choices=tuple(Role.values)),
        ),
        ("created_at", "name"),
    )
