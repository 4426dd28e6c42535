"""A guest cluster from order to nothing, on a stage: which machines exist when, what the operation tells, what is left."""

import pytest

from hub.core import work
from hub.core.access import SYSTEM
from hub.core.changes import LostClaim
from hub.core.conditions import condition, is_true
from hub.federation.models import Cluster
from hub.operations.models import LogLine, Operation
from hub.provisioning import conditions as c
from hub.provisioning import services
from hub.provisioning.models import GuestCluster, Machine
from node_driver.errors import InfrastructureUnavailable
from tests.workers.stage import Stage, pool
from workers.reconcilers.registry import reconcilers


def test_an_order_becomes_ready_with_exactly_the_machines_it_asks_for(stage: Stage) -> None:
    guest = stage.ready(stage.order())
    assert sorted(m.role for m in Machine.objects.all()) == ["server"] * 3 + ["worker"] * 2
    assert stage.vm_names() == set(Machine.objects.values_list("name", flat=True))
    assert all(m.phase == "Ready" and m.joined_at and m.address for m in Machine.objects.all())
    assert is_true(guest, c.READY)


def test_the_first_server_is_alone_until_it_is_ready_and_servers_come_one_by_one(stage: Stage) -> None:
    stage.joins_by_itself = False
    stage.order()
    counts = []
    for expected in (1, 2, 3):
        for _ in range(5):
            stage.round()
        counts.append(Machine.objects.count())
        stage.api.join(Machine.objects.get(ready_at=None).name)
        assert counts[-1] == expected
    for _ in range(3):
        stage.round()
    assert Machine.objects.filter(role="worker").count() == 2


def test_only_the_founder_carries_authorities_and_agents_never_see_the_server_token(stage: Stage) -> None:
    guest = stage.order()
    stage.joins_by_itself = False
    secrets: dict[str, str] = {}
    while len(secrets) < 5:
        stage.round()
        for (_, name, kind), part in stage.infrastructure.parts.items():
            if kind == "Secret" and name not in secrets:
                secrets[name] = " ".join(part.data.values())
        for machine in Machine.objects.exclude(address=""):
            stage.api.join(machine.name)
    assert len(secrets) == 5
    token = GuestCluster.objects.get(pk=guest.pk).server_token.reveal()
    for machine in Machine.objects.all():
        assert ("client-ca.key" in secrets[machine.name]) == machine.founder
        if machine.role == "worker":
            assert token not in secrets[machine.name]


def test_sec09_join_material_is_gone_from_the_infrastructure_once_a_machine_has_joined(stage: Stage) -> None:
    guest = stage.ready(stage.order())
    stage.round()
    token = guest.server_token.reveal()
    kept = [text for part in stage.infrastructure.parts.values() for text in part.data.values()]
    assert kept
    assert not any(token in text or "PRIVATE KEY" in text for text in kept)


def test_the_operation_tells_each_step_in_order_and_ends_with_the_cluster(stage: Stage) -> None:
    guest = stage.ready(stage.order())
    operation = Operation.objects.get(target_id=guest.pk)
    assert operation.state == "succeeded"
    assert operation.progress == 100
    assert [s["state"] for s in operation.steps] == ["succeeded"] * 5
    assert [s["name"] for s in operation.steps] == [
        "infrastructure", "first-server", "further-servers", "workers", "registration",
    ]  # fmt: skip


def test_scaling_workers_up_and_down_ends_with_as_many_nodes(stage: Stage) -> None:
    guest = stage.ready(stage.order())
    workers = guest.pools.get(role="worker")
    services.scale_pool(SYSTEM, workers, 4)
    stage.until(lambda: Machine.objects.filter(ready_at__isnull=False).count() == 7)
    services.scale_pool(SYSTEM, workers, 1)
    stage.until(lambda: Machine.objects.count() == 4)
    stage.ready(guest)
    assert len(stage.api.nodes) == 4
    assert len(stage.vm_names()) == 4
    assert len(stage.api.cordoned) == 3
    assert set(Operation.objects.values_list("state", flat=True)) == {"succeeded"}


def test_deletion_ends_with_nothing_on_the_infrastructure_and_keeps_the_log(stage: Stage) -> None:
    stage.infrastructure.deletion_steps = 2
    guest = stage.ready(stage.order())
    machine = Machine.objects.first()
    assert machine is not None
    operation = services.delete_guest_cluster(SYSTEM, guest)
    stage.until(lambda: not GuestCluster.objects.exists())
    assert stage.infrastructure.parts == {}
    assert Machine.objects.count() == 0
    assert Cluster.objects.filter(kind="kubernetes").count() == 0
    assert LogLine.objects.filter(machine_id=machine.pk).exists()
    operation.refresh_from_db()
    assert operation.state == "succeeded"


