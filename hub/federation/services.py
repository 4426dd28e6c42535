"""Writes of federation: what people and other apps ask of clusters. Those of project namespaces are in ``namespaces``.

They state an intent and wake its reconciler; what is observed is written by the reconcilers alone. Whether an actor may
do this is asked before, of ``hub.core.access``. Each write leaves its audit event in the same transaction.
"""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import SYSTEM, Actor
from hub.core.address_guard import address_guard
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.conditions import condition, set_condition, set_phase
from hub.core.errors import HubError, define
from hub.core.work import wake
from hub.operations import services as operations
from hub.operations.models import Operation, State
from hub.tenancy.contents import check_empty
from hub.tenancy.models import Project
from kube.credentials import Credentials
from kube.errors import InvalidKubeconfig
from kube.kubeconfig import parse_kubeconfig
from kube.names import check_dns_label, is_label_key, is_label_value

from .checks import CHECKS, find_check, pending_checks
from .clients import forget_clients
from .conditions import CREDENTIALS_REFUSED, IMPORTING, READY, REGISTERED
from .models import Cluster, ClusterKind, ProjectNamespace

IMPORT_OPERATION = "cluster.import"
DELETE_OPERATION = "cluster.delete"
LABELS_LIMIT = 64
RESERVED_PREFIX = "paddock.io"

define("cluster.name_taken", 409, "There is a cluster of this name already")
define("cluster.name_invalid", 400, "The name of the cluster is not valid")
define("cluster.kind_unknown", 422, "There is no such kind of cluster")
define("cluster.kubeconfig_refused", 422, "The kubeconfig is not one that Paddock takes")
define("cluster.labels_invalid", 400, "The labels are not valid")
define("cluster.is_guest", 409, "The cluster is a guest: delete the guest cluster")


def import_cluster(
    actor: Actor, name: str, kind: str, kubeconfig: str, labels: Mapping[str, str] | None = None
) -> Cluster:
    """A shared cluster to be registered with the pasted kubeconfig, which is dropped when that is done.

    The steps show in ``checks`` and in the operation ``operation_id``. Raises HubError ``cluster.kubeconfig_refused``
    (params ``problem``, ``message`` and ``fix``), ``cluster.name_invalid``, ``cluster.name_taken``,
    ``cluster.kind_unknown`` or ``cluster.labels_invalid``.
    """
    if kind not in ClusterKind.values:
        raise HubError("cluster.kind_unknown", pointer="/kind", known=ClusterKind.values)
    cluster = Cluster(
        name=_checked_name(name), kind=kind, labels=_checked_labels(labels or {}), checks=pending_checks()
    )
    _take_kubeconfig(cluster, kubeconfig)
    _show_importing(cluster)
    try:
        with transaction.atomic():
            operation = operations.start(actor, IMPORT_OPERATION, cluster, steps=CHECKS)
            cluster.operation_id = operation.pk
            record_insert(cluster)
            record(
                actor,
                "create",
                "clusters",
                cluster,
                cluster_id=cluster.pk,
                operation_id=operation.pk,
                changes=diff({}, {"kind": kind, "labels": cluster.labels, "kubeconfig": kubeconfig}),
            )
            wake(cluster)
    except IntegrityError as error:
        raise HubError("cluster.name_taken", pointer="/name", name=name) from error
    return cluster


def reimport_cluster(
    actor: Actor, cluster: Cluster, kubeconfig: str, *, expected_version: int | None = None
) -> Operation:
    """Registers the hub anew with a fresh kubeconfig: after its credentials were lost, or to be given new rights.

    It must be the same cluster (FLT-25). Raises HubError ``cluster.kubeconfig_refused``, ``object.being_deleted``,
    StaleVersion.
    """
    _refuse_deleting(cluster)
    _take_kubeconfig(cluster, kubeconfig)
    cluster.checks = pending_checks()
    with transaction.atomic():
        operation = operations.start(actor, IMPORT_OPERATION, cluster, steps=CHECKS)
        cluster.operation_id = operation.pk
        fields = ["pasted_kubeconfig", *_ADDRESS_FIELDS, "checks", "operation_id"]
        record_update(cluster, fields, expected_version=expected_version, new_generation=True)
        record(
            actor,
            "update",
            "clusters",
            cluster,
            cluster_id=cluster.pk,
            operation_id=operation.pk,
            changes=diff({}, {"kubeconfig": kubeconfig}),
        )
        wake(cluster)
    return operation


