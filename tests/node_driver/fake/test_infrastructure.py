"""Faults of the fake infrastructure come when asked for, and only then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from node_driver.errors import (
    AccessDenied,
    InfrastructureUnavailable,
    MachineNotFound,
    OwnershipConflict,
    QuotaExceeded,
    Throttled,
)
from node_driver.fake.driver import FakeDriver
from node_driver.types import MachinePhase
from tests.node_driver.fake.test_battery import FakeBench


@pytest.fixture
def bench() -> FakeBench:
    return FakeBench()


def test_a_call_fails_as_often_as_asked_and_does_nothing(bench: FakeBench) -> None:
    bench.infrastructure.fail("create", Throttled("slow down", retry_after=1.0), times=2)
    for _ in range(2):
        with pytest.raises(Throttled):
            bench.driver.create(bench.order())
    assert bench.parts() == []
    assert bench.driver.create(bench.order()).external_id


def test_faults_come_in_the_order_in_which_they_were_asked_for(bench: FakeBench) -> None:
    bench.infrastructure.fail("get", AccessDenied("first"))
    bench.infrastructure.fail("get", InfrastructureUnavailable("second"))
    bench.driver.create(bench.order())
    with pytest.raises(AccessDenied):
        bench.driver.get(bench.ref())
    with pytest.raises(InfrastructureUnavailable):
        bench.driver.get(bench.ref())
    assert bench.driver.get(bench.ref()).external_id


def test_flt22_a_lost_answer_has_its_effect(bench: FakeBench) -> None:
    bench.infrastructure.lose_answer("delete", InfrastructureUnavailable("lost"))
    bench.infrastructure.deletion_steps = 0
    bench.driver.create(bench.order())
    with pytest.raises(InfrastructureUnavailable):
        bench.driver.delete(bench.ref())
    assert bench.parts() == []


def test_one_call_s_fault_does_not_touch_another(bench: FakeBench) -> None:
    bench.infrastructure.fail("delete", InfrastructureUnavailable("no"))
    assert bench.driver.create(bench.order()).external_id
    assert bench.driver.get(bench.ref()).external_id


@pytest.mark.parametrize(
    ("step", "left"),
    [("create Secret", []), ("create Disk", ["Secret"]), ("create Machine", ["Secret", "Disk"])],
)
def test_a_create_can_die_before_each_of_its_parts(bench: FakeBench, step: str, left: list[str]) -> None:
    bench.infrastructure.fail(step, InfrastructureUnavailable("killed"))
    with pytest.raises(InfrastructureUnavailable):
        bench.driver.create(bench.order())
    assert [part.split()[0] for part in bench.parts()] == left


def test_flt26_a_machine_can_be_held_up_for_a_reason_until_released(bench: FakeBench) -> None:
    bench.infrastructure.hold_up(bench.ref().name, "Unschedulable", "no host has room")
    bench.driver.create(bench.order())
    for _ in range(5):
        view = bench.driver.get(bench.ref())
    assert (view.phase, view.reason, view.message) == (MachinePhase.STARTING, "Unschedulable", "no host has room")
    bench.infrastructure.release(bench.ref().name)
    assert bench.bring_up(bench.order()).addresses


def test_flt26_a_machine_can_run_without_ever_having_an_address(bench: FakeBench) -> None:
    bench.infrastructure.withhold_address(bench.ref().name)
    bench.driver.create(bench.order(static_addresses=("10.0.0.9",)))
    bench.until(lambda: bench.driver.get(bench.ref()).phase is MachinePhase.RUNNING, "the machine to run")
    view = bench.driver.get(bench.ref())
    assert (view.reason, view.addresses) == ("NoAddress", ())
    bench.infrastructure.release(bench.ref().name)
    assert bench.driver.get(bench.ref()).addresses == ("10.0.0.9",)


def test_a_machine_boots_in_as_many_observations_as_asked(bench: FakeBench) -> None:
    bench.infrastructure.boot_steps = 3
    bench.driver.create(bench.order())
    phases = [bench.driver.get(bench.ref()).phase for _ in range(4)]
    assert phases == [MachinePhase.STARTING] * 3 + [MachinePhase.RUNNING]


def test_a_machine_outlives_as_many_deletes_as_asked(bench: FakeBench) -> None:
    bench.infrastructure.deletion_steps = 2
    bench.driver.create(bench.order())
    remains = [bench.driver.delete(bench.ref()) for _ in range(3)]
    assert [answer.gone for answer in remains] == [False, False, True]
    assert remains[0].objects == (
        "Machine room-1/c1-pool1-abcde",
        "Disk room-1/c1-pool1-abcde",
        "Secret room-1/c1-pool1-abcde",
    )


def test_a_full_location_is_a_quota_and_room_elsewhere_is_not(bench: FakeBench) -> None:
    bench.infrastructure.capacity = 1
    bench.driver.create(bench.order())
    with pytest.raises(QuotaExceeded):
        bench.driver.create(bench.order(bench.ref("another")))
    bench.location = "room-2"
    assert bench.driver.create(bench.order(bench.ref("another"))).external_id


def test_machines_have_addresses_of_their_own(bench: FakeBench) -> None:
    refs = [bench.ref(f"m{number}") for number in range(300)]
    views = [bench.bring_up(bench.order(ref)) for ref in refs]
    assert len({view.addresses for view in views}) == len(refs)


def test_drivers_may_share_an_infrastructure_between_threads(bench: FakeBench) -> None:
    def live(number: int) -> None:
        driver = FakeDriver(bench.infrastructure)
        ref = bench.ref(f"m{number}")
        driver.create(bench.order(ref))
        while not driver.get(ref).addresses:
            continue
        while not driver.delete(ref).gone:
            continue
        with pytest.raises(MachineNotFound):
            driver.get(ref)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(64)))
    assert bench.parts() == []
    assert bench.infrastructure.calls.count("create") == 64


def test_calls_are_recorded_in_order(bench: FakeBench) -> None:
    bench.driver.create(bench.order())
    bench.driver.get(bench.ref())
    assert bench.infrastructure.calls == ["create", "create Secret", "create Disk", "create Machine", "get"]


def test_flt22_a_part_of_somebody_else_is_a_conflict_and_keeps_its_content(bench: FakeBench) -> None:
    bench.occupy(bench.ref().name)
    [(location, name, _)] = bench.infrastructure.parts
    foreign = bench.infrastructure.parts.pop((location, name, "Machine"))
    bench.infrastructure.parts[location, name, "Secret"] = foreign
    with pytest.raises(OwnershipConflict, match="Secret"):
        bench.driver.create(bench.order())
    assert foreign.data == {}
    bench.remove(bench.ref())
    assert list(bench.infrastructure.parts.values()) == [foreign]
