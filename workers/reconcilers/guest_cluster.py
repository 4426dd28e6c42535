"""One guest cluster: its namespace, the machines it should have, its registration as a member, and its end.

Machines look after themselves (``machine.py``) and wake their cluster at every milestone; this reconciler decides
which of them there should be and says how far the whole is. It waits for nothing: each step either is done or says
when to look again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from hub.core.changes import record_delete, record_update
from hub.core.conditions import STUCK, condition, is_true, set_condition, set_phase
from hub.core.models import hub_identity
from hub.core.work import Claim
from hub.federation import services as federation
from hub.federation.clients import ClusterUnavailable
from hub.operations import services as operations
from hub.operations.models import Operation, State
from hub.provisioning import conditions as c
from hub.provisioning.choices import Role
from hub.provisioning.drivers import open_machine_driver
from hub.provisioning.guest_api import find_servers, guest_credentials
from hub.provisioning.models import GuestCluster, Machine, NodePool
from hub.provisioning.quotas import release_guest, settle_guest
from hub.provisioning.services import add_machine, request_machine_deletion
from node_driver.errors import DriverError
from workers.failpoints import failpoint
from workers.reconcilers import stuck
from workers.reconcilers.contract import Outcome, Reconciler, jittered
from workers.reconcilers.guest_progress import tell_operations
from workers.reconcilers.machine_plan import plan_machines

LOOK_SOON = 1.0
LOOK_LATER = 10.0  # machines wake their cluster; this is only for the case that a wake was lost
SETTLED = 60.0


@dataclass
class GuestScope:
    """What one reconcile knows of its cluster, and what it has to write."""

    claim: Claim[GuestCluster]
    pools: Sequence[NodePool]
    machines: Sequence[Machine]
    changed: set[str] = field(default_factory=set)

    @property
    def guest(self) -> GuestCluster:
        return self.claim.row

    def of_role(self, role: Role) -> Sequence[Machine]:
        return [machine for machine in self.machines if machine.role == role]

    def wanted(self, role: Role) -> int:
        return sum(pool.count for pool in self.pools if pool.role == role)

    def tell(self, type: str, status: bool, reason: str = c.DONE, message: str = "") -> None:
        if set_condition(self.guest, type, status, reason, message):
            self.changed.add("conditions")


class GuestClusterReconciler(Reconciler[GuestCluster]):
    model = GuestCluster

    def reconcile(self, claim: Claim[GuestCluster]) -> Outcome:
        pools = list(claim.row.pools.all())
        scope = GuestScope(claim, pools, list(claim.row.machines.select_related("pool")))
        deleting = claim.row.deletion_requested_at is not None
        seconds: float | None = None
        for step in REMOVE if deleting else BRING_UP:
            if (seconds := step(scope)) is not None:
                break
        if deleting and seconds is None:
            _forget(scope)
            return Outcome(None)
        _write_status(scope)
        return Outcome(jittered(SETTLED) if seconds is None else seconds)


def await_namespace(scope: GuestScope) -> float | None:
    """The project's namespace is there; its own reconciler makes it."""
    namespace = scope.guest.namespace
    ready = condition(namespace, "Ready")
    if ready is None or ready.status != "True":
        scope.tell(c.INFRASTRUCTURE_READY, False, ready.reason if ready else c.WAITING, ready.message if ready else "")
        return LOOK_SOON
    scope.tell(c.INFRASTRUCTURE_READY, True)
    return None


def place_machines(scope: GuestScope) -> float | None:
    """As many machines as the pools say: names are stored here, all else is the machines' own work."""
    plan = plan_machines(scope.pools, scope.machines)
    if plan.add or plan.remove or scope.guest.observed_generation != scope.guest.generation:
        failpoint("guest_cluster.plan.before_commit")
        scope.guest.observed_generation = scope.guest.generation
        with transaction.atomic():
            # Writing the guest under the claim first makes a plan of a holder that lost its lease fail as a whole.
            record_update(scope.guest, ["observed_generation"], claim=scope.claim)
            for pool in plan.add:
                add_machine(scope.guest, pool, founder=plan.founder)
            for machine in plan.remove:
                request_machine_deletion(machine)
            settle_guest(scope.guest.pk)  # a pool that has become smaller before its machines were made
        failpoint("guest_cluster.plan.after_commit")
        scope.machines = list(scope.guest.machines.select_related("pool"))
    for role, type in ((Role.SERVER, c.CONTROL_PLANE_READY), (Role.WORKER, c.WORKERS_READY)):
        machines, wanted = scope.of_role(role), scope.wanted(role)
        ready = sum(machine.ready_at is not None for machine in machines)
        done = ready == wanted == len(machines)
        scope.tell(type, done, c.DONE if done else c.WAITING, f"{ready} of {wanted} are Ready")
    return None