def update_labels(
    actor: Actor, cluster: Cluster, labels: Mapping[str, str], *, expected_version: int | None = None
) -> Cluster:
    """Replaces the cluster's labels. Raises HubError ``cluster.labels_invalid``, StaleVersion."""
    before, cluster.labels = cluster.labels, _checked_labels(labels)
    with transaction.atomic():
        record_update(cluster, ["labels"], expected_version=expected_version)
        changes = diff({"labels": before}, {"labels": cluster.labels})
        record(actor, "update", "clusters", cluster, cluster_id=cluster.pk, changes=changes)
    return cluster


def request_cluster_deletion(actor: Actor, cluster: Cluster, *, expected_version: int | None = None) -> Operation:
    """Has the hub's objects taken out of the member and then the row deleted.

    Raises HubError ``object.in_use`` while guests or project namespaces are there, ``cluster.is_guest`` for a guest's
    own cluster, StaleVersion.
    """
    if cluster.tenant_id is not None:
        raise HubError("cluster.is_guest", name=cluster.name)
    with transaction.atomic():
        locked = Cluster.objects.select_for_update(no_key=True).get(pk=cluster.pk)
        if locked.deletion_requested_at is not None and locked.operation_id is not None:
            return Operation.objects.get(pk=locked.operation_id)  # asked before: the same operation
        check_empty(cluster)
        if cluster.operation_id is not None:
            operations.finish(cluster.operation_id, State.CANCELLED)
        operation = operations.start(actor, DELETE_OPERATION, cluster, steps=("unregister",))
        cluster.operation_id = operation.pk
        cluster.deletion_requested_at = timezone.now()
        fields = ["deletion_requested_at", "operation_id"]
        record_update(cluster, fields, expected_version=expected_version, new_generation=True)
        record(actor, "delete", "clusters", cluster, cluster_id=cluster.pk, operation_id=operation.pk)
        wake(cluster)
    return operation


def register_guest_cluster(
    project: Project, name: str, credentials: Credentials, *, owner_id: UUID, labels: Mapping[str, str] | None = None
) -> Cluster:
    """A guest cluster as a member of its project, to be registered with an administrator's client certificate.

    ``owner_id`` is the guest's id, for the audit trail. The caller keeps the cluster's id in the same transaction.
    Raises HubError ``cluster.name_taken``.
    """
    cluster = Cluster(
        name=name,
        kind=ClusterKind.KUBERNETES,
        tenant_id=project.tenant_id,
        project=project,
        labels=dict(labels or {}),
        checks=pending_checks(),
    )
    _take_certificate(cluster, credentials)
    _show_importing(cluster)
    try:
        with transaction.atomic():
            record_insert(cluster)
            detail = {"guest_cluster": str(owner_id)}
            record(SYSTEM, "create", "clusters", cluster, cluster_id=cluster.pk, detail=detail)
            wake(cluster)
    except IntegrityError as error:
        raise HubError("cluster.name_taken", pointer="/name", name=name) from error
    return cluster


def needs_enrolment(cluster: Cluster) -> bool:
    """Whether a guest has to be registered anew: it refuses every credential that the hub has, after a long outage say, or
    an older hub registered it with rights that are too few by now.
    """
    registered = condition(cluster, REGISTERED)
    if registered is None or registered.status != "False":
        return False
    rights = find_check(cluster, "rights")
    too_few = rights is not None and rights["state"] == "failed" and not cluster.has_enrolment_secret
    return registered.reason == CREDENTIALS_REFUSED or too_few


