"""What a tenant can do with guest clusters: order, scale, delete. Each states an intent in one transaction and returns.

The work is done by the reconcilers of ``workers``; how far it is can be read from the operation that each of these starts.
Who may call them is decided in ``hub.api``.
"""

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.allowances.grants import missing_grants
from hub.allowances.ledger import QuotaExceeded, lock_tenant
from hub.audit import services as audit
from hub.audit.diff import diff
from hub.core.access import SYSTEM, Actor
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.transactions import join_transaction
from hub.core.work import wake
from hub.federation.namespaces import ensure_project_namespace
from hub.operations import services as operations
from hub.operations.models import Operation, State
from kube.names import random_suffix

from .bootstrap.pki import GuestPki
from .bootstrap.tokens import generate_token
from .choices import Role
from .models import GuestCluster, Machine, NodePool
from .orders import (
    CheckedOrder,
    GuestClusterOrder,
    check_bootstrap,
    check_count,
    check_on_infrastructure,
    check_order,
)
from .quotas import guest_amounts, machine_amounts, names_used, order_amounts, reserve_guest
from .registries import check_registry_credentials, name_credentials
from .steps import CREATE, CREATE_STEPS, DELETE, DELETE_STEPS, SCALE, SCALE_STEPS

define("guest_cluster.name_taken", 409, "The project already has a guest cluster of this name")
define("node_pool.servers_fixed", 422, "The number of servers is fixed when the cluster is ordered")
define("node_pool.static_addresses_fixed", 422, "A pool with static addresses has one machine for each of them")


def order_guest_cluster(actor: Actor, order: GuestClusterOrder) -> tuple[GuestCluster, Operation]:
    """Checks the order as a whole, stores it and starts the work.

    Raises HubError ``guest_cluster.invalid`` with all faults as causes, ``guest_cluster.name_taken``, or ``quota.exceeded``
    with every limit that the order would break; then nothing is stored.
    """
    checked = check_order(order)
    credentials = check_registry_credentials(actor, order.project, order.options)
    if GuestCluster.objects.filter(project=order.project, name=order.name).exists():
        raise HubError("guest_cluster.name_taken", pointer="/name", name=order.name)
    guest = _build_guest(order, checked)
    pools = _build_pools(guest, order, checked)
    check_bootstrap(guest, pools, checked.release)  # takes a while, so no lock is held meanwhile
    guest.namespace = namespace = ensure_project_namespace(order.project, order.infrastructure)
    # Outside a transaction, because it asks another system; the namespace's row may stay, it is the project's.
    check_on_infrastructure(order, checked, namespace.name)

    def state_intent() -> Operation:
        _reserve_order(guest, pools)
        operation = operations.start(actor, CREATE, guest, steps=CREATE_STEPS)
        guest.operation_id = operation.pk
        record_insert(guest)
        name_credentials(actor, guest, credentials)
        for pool in pools:
            record_insert(pool)
        audit.record(actor, "create", "guest-clusters", guest, operation_id=operation.pk)
        wake(guest)
        return operation

    try:
        return guest, join_transaction(state_intent)
    except IntegrityError as error:  # another order of the same name was quicker
        raise HubError("guest_cluster.name_taken", pointer="/name", name=order.name) from error


def scale_pool(actor: Actor, pool: NodePool, count: int, *, expected_version: int | None = None) -> Operation:
    """Sets how many workers a pool has.

    Raises HubError: ``node_pool.*``, ``object.being_deleted``, ``object.stale``; for more machines also
    ``guest_cluster.invalid`` with causes ``grant.missing``, and ``quota.exceeded`` with the count that ``would_fit``.
    """
    for fault in check_count(count, "/count", least=0):
        raise fault
    if pool.role == Role.SERVER:
        raise HubError("node_pool.servers_fixed", pointer="/count")
    if pool.static_addresses and count != len(pool.static_addresses):
        raise HubError("node_pool.static_addresses_fixed", pointer="/count", count=len(pool.static_addresses))

    def state_intent() -> Operation:
        lock_tenant(pool.tenant_id)
        guest = GuestCluster.objects.select_for_update().get(pk=pool.guest_id)
        if guest.deletion_requested_at is not None:
            raise HubError("object.being_deleted")
        fresh = NodePool.objects.get(pk=pool.pk)
        before, fresh.count = fresh.count, count
        record_update(fresh, ["count"], expected_version=expected_version)
        if count > before:
            _check_grants(guest, fresh)
            _reserve_growth(guest, fresh, before)
        operation = operations.start(actor, SCALE, guest, steps=SCALE_STEPS)
        guest.operation_id = operation.pk
        record_update(guest, ["operation_id"], new_generation=True)
        changes = diff({"count": before}, {"count": count})
        audit.record(actor, "update", "node-pools", fresh, operation_id=operation.pk, changes=changes)
        wake(guest)
        return operation

    operation = join_transaction(state_intent)
    pool.refresh_from_db(fields=["count", "version", "updated_at"])
    return operation


