"""The sweeper removes what is provably ours and unknown, at the second sighting after the grace, and nothing else."""

from datetime import timedelta
from uuid import uuid4

import pytest

from hub.audit.models import AuditEvent
from hub.core.models import hub_identity
from hub.federation.models import ProjectNamespace
from hub.provisioning import drivers
from hub.provisioning.models import Machine
from node_driver.errors import InfrastructureUnavailable
from node_driver.fake.driver import FakeDriver
from node_driver.types import MachineOrder, MachineRef, Owner
from tests.workers.stage import Stage, pool, stage  # noqa: F401  (a fixture, found by name)
from workers.sweeper import Sweeper

NO_GRACE = timedelta(0)


@pytest.fixture
def settled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:  # noqa: F811
    monkeypatch.delitem(drivers.CLUSTER_KINDS, "harvester")  # only the fake driver is on stage
    stage.ready(stage.order(pool("servers", "server", 1)))
    return stage


def plant(settled: Stage, *, hub_id: str | None = None, machine_id: str | None = None) -> str:
    """A complete machine beside the known one, in the same place, with an owner of the test's choice."""
    location = ProjectNamespace.objects.get().name
    owner = Owner(hub_id or str(hub_identity().hub_id), 1, machine_id or str(uuid4()), str(uuid4()))
    ref = MachineRef(location, f"web-servers-{uuid4().hex[:5]}", owner)
    settings = FakeDriver.settings.validate({"image": "fake/image", "network": "fake/network"})
    FakeDriver(settled.infrastructure).create(
        MachineOrder(
            ref=ref, cluster_name="web", pool_name="servers", settings=settings, user_data="#cloud-config\n{}\n"
        )
    )
    return ref.name


def test_flt22_an_orphan_goes_at_the_second_sighting_and_the_trail_says_so(settled: Stage) -> None:
    orphan = plant(settled)
    sweeper = Sweeper(grace=NO_GRACE)
    sweeper.sweep()
    sweeper.sweep()
    assert orphan not in settled.vm_names()
    assert settled.vm_names() == {Machine.objects.get().name}
    event = AuditEvent.objects.get(object_name=orphan)
    assert event.detail["orphan"] is True


def test_an_orphan_within_its_grace_is_left(settled: Stage) -> None:
    orphan = plant(settled)
    sweeper = Sweeper(grace=timedelta(minutes=15))
    assert [sweeper.sweep() for _ in range(3)] == [0, 0, 0]
    assert orphan in settled.vm_names()


def test_a_known_machine_is_never_removed(settled: Stage) -> None:
    sweeper = Sweeper(grace=NO_GRACE)
    assert [sweeper.sweep() for _ in range(3)] == [0, 0, 0]
    assert settled.vm_names() == {Machine.objects.get().name}


@pytest.mark.parametrize(
    "near_miss", [{"hub_id": str(uuid4())}, {"machine_id": "not-an-id-of-ours"}], ids=["hub", "id"]
)
def test_what_belongs_to_another_hub_or_carries_a_strange_id_is_left(settled: Stage, near_miss: dict[str, str]) -> None:
    foreign = plant(settled, **near_miss)
    sweeper = Sweeper(grace=NO_GRACE)
    sweeper.sweep()
    sweeper.sweep()
    assert foreign in settled.vm_names()


def test_an_infrastructure_that_does_not_answer_is_passed_over(settled: Stage) -> None:
    plant(settled)
    settled.infrastructure.fail("list_owned", InfrastructureUnavailable("away"))
    assert Sweeper(grace=NO_GRACE).sweep() == 0


def test_drivers_are_asked_only_on_clusters_of_their_kind(settled: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = plant(settled)
    monkeypatch.setitem(drivers.CLUSTER_KINDS, "fake", "kubernetes")
    sweeper = Sweeper(grace=NO_GRACE)
    sweeper.sweep()
    sweeper.sweep()
    assert orphan in settled.vm_names()
