"""Killed, flushed, restarted, refused: whatever happens on the way, the job ends with exactly what was ordered."""

import time
from pathlib import Path

import pytest

from simulator.apiserver.faults import Fault, FaultKind
from tests.e2e.harvester import FaultyHarvester, Harvester, RealHarvester
from tests.e2e.work import Hub, names_of, nothing_left

AWAY_SECONDS = 15

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FAILPOINTS = (
    "guest_cluster.plan.before_commit",
    "guest_cluster.plan.after_commit",
    "guest_cluster.status.after_commit",
    "machine.create.before_call",
    "machine.create.after_call_before_commit",
    "machine.status.after_commit",
    "machine.delete.before_call",
    "machine.delete.after_call_before_commit",
)


def exact(hub: Hub, harvester: Harvester, guest: dict[str, str]) -> bool:
    """The machines of the hub and of the HCI are the same ones, each with its disk and its Secret."""
    wanted = {machine["name"] for machine in hub.machines(guest)}
    found = names_of(harvester, guest)
    return (
        found["VirtualMachine"] == wanted
        and found["PersistentVolumeClaim"] == {f"{name}-disk-0" for name in wanted}
        and found["Secret"] == {f"{name}-cloudinit" for name in wanted}
    )


def test_flt01_a_worker_killed_at_each_failpoint_leaves_exactly_the_wanted_machines(
    hub: Hub, harvester: RealHarvester
) -> None:
    folder = Path(hub.stack.processes.environment["PADDOCK_FAILPOINTS_FOLDER"])
    cluster = hub.import_harvester(harvester)
    hub.restart_worker(PADDOCK_FAILPOINTS=",".join(f"{name}=kill" for name in FAILPOINTS))
    guest = hub.ready(hub.order(cluster, servers=1, workers=2))
    assert exact(hub, harvester, guest)
    hub.delete(guest)
    assert nothing_left(harvester, guest)
    assert all((folder / name).exists() for name in FAILPOINTS)
    hub.restart_worker(PADDOCK_FAILPOINTS="")


def test_flt07_a_broker_that_lost_everything_and_was_away_delays_nothing_for_ever(
    hub: Hub, harvester: RealHarvester
) -> None:
    cluster = hub.import_harvester(harvester)
    guest = hub.order(cluster)
    hub.until("the first machine", lambda: hub.machines(guest))
    hub.stack.valkey.stop()  # it keeps nothing, so this is the flush too
    time.sleep(AWAY_SECONDS)
    hub.stack.valkey.start()
    hub.ready(guest)
    assert exact(hub, harvester, guest)
    hub.delete(guest)


def test_flt12_a_postgresql_restart_on_the_way_changes_nothing(hub: Hub, harvester: RealHarvester) -> None:
    cluster = hub.import_harvester(harvester)
    guest = hub.order(cluster)
    hub.until("the first machine", lambda: hub.machines(guest))
    hub.stack.postgres.stop()
    time.sleep(2)
    hub.stack.postgres.start()
    hub.ready(guest)
    assert exact(hub, harvester, guest)
    hub.delete(guest)
    assert nothing_left(harvester, guest)


def test_flt24_an_hci_that_is_away_is_waited_for_said_and_then_used(hub: Hub, harvester: RealHarvester) -> None:
    cluster = hub.import_harvester(harvester)
    guest = hub.order(cluster)
    hub.until("the first machine", lambda: hub.machines(guest))
    harvester.server.stop()
    try:
        hub.until("a machine to say that its infrastructure is away", lambda: says_unavailable(hub, guest), 120)
    finally:
        harvester.server.start()
    hub.ready(guest)
    assert exact(hub, harvester, guest)
    hub.delete(guest)


def says_unavailable(hub: Hub, guest: dict[str, str]) -> bool:
    conditions = [condition for machine in hub.machines(guest) for condition in machine["conditions"]]
    return any(
        c["status"] == "False" and c["reason"] in {"InfrastructureUnavailable", "Unavailable"} for c in conditions
    )


def test_flt17_flt18_an_hci_that_refuses_breaks_and_loses_answers_gets_exactly_what_was_ordered(
    hub: Hub, faulty_harvester: FaultyHarvester
) -> None:
    cluster = hub.import_harvester(faulty_harvester)
    kinds = (FaultKind.TOO_MANY_REQUESTS, FaultKind.SERVER_ERROR, FaultKind.UNAVAILABLE, FaultKind.RESET)
    faults = [Fault(kind, count=None, probability=0.03) for kind in (*kinds, FaultKind.TRUNCATED)]
    faults += [Fault(FaultKind.LOST_RESPONSE, method="POST", count=3, probability=0.5)]
    for fault in faults:
        faulty_harvester.add_fault(fault)
    guest = hub.ready(hub.order(cluster, servers=1, workers=2))
    faulty_harvester.clear_faults()  # they would meet the test's own looks too
    assert exact(hub, faulty_harvester, guest)
    hub.delete(guest)
    assert nothing_left(faulty_harvester, guest)
    assert sum(fault.met for fault in faults) >= 10