def test_flt28_deletion_during_creation_wins_and_the_name_is_free_again(stage: Stage) -> None:
    guest = stage.order()
    stage.round()
    stage.round()
    services.delete_guest_cluster(SYSTEM, guest)
    stage.until(lambda: not GuestCluster.objects.exists())
    assert stage.infrastructure.parts == {}
    assert set(Operation.objects.values_list("state", flat=True)) == {"cancelled", "succeeded"}
    again = stage.order(project=guest.project, infrastructure=guest.infrastructure)
    stage.ready(again)


def test_deleting_twice_is_one_deletion(stage: Stage) -> None:
    guest = stage.order()
    first = services.delete_guest_cluster(SYSTEM, guest)
    assert services.delete_guest_cluster(SYSTEM, guest).pk == first.pk


def test_flt24_an_infrastructure_that_is_away_is_waited_for_and_said(stage: Stage) -> None:
    guest = stage.order()
    stage.infrastructure.reachable = False
    for _ in range(4):
        stage.round()
    machine = Machine.objects.get()
    created = condition(machine, c.CREATED)
    assert created is not None
    assert created.status == "False"
    stage.infrastructure.reachable = True
    stage.ready(guest)


def test_flt22_a_create_whose_answer_was_lost_makes_no_second_machine(stage: Stage) -> None:
    stage.infrastructure.lose_answer("create", InfrastructureUnavailable("reset"), times=2)
    stage.ready(stage.order())
    assert len(stage.vm_names()) == 5


def test_flt03_a_holder_that_lost_its_claim_writes_no_plan(stage: Stage) -> None:
    guest = stage.order()
    work.wake(guest)
    late = work.claim(GuestCluster, guest.pk, "late", 60)
    assert late is not None
    GuestCluster.objects.filter(pk=guest.pk).update(lease_expires_at=None)
    stage.round()
    before = Machine.objects.count()
    with pytest.raises(LostClaim):
        reconcilers()["guestcluster"].reconcile(late)
    assert Machine.objects.count() == before


def test_a_cluster_of_one_server_has_no_workers_and_becomes_ready(stage: Stage) -> None:
    stage.ready(stage.order(pool("servers", "server", 1)))
    assert Machine.objects.get().founder


def test_a_machine_that_vanished_before_it_joined_is_made_again(stage: Stage) -> None:
    stage.joins_by_itself = False
    stage.order(pool("servers", "server", 1))
    stage.until(lambda: Machine.objects.exclude(address="").exists())
    stage.infrastructure.parts.clear()
    stage.until(lambda: Machine.objects.filter(attempt=2).exclude(address="").exists())
    assert len(stage.vm_names()) == 1


def test_an_unreachable_guest_says_which_network_and_port_it_is(stage: Stage) -> None:
    stage.api.reachable = False
    stage.order(pool("servers", "server", 1))
    stage.until(lambda: Machine.objects.exclude(address="").exists())
    stage.round()
    joined = condition(Machine.objects.get(), c.JOINED)
    assert joined is not None
    assert joined.reason == "Unreachable"
    assert "6443" in joined.message


def test_a_worker_that_vanished_is_replaced_by_a_new_one(stage: Stage) -> None:
    guest = stage.ready(stage.order(pool("servers", "server", 1), pool("workers", "worker", 2)))
    lost = Machine.objects.filter(role="worker").first()
    assert lost is not None
    for key in [key for key in stage.infrastructure.parts if key[1] == lost.name]:
        del stage.infrastructure.parts[key]
    stage.until(lambda: not Machine.objects.filter(pk=lost.pk).exists())
    stage.ready(guest)
    assert Machine.objects.filter(role="worker").count() == 2
    assert stage.vm_names() == set(Machine.objects.values_list("name", flat=True))


def test_a_server_that_vanished_is_reported_and_left_to_people(stage: Stage) -> None:
    stage.ready(stage.order(pool("servers", "server", 3)))
    lost = Machine.objects.filter(founder=False).first()
    assert lost is not None
    for key in [key for key in stage.infrastructure.parts if key[1] == lost.name]:
        del stage.infrastructure.parts[key]
    stage.until(lambda: GuestCluster.objects.get().phase == "Stuck")
    stuck = condition(GuestCluster.objects.get(), "Stuck")
    assert stuck is not None
    assert stuck.params["action"] == "server_lost"
    assert Machine.objects.count() == 3
