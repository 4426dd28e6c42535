"""What people may do in a member cluster, kept there: the roles in use, their bindings on the whole cluster, and the groups
that the hub may send. No database.

Everything is compared with what is there and written where it differs, so a change by hand is put right and a visit that
finds all well writes nothing. What carries this hub's mark and is not wanted goes, also what was planted or left by an
older hub (SEC-36); anything else is another manager's and not touched.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from kube.client import KubeClient
from kube.errors import Forbidden
from kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, Object, Resource

from . import member_objects, rights
from .member_objects import is_as_wanted, must_be_replaced
from .registration import RESOURCE_OF_KIND, apply_object
from .rights import HUB_NAMESPACE, HubMark, PolicyRule

RoleRules = Mapping[str, tuple[PolicyRule, ...]]
Found = dict[str, Object]

# An API server's authorizer sees a change of roles some milliseconds after it was written.
LAG_ATTEMPTS = 20
LAG_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class MemberAccess:
    """What is to hold in one member. ``roles`` are all roles in use there by key, ``cluster_roles`` the keys of those that
    are bound on the whole cluster, ``groups`` what the hub may send; ``namespaces`` are those in which the hub keeps
    bindings of its own, each by a reconciler of its own.
    """

    groups: Collection[str]
    roles: RoleRules
    cluster_roles: Collection[str]
    namespaces: Collection[str]


def keep_access(client: KubeClient, mark: HubMark, cluster_id: UUID, wanted: MemberAccess) -> list[str]:
    """Brings roles, cluster bindings and the list of groups to what is wanted; returns the strays that were deleted.

    Raises KubeError.
    """
    owner_uid = client.get(NAMESPACES, HUB_NAMESPACE)["metadata"]["uid"]
    roles = _list(client, CLUSTER_ROLES, mark)
    bindings = _list(client, CLUSTER_ROLE_BINDINGS, mark)
    objects = [
        *(member_objects.build_member_role(mark, key, rules, owner_uid) for key, rules in sorted(wanted.roles.items())),
        *(
            member_objects.build_cluster_binding(mark, cluster_id, key, owner_uid)
            for key in sorted(wanted.cluster_roles)
        ),
    ]
    names = {(obj["kind"], obj["metadata"]["name"]) for obj in objects}
    own = {("ClusterRole", name) for name in rights.OWN_CLUSTER_ROLES}
    own |= {("ClusterRoleBinding", name) for name in rights.OWN_CLUSTER_ROLE_BINDINGS}
    strays = [
        (resource, obj)
        for resource, found in ((CLUSTER_ROLE_BINDINGS, bindings), (CLUSTER_ROLES, roles))
        for name, obj in found.items()
        if (resource.kind, name) not in names | own
    ]

    def allow(doomed: Collection[str]) -> None:
        rules = rights.reconciled_rules(wanted.groups, wanted.roles, doomed)
        role = member_objects.build_reconciled_role(mark, rules, owner_uid)
        found = roles.get(rights.IMPERSONATION_ROLE)
        if found is None or not is_as_wanted(found, role):
            roles[rights.IMPERSONATION_ROLE] = apply_object(client, role)

    allow({obj["metadata"]["name"] for _, obj in strays})
    for obj in objects:
        keep_object(client, obj, (roles if obj["kind"] == "ClusterRole" else bindings).get(obj["metadata"]["name"]))
    gone = [_delete_stray(client, resource, obj) for resource, obj in strays]
    gone += _sweep_role_bindings(client, mark, wanted.namespaces)
    allow(())
    return gone


def keep_object(client: KubeClient, wanted: Object, found: Object | None) -> None:
    """A role or a binding as wanted; written only when it is not. Raises KubeError."""
    if found is None or not is_as_wanted(found, wanted):
        when_allowed(lambda: _write(client, wanted, found))


def when_allowed(call: Callable[[], object]) -> None:
    """Tries again for a second while the member's authorizer has not seen rights that were written just now."""
    for _ in range(LAG_ATTEMPTS):
        try:
            call()
            return
        except Forbidden:
            time.sleep(LAG_PAUSE)
    call()


def _write(client: KubeClient, wanted: Object, found: Object | None) -> None:
    metadata = wanted["metadata"]
    resource, name, namespace = RESOURCE_OF_KIND[wanted["kind"]], metadata["name"], metadata.get("namespace")
    # One of this name without our mark was not listed: the name is the hub's, so it is taken over.
    found = found or client.find(resource, name, namespace)
    if found is not None and must_be_replaced(found, wanted):
        client.delete(resource, name, namespace, uid=found["metadata"]["uid"])
    apply_object(client, wanted)


def _sweep_role_bindings(client: KubeClient, mark: HubMark, kept: Collection[str]) -> list[str]:
    """Bindings with our mark where we have no namespace."""
    strays = [
        obj
        for obj in client.list(ROLE_BINDINGS, label_selector=mark.selector)
        if obj["metadata"]["namespace"] not in {HUB_NAMESPACE, *kept}
    ]
    return [_delete_stray(client, ROLE_BINDINGS, obj) for obj in strays]


def _delete_stray(client: KubeClient, resource: Resource, obj: Object) -> str:
    metadata = obj["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace")
    when_allowed(lambda: client.delete(resource, name, namespace, uid=metadata["uid"]))
    return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"


def _list(client: KubeClient, resource: Resource, mark: HubMark) -> Found:
    return {obj["metadata"]["name"]: obj for obj in client.list(resource, label_selector=mark.selector)}
