"""One machine: from a stored name to a Ready node, and back to nothing.

Each reconcile looks at the infrastructure and at the guest's API, does the next step, and says when to look again.
The steps are the functions of ``BRING_UP``, in order; each returns None when it is done, or the seconds after which
to look again. What a machine is part of is the guest cluster's business (``guest_cluster.py``), which is woken at
every milestone.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from hub.core.changes import record_delete, record_update
from hub.core.conditions import STUCK, condition, is_true, set_condition, set_phase
from hub.core.environment import environment
from hub.core.models import hub_identity
from hub.core.work import Claim, wake_by_id
from hub.federation.clients import ClusterUnavailable
from hub.operations import services as operations
from hub.operations.models import Level
from hub.provisioning import conditions as c
from hub.provisioning.bootstrap.cloudinit import render_network_data, render_user_data
from hub.provisioning.bootstrap.pki import GuestPki
from hub.provisioning.bootstrap.releases import get_release, load_releases
from hub.provisioning.choices import Role
from hub.provisioning.drivers import open_machine_driver
from hub.provisioning.guest_api import API_PORT, find_guest_client
from hub.provisioning.machine_bootstrap import build_bootstrap
from hub.provisioning.models import GuestCluster, Machine
from hub.provisioning.quotas import settle_guest
from hub.provisioning.registries import resolve_registries
from hub.provisioning.services import request_machine_deletion
from kube.errors import KubeError
from kube.resources import NODES
from node_driver.base import NodeDriver
from node_driver.errors import DriverError, MachineNotFound
from node_driver.types import MachineOrder, MachinePhase, MachineRef, Owner
from workers.failpoints import failpoint
from workers.reconcilers import stuck
from workers.reconcilers.contract import Outcome, Reconciler, growing_pause, jittered

LOOK_SOON = 1.0  # something is on its way and nothing tells us when it is there
LOOK_LATER = 5.0  # the watcher tells us; this is only for the case that it does not
RETRY = 5.0
RETRY_FIRST = 2.0
SETTLED = 60.0
VANISHED = "Vanished"


@dataclass
class MachineScope:
    """What one reconcile knows of its machine, and what it has to write."""

    claim: Claim[Machine]
    guest: GuestCluster
    driver: NodeDriver[Any]
    changed: set[str] = field(default_factory=set)
    milestone: bool = False
    blocked: bool = False

    @property
    def machine(self) -> Machine:
        return self.claim.row

    @property
    def ref(self) -> MachineRef:
        identity = hub_identity()
        owner = Owner(str(identity.hub_id), identity.epoch, str(self.machine.pk), str(self.machine.tenant_id))
        return MachineRef(self.guest.namespace.name, self.machine.name, owner)

    def set(self, **values: object) -> None:
        """Changes fields of the row, in memory; what a guest cluster waits for is a milestone."""
        for name, value in values.items():
            if getattr(self.machine, name) != value:
                setattr(self.machine, name, value)
                self.changed.add(name)
                self.milestone = True

    def tell(self, type: str, status: bool, reason: str, message: str = "") -> None:
        """Sets a condition; what is new is also kept as a line of the machine's log."""
        if set_condition(self.machine, type, status, reason, message):
            self.changed.add("conditions")
            self.log(f"{type} is {status}: {reason}{' ' + message if message else ''}", step=type)

    def log(self, text: str, *, step: str, level: Level = Level.INFO) -> None:
        operations.log(
            text, machine_id=self.machine.pk, tenant_id=self.machine.tenant_id, attempt=self.machine.attempt, step=step,
            level=level,
        )  # fmt: skip


class MachineReconciler(Reconciler[Machine]):
    model = Machine

    def reconcile(self, claim: Claim[Machine]) -> Outcome:
        guest = GuestCluster.objects.select_related("namespace__cluster", "infrastructure").get(pk=claim.row.guest_id)
        try:
            scope = MachineScope(claim, guest, open_machine_driver(guest.driver, guest.namespace))
        except ClusterUnavailable as error:
            return _tell_unavailable(claim, error)
        steps = REMOVE if claim.row.deletion_requested_at is not None else BRING_UP
        seconds: float | None = None
        try:
            for step in steps:
                if (seconds := step(scope)) is not None:
                    break
        except DriverError as error:
            seconds = _tell_driver_error(scope, error)
        if scope.machine.deletion_requested_at is not None and seconds is None:
            _forget(scope)
            return Outcome(None)
        _write_status(scope)
        return Outcome(jittered(SETTLED) if seconds is None else seconds)