def register_member(scope: GuestScope) -> float | None:
    """As soon as the API answers the guest becomes a member of the hub; its addresses follow its servers."""
    guest = scope.guest
    servers = find_servers(guest)
    if not any(machine.founder and machine.ready_at for machine in scope.machines) and guest.member is None:
        scope.tell(c.REGISTERED, False, c.WAITING, "the first server is not Ready yet")
        return LOOK_LATER
    if guest.member is None:
        with transaction.atomic():
            guest.member = federation.register_guest_cluster(
                guest.project, guest.name, guest_credentials(guest, servers), owner_id=guest.pk
            )
            record_update(guest, ["member"], claim=scope.claim)
    elif servers:
        federation.set_endpoints(guest.member, servers)
        if federation.needs_enrolment(guest.member):
            federation.enrol_again(guest.member, guest_credentials(guest, servers))
    ready = condition(guest.member, "Ready")
    done = ready is not None and ready.status == "True"
    scope.tell(
        c.REGISTERED, done, c.DONE if done else (ready.reason if ready else c.WAITING), ready.message if ready else ""
    )
    return None if done else LOOK_SOON


def await_machines(scope: GuestScope) -> float | None:
    return None if is_true(scope.guest, c.CONTROL_PLANE_READY) and is_true(scope.guest, c.WORKERS_READY) else LOOK_LATER


def unregister_member(scope: GuestScope) -> float | None:
    """The hub lets go of the guest first, so that nobody is sent to a cluster that is being taken apart."""
    scope.tell(c.READY, False, c.DELETING)
    scope.tell(c.DELETING, True, "Unregistering")
    if scope.guest.member is not None:
        with transaction.atomic():
            member, scope.guest.member = scope.guest.member, None
            record_update(scope.guest, ["member"], claim=scope.claim)
            federation.forget_guest_cluster(member)
    return None


def remove_workers(scope: GuestScope) -> float | None:
    return _remove(scope, Role.WORKER, "RemovingWorkers")


def remove_servers(scope: GuestScope) -> float | None:
    return _remove(scope, Role.SERVER, "RemovingServers")


def verify_nothing_left(scope: GuestScope) -> float | None:
    """Asks the infrastructure once more whether a machine of this cluster exists there."""
    guest = scope.guest
    scope.tell(c.DELETING, True, "Verifying")
    known = {str(pk) for pk in Machine.objects.exclude(guest=guest).values_list("pk", flat=True)}
    try:
        driver = open_machine_driver(guest.driver, guest.namespace)
        views = driver.list_owned(guest.namespace.name, str(hub_identity().hub_id))
    except ClusterUnavailable as error:
        scope.tell(c.DELETING, True, error.reason, "the infrastructure cluster cannot be used now")
        return LOOK_LATER
    except DriverError as error:
        scope.tell(c.DELETING, True, error.reason or type(error).__name__, error.message)
        return LOOK_LATER
    left = [
        v.ref.name for v in views if v.ref.owner.machine_id not in known and v.ref.name.startswith(f"{guest.name}-")
    ]
    if left:
        scope.tell(c.DELETING, True, "Verifying", "still there: " + ", ".join(sorted(left)))
        return LOOK_LATER
    return None


Step = Callable[[GuestScope], float | None]
BRING_UP: tuple[Step, ...] = (await_namespace, place_machines, register_member, await_machines)
REMOVE: tuple[Step, ...] = (unregister_member, remove_workers, remove_servers, verify_nothing_left)


def _remove(scope: GuestScope, role: Role, reason: str) -> float | None:
    machines = scope.of_role(role)
    if not machines:
        return None
    scope.tell(c.DELETING, True, reason, f"{len(machines)} left")
    with transaction.atomic():
        for machine in machines:
            request_machine_deletion(machine)
    return LOOK_LATER


def _forget(scope: GuestScope) -> None:
    guest = scope.guest
    with transaction.atomic():
        tell_operations(guest, scope.machines)
        for operation in Operation.objects.filter(target_id=guest.pk, finished_at=None):
            operations.finish(operation.pk, State.SUCCEEDED)
        for pool in scope.pools:
            record_delete(pool)
        record_delete(guest, claim=scope.claim)
        release_guest(guest.pk)


def _write_status(scope: GuestScope) -> None:
    """Written on every exit: Ready in one word, the phase, the observed generation, and the steps of open
    operations."""
    guest = scope.guest
    if guest.deletion_requested_at is None:
        missing = [type for type in _PARTS if not is_true(guest, type)]
        scope.tell(c.READY, not missing, c.WAITING if missing else c.DONE, ", ".join(missing))
    if stuck.judge_guest(guest, scope.machines):
        scope.changed.add("conditions")
    if set_phase(guest, phase_of(guest)):
        scope.changed |= {"phase", "phase_since"}
    if guest.observed_generation != guest.generation:
        guest.observed_generation = guest.generation
        scope.changed.add("observed_generation")
    with transaction.atomic():
        if scope.changed:
            record_update(guest, sorted(scope.changed), claim=scope.claim)
        tell_operations(guest, scope.machines)
    failpoint("guest_cluster.status.after_commit")


_PARTS = (c.INFRASTRUCTURE_READY, c.CONTROL_PLANE_READY, c.WORKERS_READY, c.REGISTERED)


def phase_of(guest: GuestCluster) -> str:
    """One word for people."""
    if guest.deletion_requested_at is not None:
        return "Deleting"
    if is_true(guest, c.READY):
        return "Ready"
    if is_true(guest, STUCK):
        return "Stuck"
    return "Updating" if is_true(guest, c.REGISTERED) else "Provisioning"
