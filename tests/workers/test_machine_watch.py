"""The watch on VMs: whose events wake which machine, and which clusters are watched."""

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from hub.federation.rights import OWNER_ID_LABEL
from hub.provisioning.models import Machine
from tests.workers.stage import Stage, pool, stage  # noqa: F401  (a fixture, found by name)
from workers import machine_watch


def instance(owner: str | None) -> dict[str, Any]:
    return {"metadata": {"name": "x", "labels": {OWNER_ID_LABEL: owner} if owner else None}}


@pytest.fixture
def machine(stage: Stage) -> Machine:  # noqa: F811
    stage.joins_by_itself = False
    stage.order(pool("servers", "server", 1))
    stage.until(lambda: Machine.objects.exists())
    return Machine.objects.get()


def wakes() -> int:
    return Machine.objects.get().wake_count


def test_an_event_of_a_machine_s_vm_wakes_the_machine(machine: Machine) -> None:
    before = wakes()
    async_to_sync(machine_watch._wake_machine)("MODIFIED", instance(str(machine.pk)))
    assert wakes() == before + 1


@pytest.mark.parametrize(
    "owner", [None, "", "not-an-id", str(uuid4())[:-1] + "0"], ids=["none", "empty", "odd", "unknown"]
)
def test_an_event_of_somebody_else_s_vm_wakes_nobody(machine: Machine, owner: str | None) -> None:
    before = wakes()
    async_to_sync(machine_watch._wake_machine)("ADDED", instance(owner))
    assert wakes() == before


def test_only_clusters_with_unsettled_machines_are_watched(machine: Machine, stage: Stage) -> None:  # noqa: F811
    cluster_id = machine.guest.infrastructure_id
    assert machine_watch._find_active_clusters() == [cluster_id]
    stage.joins_by_itself = True
    stage.ready(machine.guest)
    assert machine_watch._find_active_clusters() == []
