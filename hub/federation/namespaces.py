"""What is asked of project namespaces: made, made more of, moved to another project, and deleted.

They state an intent and wake the reconciler. Adopting one that is there already is ``adoption``'s. Whether an actor may
write namespaces here is asked before, of ``hub.core.access``; the other end of a move is asked here, because no caller may
forget it (SEC-33).
"""

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import SYSTEM, AccessScope, Actor, can
from hub.core.changes import record_insert, record_update
from hub.core.conditions import set_condition, set_phase
from hub.core.errors import HubError, define
from hub.core.work import wake
from hub.tenancy.contents import check_empty
from hub.tenancy.models import Project
from kube.names import check_dns_label, random_suffix, shorten_with_hash

from .conditions import MOVED, READY
from .models import Cluster, ProjectNamespace

SUFFIX_LENGTH = 5
NAMESPACE_LIMIT = 63
SYSTEM_NAMES = frozenset({"default", "local", "cdi", "kubevirt"})
SYSTEM_PREFIXES = ("kube-", "cattle-", "fleet-", "harvester-", "longhorn-", "rancher-", "paddock-")

MACHINE_TOKEN_FIELDS = ("machine_token", "machine_token_expires_at", "machine_token_renew_at")

define("cluster.foreign", 422, "The cluster belongs to another tenant")
define("namespace.name_invalid", 400, "The name of the namespace is not valid")
define("namespace.name_taken", 409, "The cluster has a namespace of this name in Paddock already")
define("namespace.system", 422, "The namespace belongs to the cluster itself")
define("namespace.same_project", 422, "The namespace is that project's already")


def ensure_project_namespace(project: Project, cluster: Cluster, *, actor: Actor = SYSTEM) -> ProjectNamespace:
    """The project's default namespace in the cluster: the one it has, or a new one, whose name is stored before it is made.

    Having one also lets the project's people see a shared cluster. An adopted namespace is never taken for the default:
    it holds what somebody else has made. Raises HubError ``object.being_deleted``, or ``cluster.foreign`` for the cluster
    of another tenant.
    """
    with transaction.atomic():
        _lock_place(project, cluster)
        existing = _find_default(project, cluster)
        return existing or _insert(actor, project, cluster, choose_namespace_name(project), is_default=True)


def create_project_namespace(
    actor: Actor, project: Project, cluster: Cluster, name: str | None = None
) -> ProjectNamespace:
    """One more namespace of the project in the cluster; the first is the default. Without a name one is chosen.

    When the cluster itself has a namespace of that name, that is told by the condition Ready. Raises HubError
    ``namespace.name_invalid``, ``namespace.name_taken``, ``namespace.system``, and as ``ensure_project_namespace``.
    """
    if name is not None:
        check_namespace_name(name, pointer="/name")
    try:
        with transaction.atomic():
            _lock_place(project, cluster)
            is_default = _find_default(project, cluster) is None
            chosen = name or choose_namespace_name(project)
            return _insert(actor, project, cluster, chosen, is_default=is_default)
    except IntegrityError as error:
        raise HubError("namespace.name_taken", pointer="/name", name=name) from error


def move_project_namespace(
    actor: Actor, namespace: ProjectNamespace, project: Project, *, expected_version: int | None = None
) -> ProjectNamespace:
    """Gives a namespace with all that is in it to another project, which may be another tenant's.

    The actor needs ``update`` where it is and ``create`` where it goes (SEC-33). Labels, bindings and quota follow by its
    reconciler. Raises HubError ``request.denied``, ``namespace.same_project``, ``object.in_use`` while guests live in it,
    ``object.being_deleted``, ``cluster.foreign``, StaleVersion.
    """
    _authorise(actor, "update", namespace.tenant_id, namespace.project_id)
    _authorise(actor, "create", project.tenant_id, project.pk)
    with transaction.atomic():
        _lock_place(project, namespace.cluster)
        moved = ProjectNamespace.objects.select_for_update(no_key=True).get(pk=namespace.pk)
        if moved.deletion_requested_at is not None:
            raise HubError("object.being_deleted", name=moved.name)
        if moved.project_id == project.pk:
            raise HubError("namespace.same_project", pointer="/project")
        check_empty(moved)
        before = _place(moved)
        moved.is_default = not moved.adopted and _find_default(project, moved.cluster) is None
        moved.project, moved.tenant_id = project, project.tenant_id
        # Sealed for the tenant that it belonged to; the account is asked for another one.
        moved.machine_token, moved.machine_token_expires_at, moved.machine_token_renew_at = "", None, None
        set_condition(moved, READY, False, MOVED)
        fields = ["project", "tenant", "is_default", "conditions", *MACHINE_TOKEN_FIELDS]
        record_update(moved, fields, expected_version=expected_version, new_generation=True)
        for tenant_id in {before["tenant"], project.tenant_id}:  # both can see where it went
            changes = diff(before, _place(moved))
            record(actor, "move", "project-namespaces", moved, tenant_id=tenant_id, changes=changes)
        wake(moved)
        wake(moved.cluster)
    return moved