def enrol_again(cluster: Cluster, credentials: Credentials) -> None:
    """Registers a guest anew with a fresh client certificate; see ``needs_enrolment``."""
    _take_certificate(cluster, credentials)
    set_condition(cluster, REGISTERED, False, IMPORTING)
    with transaction.atomic():
        fields = ["client_certificate", *_ADDRESS_FIELDS, "conditions"]
        record_update(cluster, fields)
        changes = diff({}, {"client_certificate": cluster.client_certificate})
        record(SYSTEM, "update", "clusters", cluster, cluster_id=cluster.pk, changes=changes)
        wake(cluster)


def set_endpoints(cluster: Cluster, servers: Sequence[str]) -> None:
    """The https URLs at which the cluster's API answers, in the order to try them. The same ones change nothing."""
    if tuple(servers) == cluster.servers or not servers:
        return
    cluster.set_servers(servers)
    with transaction.atomic():
        record_update(cluster, ["endpoints"])
        wake(cluster)


def forget_guest_cluster(cluster: Cluster) -> None:
    """Drops the row of a guest whose machines are being taken away: nothing needs to be tidied up inside it.

    Namespaces that projects had in it go with it. Its proxied access ends with the row.
    """
    with transaction.atomic():
        for namespace in ProjectNamespace.objects.filter(cluster=cluster):
            record_delete(namespace)
        record(SYSTEM, "delete", "clusters", cluster, cluster_id=cluster.pk)
        record_delete(cluster)
    forget_clients(cluster.pk)


def _take_kubeconfig(cluster: Cluster, kubeconfig: str) -> None:
    try:
        credentials = parse_kubeconfig(kubeconfig, guard=address_guard())
    except InvalidKubeconfig as error:
        raise HubError(
            "cluster.kubeconfig_refused",
            pointer="/kubeconfig",
            problem=error.code,
            message=error.message,
            fix=error.fix,
        ) from error
    cluster.pasted_kubeconfig = kubeconfig
    _take_address(cluster, credentials)


def _take_certificate(cluster: Cluster, credentials: Credentials) -> None:
    pair = {"cert": credentials.client_cert_pem, "key": credentials.client_key_pem}
    cluster.client_certificate = json.dumps(pair)
    _take_address(cluster, credentials)


# What ``_take_address`` sets.
_ADDRESS_FIELDS = ("endpoints", "ca_pem", "tls_server_name", "access_token", "renewal_token")


def _take_address(cluster: Cluster, credentials: Credentials) -> None:
    """The way to the cluster; whatever the hub had there before is not trusted any more."""
    cluster.set_servers(credentials.servers)
    cluster.ca_pem = credentials.ca_pem or ""
    cluster.tls_server_name = credentials.tls_server_name or ""
    cluster.access_token = ""
    cluster.renewal_token = ""


def _show_importing(cluster: Cluster) -> None:
    set_condition(cluster, REGISTERED, False, IMPORTING)
    set_condition(cluster, READY, False, IMPORTING)
    set_phase(cluster, "Importing")


def _refuse_deleting(cluster: Cluster) -> None:
    if cluster.deletion_requested_at is not None:
        raise HubError("object.being_deleted", name=cluster.name)


def _checked_name(name: str) -> str:
    try:
        return check_dns_label(name)
    except ValueError as error:
        raise HubError("cluster.name_invalid", pointer="/name", rule=str(error)) from error


def _checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels, when each is one that Kubernetes would take and none is of the prefix that carries meaning (SEC-43)."""
    if len(labels) > LABELS_LIMIT:
        raise HubError("cluster.labels_invalid", pointer="/labels", limit=LABELS_LIMIT)
    for key, value in labels.items():
        prefix, slash, _ = key.rpartition("/")
        reserved = slash and (prefix == RESERVED_PREFIX or prefix.endswith(f".{RESERVED_PREFIX}"))
        if reserved or not is_label_key(key) or not isinstance(value, str) or not is_label_value(value):
            # RFC 6901: the key as a part of the pointer.
            part = key.replace("~", "~0").replace("/", "~1")
            raise HubError("cluster.labels_invalid", pointer=f"/labels/{part}", reserved=bool(reserved))
    return dict(labels)
