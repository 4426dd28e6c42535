"""Which machines are added and removed, as a pure function of what is wanted and what there is."""

from datetime import UTC, datetime, timedelta

from hub.provisioning.models import Machine, NodePool
from workers.reconcilers.machine_plan import MachinePlan, plan_machines

START = datetime(2026, 1, 1, tzinfo=UTC)
SERVERS = NodePool(name="servers", role="server", count=3)
WORKERS = NodePool(name="workers", role="worker", count=2)


def machine(
    pool: NodePool, *, ready: bool = True, founder: bool = False, leaving: bool = False, age: int = 0
) -> Machine:
    built = Machine(pool=pool, role=pool.role, founder=founder)
    built.created_at = START - timedelta(minutes=age)
    built.ready_at = START if ready else None
    built.deletion_requested_at = START if leaving else None
    return built


def servers(count: int, *, ready: bool = True) -> list[Machine]:
    return [machine(SERVERS, founder=index == 0, ready=ready) for index in range(count)]


def plan(machines: list[Machine], *pools: NodePool) -> MachinePlan:
    return plan_machines(pools or (SERVERS, WORKERS), machines)


def test_the_first_machine_founds_the_cluster() -> None:
    assert plan([]) == MachinePlan(add=[SERVERS], founder=True)


def test_nothing_is_added_while_a_server_is_not_ready() -> None:
    assert plan(servers(1, ready=False)).add == []


def test_the_next_server_comes_when_all_before_it_are_ready() -> None:
    found = plan(servers(2))
    assert list(found.add) == [SERVERS]
    assert not found.founder


def test_workers_come_all_at_once_when_the_servers_are_there() -> None:
    assert list(plan(servers(3)).add) == [WORKERS, WORKERS]


def test_a_complete_cluster_lacks_nothing() -> None:
    found = plan([*servers(3), machine(WORKERS), machine(WORKERS)])
    assert (list(found.add), list(found.remove)) == ([], [])


def test_a_worker_on_its_way_out_is_replaced_and_not_removed_twice() -> None:
    found = plan([*servers(3), machine(WORKERS), machine(WORKERS, leaving=True)])
    assert (list(found.add), list(found.remove)) == ([WORKERS], [])


def test_too_many_workers_lose_the_unready_ones_first_and_then_the_youngest() -> None:
    old, young, broken = machine(WORKERS, age=9), machine(WORKERS, age=1), machine(WORKERS, ready=False, age=99)
    one = NodePool(name="workers", role="worker", count=1)
    for member in (old, young, broken):
        member.pool = one
    assert list(plan([*servers(3), old, young, broken], SERVERS, one).remove) == [broken, young]


def test_surplus_workers_leave_even_while_a_server_is_down() -> None:
    none = NodePool(name="workers", role="worker", count=0)
    surplus = machine(none)
    found = plan([*servers(2), machine(SERVERS, ready=False), surplus], SERVERS, none)
    assert (list(found.add), list(found.remove)) == ([], [surplus])
