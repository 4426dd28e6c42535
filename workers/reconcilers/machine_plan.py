"""Which machines a guest cluster lacks and which are too many. Pure: rows in, a plan out.

Servers come one by one, each when all before it are Ready, because etcd takes one new member at a time. Workers come
all at once when the servers are there. A machine that is on its way out never counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.provisioning.choices import Role
from hub.provisioning.models import Machine, NodePool


@dataclass(frozen=True)
class MachinePlan:
    """``add``: one entry for each new machine; ``founder``: it founds the cluster. ``remove``: existing ones."""

    add: Sequence[NodePool] = field(default_factory=list)
    remove: Sequence[Machine] = field(default_factory=list)
    founder: bool = False


def plan_machines(pools: Sequence[NodePool], machines: Sequence[Machine]) -> MachinePlan:
    present = [machine for machine in machines if machine.deletion_requested_at is None]
    workers = [pool for pool in pools if pool.role == Role.WORKER]
    surplus = [machine for pool in workers for machine in _surplus(pool, present)]
    servers = [machine for machine in present if machine.role == Role.SERVER]
    lacking = [pool for pool in pools if pool.role == Role.SERVER for _ in range(pool.count - _count(pool, present))]
    if not machines:
        return MachinePlan(add=lacking[:1], founder=True)
    if not all(machine.ready_at for machine in servers):
        return MachinePlan(remove=surplus)
    if lacking:
        return MachinePlan(add=lacking[:1], remove=surplus)
    missing = [pool for pool in workers for _ in range(pool.count - _count(pool, present))]
    return MachinePlan(add=missing, remove=surplus)


def _count(pool: NodePool, machines: Sequence[Machine]) -> int:
    return sum(machine.pool_id == pool.pk for machine in machines)


def _surplus(pool: NodePool, machines: Sequence[Machine]) -> Sequence[Machine]:
    """The machines to give up: those that are no Ready node first, then the youngest."""
    own = [machine for machine in machines if machine.pool_id == pool.pk]
    by_worth = sorted(own, key=lambda machine: (machine.ready_at is not None, -machine.created_at.timestamp()))
    return by_worth[: max(0, len(own) - pool.count)]