def delete_guest_cluster(actor: Actor, guest: GuestCluster, *, expected_version: int | None = None) -> Operation:
    """Asks for the deletion of the cluster with all its machines and disks; asked again it returns the same operation."""
    with transaction.atomic():
        locked = GuestCluster.objects.select_for_update().get(pk=guest.pk)
        if locked.deletion_requested_at is not None and locked.operation_id is not None:
            return Operation.objects.get(pk=locked.operation_id)
        operation = operations.start(actor, DELETE, locked, steps=DELETE_STEPS)
        locked.deletion_requested_at = timezone.now()
        locked.operation_id = operation.pk
        fields = ["deletion_requested_at", "operation_id"]
        record_update(locked, fields, expected_version=expected_version, new_generation=True)
        for earlier in Operation.objects.filter(target_id=locked.pk, finished_at=None).exclude(pk=operation.pk):
            operations.finish(earlier.pk, State.CANCELLED)
        audit.record(actor, "delete", "guest-clusters", locked, operation_id=operation.pk)
        wake(locked)
    return operation


def add_machine(guest: GuestCluster, pool: NodePool, *, founder: bool = False) -> Machine:
    """Chooses and stores the name of a new machine; the reconciler creates it. Call within a transaction."""
    taken = [m.static_address for m in pool.machines.all() if m.static_address]
    free = [address for address in pool.static_addresses if address not in taken]
    machine = Machine(
        guest=guest,
        pool=pool,
        tenant_id=guest.tenant_id,
        name=f"{guest.name}-{pool.name}-{random_suffix(5)}",
        role=pool.role,
        founder=founder,
        static_address=free[0] if free else None,
    )
    record_insert(machine)
    operations.log("ordered", machine_id=machine.pk, tenant_id=guest.tenant_id, step="order")
    wake(machine)
    return machine


def request_machine_deletion(machine: Machine) -> None:
    """Asks for the removal of one machine; repeated it changes nothing. Call within a transaction."""
    if machine.deletion_requested_at is not None:
        return
    machine.deletion_requested_at = timezone.now()
    record_update(machine, ["deletion_requested_at"], new_generation=True)
    audit.record(
        SYSTEM,
        "delete",
        "machines",
        machine,
        project_id=machine.guest.project_id,
        cluster_id=machine.guest.infrastructure_id,
        operation_id=machine.guest.operation_id,
    )
    operations.log("removal asked for", machine_id=machine.pk, tenant_id=machine.tenant_id, step="removal")
    wake(machine)


def _reserve_order(guest: GuestCluster, pools: Sequence[NodePool]) -> None:
    try:
        reserve_guest(guest, order_amounts(pools))
    except QuotaExceeded as error:
        raise QuotaExceeded(error.excesses, pointer="/pools") from None


def _check_grants(guest: GuestCluster, pool: NodePool) -> None:
    """What the pool uses must still be granted when it grows; what runs already keeps running."""
    faults = missing_grants(guest.project, guest.infrastructure, list(names_used(pool.settings, "/settings")))
    if faults:
        raise HubError("guest_cluster.invalid", causes=faults)


def _reserve_growth(guest: GuestCluster, pool: NodePool, before: int) -> None:
    try:
        reserve_guest(guest, guest_amounts(guest.pk))
    except QuotaExceeded as error:
        now = max(before, pool.machines.filter(deletion_requested_at=None).count())
        would_fit = now + error.how_many(machine_amounts(pool.settings))
        raise QuotaExceeded(error.excesses, pointer="/count", would_fit=would_fit) from None


def _build_guest(order: GuestClusterOrder, checked: CheckedOrder) -> GuestCluster:
    """The row without its namespace, which is made when the order is known to be good."""
    guest = GuestCluster(
        tenant=order.project.tenant,
        project=order.project,
        name=order.name,
        infrastructure=order.infrastructure,
        driver=order.driver,
        distribution=order.distribution,
        kubernetes_version=checked.release.version,
        network=dict(order.network),
        options=dict(order.options),
    )
    guest.pki = GuestPki.generate(order.name).to_json()
    guest.server_token = generate_token()
    guest.agent_token = generate_token()
    return guest


def _build_pools(guest: GuestCluster, order: GuestClusterOrder, checked: CheckedOrder) -> Sequence[NodePool]:
    return [
        NodePool(
            guest=guest,
            tenant=guest.tenant,
            name=pool.name,
            role=pool.role,
            count=pool.count,
            settings=dict(settings),
            labels=dict(pool.labels),
            taints=[dict(taint) for taint in pool.taints],
            static_addresses=[dict(address) for address in pool.static_addresses],
        )
        for pool, settings in zip(order.pools, checked.settings, strict=True)
    ]