def ensure_created(scope: MachineScope) -> float | None:
    """The infrastructure has the machine. The name was stored long ago, so a create that was cut short is found
    again."""
    machine = scope.machine
    if machine.external_id:
        return None
    join_address = None
    if not machine.founder:
        server = scope.guest.machines.joined_servers().first()
        if server is None:
            scope.tell(c.CREATED, False, c.WAITING, "no server to join has come up yet")
            return LOOK_LATER
        join_address = server.address
    order = _build_order(scope, join_address)
    failpoint("machine.create.before_call")
    view = scope.driver.create(order)
    failpoint("machine.create.after_call_before_commit")
    scope.set(external_id=view.external_id)
    scope.tell(c.CREATED, True, c.DONE)
    return None


def observe_machine(scope: MachineScope) -> float | None:
    """It runs and its address is known."""
    try:
        view = scope.driver.get(scope.ref)
    except MachineNotFound:
        return _replace_vanished(scope)
    running = view.phase == MachinePhase.RUNNING
    scope.tell(c.RUNNING, running, view.reason or (c.DONE if running else c.WAITING), view.message or "")
    if not view.addresses:
        scope.tell(c.ADDRESS_KNOWN, False, view.reason or c.WAITING, view.message or "")
        return LOOK_LATER
    scope.set(address=view.addresses[0])
    scope.tell(c.ADDRESS_KNOWN, True, c.DONE, view.addresses[0])
    return None


def observe_node(scope: MachineScope) -> float | None:
    """Its node has joined the guest and is Ready."""
    client = find_guest_client(scope.guest)
    if client is None:
        return LOOK_LATER
    with closing(client):
        try:
            node = client.find(NODES, scope.machine.name)
        except KubeError as error:
            place = f"{scope.guest.machines.joined_servers().count()} servers, port {API_PORT}"
            scope.tell(
                c.JOINED if not scope.machine.joined_at else c.NODE_READY, False, c.UNREACHABLE, f"{error} ({place})"
            )
            return LOOK_SOON if not scope.machine.joined_at else RETRY
    if node is None:
        scope.tell(c.JOINED, False, c.WAITING, "the node has not registered yet")
        return LOOK_SOON
    scope.set(joined_at=scope.machine.joined_at or timezone.now())
    scope.tell(c.JOINED, True, c.DONE)
    ready = _node_condition(node, "Ready")
    if ready.get("status") != "True":
        scope.set(ready_at=None)
        scope.tell(c.NODE_READY, False, ready.get("reason") or c.WAITING, ready.get("message") or "")
        return LOOK_SOON
    scope.set(ready_at=scope.machine.ready_at or timezone.now())
    scope.tell(c.NODE_READY, True, c.DONE, str(node["status"].get("nodeInfo", {}).get("kubeletVersion", "")))
    return None


def forget_bootstrap(scope: MachineScope) -> float | None:
    """Once the machine is a node nobody needs its join material any more: it leaves the infrastructure's Secret."""
    if scope.machine.bootstrap_forgotten_at is None:
        scope.driver.forget_bootstrap(scope.ref)
        scope.set(bootstrap_forgotten_at=timezone.now())
        scope.log("join material taken out of the infrastructure's Secret", step="bootstrap")
    return None


def cordon_node(scope: MachineScope) -> float | None:
    """New pods go elsewhere. A guest that is deleted as a whole, or does not answer, is not waited for."""
    if scope.guest.deletion_requested_at is None and scope.machine.joined_at is not None:
        client = find_guest_client(scope.guest)
        if client is not None:
            with closing(client):
                try:
                    client.patch(NODES, scope.machine.name, {"spec": {"unschedulable": True}})
                except KubeError as error:
                    scope.log(f"the node could not be cordoned: {error}", step="removal", level=Level.WARNING)
    return None


def delete_machine(scope: MachineScope) -> float | None:
    """Nothing of the machine is left on the infrastructure, and this was seen."""
    failpoint("machine.delete.before_call")
    remains = scope.driver.delete(scope.ref)
    failpoint("machine.delete.after_call_before_commit")
    if not remains.gone:
        scope.tell(c.DELETING, True, c.WAITING, "still there: " + ", ".join(remains.objects))
        return LOOK_SOON
    return None


def delete_node(scope: MachineScope) -> float | None:
    """The guest forgets the node, so that no dead one stays and its name is free."""
    if scope.guest.deletion_requested_at is not None or scope.machine.joined_at is None:
        return None
    client = find_guest_client(scope.guest)
    if client is None:
        return None
    with closing(client):
        try:
            client.delete(NODES, scope.machine.name)
        except KubeError as error:
            scope.tell(c.DELETING, True, c.UNREACHABLE, f"the node could not be deleted: {error}")
            return RETRY
    return None


Step = Callable[[MachineScope], float | None]
BRING_UP: tuple[Step, ...] = (ensure_created, observe_machine, observe_node, forget_bootstrap)
REMOVE: tuple[Step, ...] = (cordon_node, delete_machine, delete_node)


