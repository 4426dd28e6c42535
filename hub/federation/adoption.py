"""Taking over a namespace that was there before the hub: first a plan of what would be, then the deed if it is still so.

The plan is looked up in the member as a viewer of the cluster, so it needs no right that the hub's account does not have;
no Secret is read. Its digest stands for all that was shown: what has changed since is seen by its digest. The reconciler
then binds the roles in use and writes the hub's labels; it never deletes or sweeps such a namespace, and leaves labels and
annotations of other managers alone.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import IntegrityError, transaction

from hub.core.access import AccessScope, Actor, can
from hub.core.errors import HubError, define
from hub.core.models import hub_identity
from hub.tenancy.models import Project
from kube import resources
from kube.client import KubeClient
from kube.errors import KubeError, NotServed
from kube.resources import NAMESPACES, Object, Resource

from . import rights
from .clients import ClusterUnavailable, viewing_client
from .member_objects import project_labels
from .models import Cluster, ProjectNamespace
from .namespaces import check_namespace_name, check_place, insert_namespace
from .registration import is_ours
from .rights import HubMark, member_role, project_group

define("adoption.namespace_missing", 422, "The cluster has no such namespace")
define("adoption.plan_changed", 409, "The namespace is not as the plan has it any more: make a new plan")
define("adoption.conflicts", 409, "The namespace cannot be adopted as it is")

# What is counted, beside what the cluster may not serve.
COUNTED: tuple[Resource, ...] = (
    resources.VIRTUAL_MACHINES,
    resources.PERSISTENT_VOLUME_CLAIMS,
    resources.DEPLOYMENTS,
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("batch", "v1", "cronjobs", "CronJob"),
    resources.SERVICES,
    resources.RESOURCE_QUOTAS,
    resources.ROLE_BINDINGS,
)
# What the hub would write and somebody else may have.
_NAMES_OF_OURS = (
    (resources.SERVICE_ACCOUNTS, rights.MACHINE_ACCOUNT),
    (resources.RESOURCE_QUOTAS, rights.QUOTA),
    (resources.LIMIT_RANGES, rights.QUOTA),
)
OWNER_PENDING = "(id of the project namespace)"


@dataclass(frozen=True, slots=True)
class PlannedBinding:
    """One role in use that will hold in the namespace."""

    role: str
    group: str
    cluster_role: str


@dataclass(frozen=True, slots=True)
class PlannedLabel:
    """One label of the hub's; ``before`` is None where there is none."""

    name: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stands in the way, with what to do about it."""

    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class AdoptionPlan:
    """What there is by kind, what will be bound and labelled, what stays another manager's, and what stands in the way.

    ``digest`` is to be given back when it is carried out.
    """

    namespace: str
    uid: str
    contents: Mapping[str, int]
    bindings: tuple[PlannedBinding, ...]
    labels: tuple[PlannedLabel, ...]
    untouched: tuple[str, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def plan_adoption(project: Project, cluster: Cluster, name: str, role_keys: Collection[str]) -> AdoptionPlan:
    """Looks what adopting the namespace would mean. ``role_keys`` are the project's roles in use. Writes nothing.

    Raises HubError ``namespace.name_invalid``, ``namespace.system``, ``adoption.namespace_missing``, ``cluster.foreign``,
    ``object.being_deleted``, and ClusterUnavailable when the cluster does not answer.
    """
    check_namespace_name(name, pointer="/namespace")
    check_place(project, cluster)
    if name == cluster.shared_namespace:
        raise HubError("namespace.system", pointer="/namespace", name=name)
    identity = hub_identity()
    mark = HubMark(identity.hub_id, identity.epoch)
    try:
        with viewing_client(cluster) as client:
            found = client.find(NAMESPACES, name)
            if found is None:
                raise HubError("adoption.namespace_missing", pointer="/namespace", name=name)
            contents = _count(client, cluster, name)
            conflicts = (*_conflicts(found, cluster, mark), *_taken_names(client, name, mark))
    except KubeError as error:
        raise ClusterUnavailable(cluster, type(error).__name__) from error
    return AdoptionPlan(
        namespace=name,
        uid=found["metadata"]["uid"],
        contents=contents,
        bindings=tuple(
            PlannedBinding(key, project_group(project.pk, key), member_role(key)) for key in sorted(role_keys)
        ),
        labels=tuple(_labels(found, project, mark)),
        untouched=tuple(sorted(_foreign_marks(found))),
        conflicts=conflicts,
    )


def adopt_namespace(
    actor: Actor, project: Project, cluster: Cluster, name: str, digest: str, role_keys: Collection[str]
) -> ProjectNamespace:
    """Does what the plan of this digest says, if it is still so.

    The actor needs ``update`` on the cluster, because what is taken over was nobody's in the hub (SEC-33). Raises HubError
    ``request.denied``, ``adoption.plan_changed``, ``adoption.conflicts`` and as ``plan_adoption``.
    """
    scope = AccessScope(cluster.tenant_id, cluster.project_id, cluster.pk)
    if not can(actor, "update", "clusters", scope).allowed:
        raise HubError("request.denied", verb="update", resource="clusters")
    plan = plan_adoption(project, cluster, name, role_keys)
    if plan.digest != digest:
        raise HubError("adoption.plan_changed", pointer="/plan")
    if plan.conflicts:
        raise HubError("adoption.conflicts", pointer="/adopt", problems=[one.problem for one in plan.conflicts])
    namespace = ProjectNamespace(
        project=project, cluster=cluster, tenant_id=project.tenant_id, name=name, uid=plan.uid, adopted=True
    )
    try:
        with transaction.atomic():
            check_place(project, Cluster.objects.select_for_update(no_key=True).get(pk=cluster.pk))
            return insert_namespace(actor, namespace, adopted=True, contents=dict(plan.contents))
    except IntegrityError as error:  # adopted twice at once
        raise HubError("adoption.plan_changed", pointer="/plan") from error


def _count(client: KubeClient, cluster: Cluster, namespace: str) -> dict[str, int]:
    counts = {}
    for resource in COUNTED:
        if resource.group and resource.group not in cluster.capabilities:
            continue
        try:
            page = client.list_page(resource, namespace, limit=1)
        except NotServed:
            continue
        counts[resource.kind] = len(page.items) + (page.remaining or 0)
    return counts


def _conflicts(found: Object, cluster: Cluster, mark: HubMark) -> Iterator[Conflict]:
    metadata = found["metadata"]
    if "deletionTimestamp" in metadata:
        yield Conflict("The namespace is being deleted in the cluster", "Take another one")
    if ProjectNamespace.objects.filter(cluster=cluster, name=metadata["name"]).exists():
        yield Conflict("The namespace is a project's already", "Move it instead")
    elif rights.HUB_ID_LABEL in (metadata.get("labels") or {}) and not is_ours(found, mark):
        yield Conflict("Another Paddock hub marks the namespace as its own", f"Remove the label {rights.HUB_ID_LABEL}")


def _taken_names(client: KubeClient, namespace: str, mark: HubMark) -> Iterator[Conflict]:
    for resource, name in _NAMES_OF_OURS:
        found = client.find(resource, name, namespace)
        if found is not None and not is_ours(found, mark):
            yield Conflict(f"There is a {resource.kind} {name} that is not the hub's", "Rename or delete it")


def _labels(found: Object, project: Project, mark: HubMark) -> Iterator[PlannedLabel]:
    present = found["metadata"].get("labels") or {}
    wanted = project_labels(mark, row_id=project.pk, project_id=project.pk, tenant_id=project.tenant_id)
    for name, value in sorted(wanted.items()):
        after = OWNER_PENDING if name == rights.OWNER_ID_LABEL else value
        if present.get(name) != after:
            yield PlannedLabel(name, present.get(name), after)


def _foreign_marks(found: Object) -> Iterator[str]:
    """Labels and annotations that name another manager, such as Rancher's project."""
    metadata: Mapping[str, Any] = found["metadata"]
    for part in ("labels", "annotations"):
        for name in metadata.get(part) or {}:
            prefix = name.rpartition("/")[0]
            if prefix and not prefix.endswith("kubernetes.io") and prefix != "paddock.io":
                yield name
