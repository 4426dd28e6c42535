"""How far the open operations on a guest cluster are, told from what is seen of it now. Repeated it tells nothing
new."""

from collections.abc import Iterator, Sequence

from hub.core.conditions import condition, is_true
from hub.operations import services as operations
from hub.operations.models import Operation, State
from hub.provisioning import conditions as c
from hub.provisioning import steps
from hub.provisioning.choices import Role
from hub.provisioning.models import GuestCluster, Machine

Progress = Iterator[tuple[str, bool, str]]  # step, whether it is done, what is in the way


def tell_operations(guest: GuestCluster, machines: Sequence[Machine]) -> None:
    """Call within the transaction that writes the guest's status."""
    for operation in Operation.objects.filter(target_id=guest.pk, finished_at=None):
        progress = list(_PROGRESS[operation.kind](guest, machines))
        for name, done, message in progress:
            operations.step(operation.pk, name, "succeeded" if done else "running", "" if done else message)
            if not done and operation.kind != steps.CREATE:
                break
        if is_finished(operation.kind, guest):
            operations.finish(operation.pk, State.SUCCEEDED)


def is_finished(kind: str, guest: GuestCluster) -> bool:
    """A deletion ends with its row, not here."""
    return is_true(guest, {steps.CREATE: c.READY, steps.SCALE: c.WORKERS_READY}.get(kind, ""))


def _creation(guest: GuestCluster, machines: Sequence[Machine]) -> Progress:
    ready = is_true(guest, c.INFRASTRUCTURE_READY)
    yield steps.INFRASTRUCTURE, ready, _message(guest, c.INFRASTRUCTURE_READY)
    if not ready:
        return
    founder = next((machine for machine in machines if machine.founder), None)
    founded = is_true(guest, c.REGISTERED) or (founder is not None and founder.ready_at is not None)
    yield steps.FIRST_SERVER, founded, founder.phase if founder else ""
    if not founded:
        return
    servers = is_true(guest, c.CONTROL_PLANE_READY)
    yield steps.FURTHER_SERVERS, servers, _message(guest, c.CONTROL_PLANE_READY)
    yield steps.REGISTRATION, is_true(guest, c.REGISTERED), _message(guest, c.REGISTERED)
    if servers:
        yield steps.WORKERS, is_true(guest, c.WORKERS_READY), _message(guest, c.WORKERS_READY)


def _scaling(guest: GuestCluster, machines: Sequence[Machine]) -> Progress:
    yield steps.WORKERS, is_true(guest, c.WORKERS_READY), _message(guest, c.WORKERS_READY)


def _deletion(guest: GuestCluster, machines: Sequence[Machine]) -> Progress:
    workers = sum(machine.role == Role.WORKER for machine in machines)
    yield steps.UNREGISTRATION, guest.member_id is None, ""
    yield steps.REMOVE_WORKERS, workers == 0, f"{workers} left"
    yield steps.REMOVE_SERVERS, not machines, f"{len(machines) - workers} left"
    yield steps.VERIFICATION, False, _message(guest, c.DELETING)  # the end of the row is the end of the operation


_PROGRESS = {steps.CREATE: _creation, steps.SCALE: _scaling, steps.DELETE: _deletion}


def _message(guest: GuestCluster, type: str) -> str:
    found = condition(guest, type)
    return found.message if found else ""