def _build_order(scope: MachineScope, join_address: str | None) -> MachineOrder:
    machine, guest = scope.machine, scope.guest
    release = get_release(load_releases(environment().releases_file), guest.distribution, guest.kubernetes_version)
    pki = GuestPki.from_json(guest.pki.reveal())
    node = build_bootstrap(guest, pki, machine.pool, machine, release, join_address, resolve_registries(guest))
    keys = node.ssh_authorized_keys
    return MachineOrder(
        ref=scope.ref,
        cluster_name=guest.name,
        pool_name=machine.pool.name,
        settings=machine.pool.settings,
        user_data=render_user_data(node),
        network_data=render_network_data(node.static_address),
        ssh_public_key=keys[0] if keys else None,
        static_addresses=node.static_address.node_ips if node.static_address else (),
    )


def _replace_vanished(scope: MachineScope) -> float | None:
    """Somebody removed the machine behind our back: one that never joined is made again, a worker gives way to a new one.

    A server that was a member of etcd is not replaced by itself: whether the cluster can spare it is for people to say.
    """
    machine = scope.machine
    scope.tell(c.CREATED, False, VANISHED, "the machine is gone from the infrastructure")
    if machine.joined_at is None:
        scope.set(external_id="", address="", attempt=machine.attempt + 1)
        return LOOK_SOON
    scope.set(ready_at=None)
    scope.tell(c.NODE_READY, False, VANISHED, "the machine is gone from the infrastructure")
    if machine.role == Role.WORKER:
        with transaction.atomic():
            request_machine_deletion(machine)
        return LOOK_SOON
    scope.blocked = True
    stuck.report(machine, VANISHED, "platform", "server_lost", "the server's machine is gone from the infrastructure")
    scope.changed.add("conditions")
    return RETRY


def _tell_unavailable(claim: Claim[Machine], error: ClusterUnavailable) -> Outcome:
    """The hub may not use the infrastructure cluster now; its own reconciler says why and sees to it."""
    machine = claim.row
    aspect = _aspect_under_way(machine)
    if set_condition(
        machine, aspect, aspect == c.DELETING, error.reason, "the infrastructure cluster cannot be used now"
    ):
        with transaction.atomic():
            record_update(machine, ["conditions"], claim=claim)
    return Outcome(RETRY)


def _aspect_under_way(machine: Machine) -> str:
    """The condition that a failure of the infrastructure belongs to now."""
    if machine.deletion_requested_at is not None:
        return c.DELETING
    return c.RUNNING if machine.external_id else c.CREATED


def _tell_driver_error(scope: MachineScope, error: DriverError) -> float:
    aspect = _aspect_under_way(scope.machine)
    scope.tell(aspect, aspect == c.DELETING, error.reason or type(error).__name__, error.message)
    if not error.retryable:
        scope.blocked = True
        if stuck.report_driver_error(scope.machine, error):
            scope.changed.add("conditions")
        return SETTLED
    told = condition(scope.machine, aspect)
    since = datetime.fromisoformat(told.last_transition) if told else timezone.now()
    return getattr(error, "retry_after", None) or growing_pause(since, least=RETRY_FIRST, most=SETTLED)


def _node_condition(node: dict[str, Any], type: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = node.get("status", {}).get("conditions") or []
    return next((entry for entry in found if entry.get("type") == type), {})


def _write_status(scope: MachineScope) -> None:
    """Written on every exit, with the phase and the deadlines that follow from the conditions."""
    machine = scope.machine
    if not scope.blocked and stuck.judge_machine(machine):
        scope.changed.add("conditions")
    if set_phase(machine, phase_of(machine)):
        scope.changed |= {"phase", "phase_since"}
    if machine.observed_generation != machine.generation:
        machine.observed_generation = machine.generation
        scope.changed.add("observed_generation")
    if not scope.changed:
        return
    with transaction.atomic():
        record_update(machine, sorted(scope.changed), claim=scope.claim)
        if scope.milestone:
            wake_by_id(GuestCluster, machine.guest_id)
    failpoint("machine.status.after_commit")


def _forget(scope: MachineScope) -> None:
    """The row goes last; its log lines stay."""
    scope.log("nothing of the machine is left", step="removal")
    with transaction.atomic():
        record_delete(scope.machine, claim=scope.claim)
        wake_by_id(GuestCluster, scope.machine.guest_id)
        settle_guest(scope.machine.guest_id)


def phase_of(machine: Machine) -> str:
    """One word for people."""
    if machine.deletion_requested_at is not None:
        return "Deleting"
    if is_true(machine, STUCK):
        return "Stuck"
    steps = ((c.NODE_READY, "Ready"), (c.JOINED, "Joined"), (c.ADDRESS_KNOWN, "Joining"), (c.CREATED, "Booting"))
    return next((phase for type, phase in steps if is_true(machine, type)), "Creating")