def request_namespace_deletion(
    actor: Actor, namespace: ProjectNamespace, *, expected_version: int | None = None
) -> None:
    """Has the namespace deleted in the member, with all that is in it, and then the row; an adopted one is let go instead.

    Raises HubError ``object.in_use`` while the hub itself has something in it, StaleVersion.
    """
    if namespace.deletion_requested_at is not None:
        return
    with transaction.atomic():
        ProjectNamespace.objects.select_for_update(no_key=True).get(pk=namespace.pk)
        check_empty(namespace)
        namespace.deletion_requested_at = timezone.now()
        record_update(namespace, ["deletion_requested_at"], expected_version=expected_version, new_generation=True)
        record(actor, "delete", "project-namespaces", namespace)
        wake(namespace)


def choose_namespace_name(project: Project) -> str:
    """``<tenant>-<project>-<random>``: readable, and no other's by chance, because anybody may make namespaces there."""
    readable = shorten_with_hash(f"{project.tenant.name}-{project.name}", NAMESPACE_LIMIT - SUFFIX_LENGTH - 1)
    return f"{readable}-{random_suffix(SUFFIX_LENGTH)}"


def check_namespace_name(name: str, *, pointer: str) -> None:
    """Raises HubError ``namespace.name_invalid``, or ``namespace.system`` for what the cluster itself lives in."""
    try:
        check_dns_label(name)
    except ValueError as error:
        raise HubError("namespace.name_invalid", pointer=pointer, rule=str(error)) from error
    if name in SYSTEM_NAMES or name.startswith(SYSTEM_PREFIXES):
        raise HubError("namespace.system", pointer=pointer, name=name)


def check_place(project: Project, cluster: Cluster) -> None:
    """Raises HubError unless the project may have namespaces in the cluster."""
    if cluster.deletion_requested_at is not None:
        raise HubError("object.being_deleted", name=cluster.name)
    if cluster.tenant_id not in (None, project.tenant_id):
        raise HubError("cluster.foreign", pointer="/cluster")


def insert_namespace(actor: Actor, namespace: ProjectNamespace, **detail: object) -> ProjectNamespace:
    """Stores a new row with its audit event and wakes its reconciler. Call within a transaction."""
    set_phase(namespace, "Creating")
    record_insert(namespace)
    record(actor, "create", "project-namespaces", namespace, detail=detail)
    wake(namespace)
    return namespace


def _insert(actor: Actor, project: Project, cluster: Cluster, name: str, *, is_default: bool) -> ProjectNamespace:
    namespace = ProjectNamespace(
        project=project, cluster=cluster, tenant_id=project.tenant_id, name=name, is_default=is_default
    )
    return insert_namespace(actor, namespace)


def _find_default(project: Project, cluster: Cluster) -> ProjectNamespace | None:
    """The default namespace; the oldest one becomes it when the one that was is gone."""
    ours = ProjectNamespace.objects.of(project.pk, cluster.pk).kept().filter(adopted=False)
    found: ProjectNamespace | None = ours.filter(is_default=True).first()
    if found is None and (found := ours.first()) is not None:
        found.is_default = True
        record_update(found, ["is_default"])
    return found


def _lock_place(project: Project, cluster: Cluster) -> None:
    """Makes two orders at once agree on one namespace, and keeps the cluster from being deleted meanwhile."""
    check_place(project, Cluster.objects.select_for_update(no_key=True).get(pk=cluster.pk))


def _authorise(actor: Actor, verb: str, tenant_id: UUID, project_id: UUID) -> None:
    # By the project alone: who has the cluster may not put things into projects that are others'.
    if not can(actor, verb, "project-namespaces", AccessScope(tenant_id, project_id)).allowed:
        raise HubError("request.denied", verb=verb, resource="project-namespaces")


def _place(namespace: ProjectNamespace) -> dict[str, UUID]:
    return {"tenant": namespace.tenant_id, "project": namespace.project_id}
