"""The condition ``Stuck``: what has been on its way for longer than it may, who can act, and how.

Every transient phase has a deadline (``hub.core.environment``). Past it the reconciler goes on trying; the condition
is there for people. It goes when the row moves on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from django.utils import timezone

from hub.core.conditions import STUCK, clear_condition, condition, is_true, set_condition
from hub.core.environment import environment
from hub.core.models import Reconciled
from hub.provisioning import conditions as c
from hub.provisioning.models import GuestCluster, Machine
from node_driver.errors import DriverError

OwnerKind = Literal["tenant", "platform", "infrastructure"]

# Errors of a driver that end only when somebody changes something: who that is.
DRIVER_ERROR_OWNERS: dict[str, OwnerKind] = {
    "invalid_settings": "tenant",
    "image_missing": "tenant",
    "network_missing": "tenant",
    "rejected": "tenant",
    "quota_exceeded": "platform",
    "ownership_conflict": "platform",
    "access_denied": "platform",
}


def report(row: Reconciled, reason: str, owner: OwnerKind, action: str, message: str = "") -> bool:
    """Says that the row does not move by itself; tells whether that is news."""
    return set_condition(row, STUCK, True, reason, message, {"owner": owner, "action": action})


def report_driver_error(row: Reconciled, error: DriverError) -> bool:
    owner = DRIVER_ERROR_OWNERS.get(error.code, "infrastructure")
    return report(row, type(error).__name__, owner, error.code, error.message)


def judge_machine(machine: Machine) -> bool:
    """Holds the machine against its deadlines; tells whether the condition changed."""
    deadlines = environment()
    if machine.deletion_requested_at is not None:
        return _judge(machine, machine.deletion_requested_at, deadlines.deletion_deadline, "deletion_slow", c.DELETING)
    if is_true(machine, c.NODE_READY):
        return clear_condition(machine, STUCK)
    if is_true(machine, c.ADDRESS_KNOWN):
        since = _since(machine, c.ADDRESS_KNOWN)
        return _judge(machine, since, deadlines.machine_join_deadline, "node_missing", c.JOINED)
    return _judge(machine, machine.created_at, deadlines.machine_start_deadline, "address_missing", c.ADDRESS_KNOWN)


def judge_guest(guest: GuestCluster, machines: Sequence[Machine]) -> bool:
    """A cluster is stuck when one of its machines is, or its namespace does not come; tells whether that changed."""
    deadlines = environment()
    blocked = next((machine for machine in machines if is_true(machine, STUCK)), None)
    if blocked is not None and (cause := condition(blocked, STUCK)) is not None:
        message = f"machine {blocked.name}: {cause.message}"
        return set_condition(guest, STUCK, True, cause.reason, message, {**cause.params, "machine": str(blocked.pk)})
    if guest.deletion_requested_at is not None:
        return _judge(guest, guest.deletion_requested_at, deadlines.deletion_deadline, "deletion_slow", c.DELETING)
    if is_true(guest, c.INFRASTRUCTURE_READY):
        return clear_condition(guest, STUCK)
    since = guest.created_at
    return _judge(guest, since, deadlines.infrastructure_deadline, "namespace_missing", c.INFRASTRUCTURE_READY)


def _judge(row: Reconciled, since: datetime, seconds: int, action: str, waited_for: str) -> bool:
    """``waited_for``: the condition whose message says what is in the way."""
    if timezone.now() - since < timedelta(seconds=seconds):
        return clear_condition(row, STUCK)
    blocking = condition(row, waited_for)
    message = blocking.message if blocking else ""
    return report(row, c.DEADLINE_EXCEEDED, "infrastructure", action, message)


def _since(row: Reconciled, type: str) -> datetime:
    found = condition(row, type)
    return datetime.fromisoformat(found.last_transition) if found else row.created_at
