"""What the hub writes into a member cluster, and the rights it takes there: the written list, as pure builders.

The hub is not cluster-admin in a member. Its account ``paddock-system/paddock-hub`` may do what ``HUB_RULES`` say
anywhere, and what ``MACHINE_RULES`` say in the namespaces of projects only, through a RoleBinding in each of them.
Two of its rights are wide and cannot be made narrower in Kubernetes' RBAC:

* ``impersonate`` on users: RBAC has no prefix match, so the account could act as any user of the member. It is limited
  to the listed names for groups, which is where all rights of Paddock's users come from.
* ``patch`` and ``escalate`` on the one ClusterRole that holds that list of groups, so that the list follows the
  projects without a new kubeconfig being pasted each time.

Whoever holds the account's token should therefore be thought of as able to administer the member; that is why it lives
one hour, is sealed at rest and never leaves the hub. Everything else here is least rights, readable with
``kubectl describe clusterrole paddock-hub``.

Applying these objects, and when, is the cluster reconciler's; who is in which group is ``hub.access``'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

Object = dict[str, Any]

HUB_NAMESPACE = "paddock-system"
HUB_ACCOUNT = "paddock-hub"
RENEWAL_ACCOUNT = "paddock-renewal"
HUB_ROLE = "paddock-hub"
IMPERSONATION_ROLE = "paddock-hub-impersonation"
MACHINE_ROLE = "paddock-machine-driver"
RENEWAL_ROLE = "paddock-renewal"
OWNER_CONFIG_MAP = "paddock-hub-owner"
CLUSTER_VIEWER_ROLE = "paddock-cluster-viewer"

# The member's ClusterRole that each last part of a group stands for.
CLUSTER_MEMBER_ROLES: Mapping[str, str] = {"admin": "cluster-admin", "viewer": CLUSTER_VIEWER_ROLE}
PROJECT_MEMBER_ROLES: Mapping[str, str] = {"admin": "paddock-project-admin", "viewer": "paddock-project-viewer"}

RBAC = "rbac.authorization.k8s.io"
READ = ("get", "list", "watch")
EDIT = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

HUB_ID_LABEL = "paddock.io/hub-id"
HUB_EPOCH_LABEL = "paddock.io/hub-epoch"
OWNER_KIND_LABEL = "paddock.io/owner-kind"
OWNER_ID_LABEL = "paddock.io/owner-id"
TENANT_ID_LABEL = "paddock.io/tenant-id"
PROJECT_ID_LABEL = "paddock.io/project-id"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of Kubernetes' RBAC; ``names`` empty means every object of the resources."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def render(self) -> Object:
        """The rule as a ClusterRole carries it."""
        rule: Object = {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


@dataclass(frozen=True, slots=True)
class Review:
    """One right to ask about with a SelfSubjectAccessReview, cluster-wide."""

    verb: str
    group: str
    resource: str
    subresource: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {resource}{'.' + self.group if self.group else ''}"


_OWN_CLUSTER_ROLES = (
    HUB_ROLE,
    IMPERSONATION_ROLE,
    MACHINE_ROLE,
    CLUSTER_VIEWER_ROLE,
    *PROJECT_MEMBER_ROLES.values(),
)
_OWN_CLUSTER_ROLE_BINDINGS = (
    HUB_ROLE,
    IMPERSONATION_ROLE,
    *(f"paddock-cluster-{role}" for role in CLUSTER_MEMBER_ROLES),
)

# Rights in every member, on all namespaces.
HUB_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("namespaces",), ("get", "list", "watch", "create", "patch", "delete")),
    PolicyRule("", ("nodes", "events", "resourcequotas"), READ),
    PolicyRule(RBAC, ("rolebindings",), ("get", "list", "watch", "create", "patch", "delete")),
    PolicyRule(RBAC, ("clusterroles",), ("bind",), (MACHINE_ROLE, *PROJECT_MEMBER_ROLES.values())),
    PolicyRule(RBAC, ("clusterroles",), ("get", "delete"), _OWN_CLUSTER_ROLES),
    PolicyRule(RBAC, ("clusterroles",), ("patch", "escalate"), (IMPERSONATION_ROLE,)),
    PolicyRule(RBAC, ("clusterrolebindings",), ("get", "delete"), _OWN_CLUSTER_ROLE_BINDINGS),
)

# Added on a Harvester cluster: what the watcher follows, and what orders are checked against wherever it lies.
HARVESTER_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("kubevirt.io", ("virtualmachines", "virtualmachineinstances"), READ),
    PolicyRule("harvesterhci.io", ("virtualmachineimages", "settings"), READ),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), READ),
    PolicyRule("storage.k8s.io", ("storageclasses",), READ),
)

# What the node driver does, in the namespaces of projects only.
MACHINE_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("kubevirt.io", ("virtualmachines",), EDIT),
    PolicyRule("kubevirt.io", ("virtualmachineinstances",), READ),
    PolicyRule(
        "subresources.kubevirt.io",
        ("virtualmachines/start", "virtualmachines/stop", "virtualmachines/restart"),
        ("update",),
    ),
    PolicyRule("", ("secrets", "persistentvolumeclaims"), EDIT),
    PolicyRule("", ("pods",), READ),
    PolicyRule("harvesterhci.io", ("keypairs",), EDIT),
    PolicyRule("cdi.kubevirt.io", ("datavolumes",), ("get", "list", "watch", "delete")),
)

_WORKLOAD_GROUPS = ("apps", "autoscaling", "batch", "discovery.k8s.io", "networking.k8s.io", "policy")
_MACHINE_GROUPS = ("kubevirt.io", "cdi.kubevirt.io", "snapshot.storage.k8s.io")
_HARVESTER_OBJECTS = (
    "keypairs",
    "virtualmachinebackups",
    "virtualmachineimages",
    "virtualmachinerestores",
    "virtualmachinetemplates",
    "virtualmachinetemplateversions",
)
_PLAIN_OBJECTS = ("configmaps", "endpoints", "persistentvolumeclaims", "pods", "services", "serviceaccounts")
_POWER_ACTIONS = ("start", "stop", "restart", "migrate", "addvolume", "removevolume")
_CONSOLES = ("console", "vnc", "portforward", "guestosinfo", "userlist", "filesystemlist")

# Reading in a project's namespaces: no Secrets, and nothing that opens a session (those are GETs too).
PROJECT_VIEWER_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("namespaces",), ("get",)),
    PolicyRule("", (*_PLAIN_OBJECTS, "pods/log", "pods/status", "events", "limitranges", "resourcequotas"), READ),
    *(PolicyRule(group, ("*",), READ) for group in (*_WORKLOAD_GROUPS, *_MACHINE_GROUPS)),
    PolicyRule("harvesterhci.io", _HARVESTER_OBJECTS, READ),
    PolicyRule("loadbalancer.harvesterhci.io", ("loadbalancers",), READ),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), READ),
    PolicyRule("metrics.k8s.io", ("pods",), READ),
)

# Working in a project's namespaces. Roles, quotas and networks stay with the hub and the platform team.
PROJECT_ADMIN_RULES: tuple[PolicyRule, ...] = (
    *PROJECT_VIEWER_RULES,
    PolicyRule("", (*_PLAIN_OBJECTS, "secrets"), EDIT),
    PolicyRule("", ("pods/exec", "pods/attach", "pods/portforward", "pods/eviction"), ("get", "create")),
    *(PolicyRule(group, ("*",), EDIT) for group in (*_WORKLOAD_GROUPS, *_MACHINE_GROUPS)),
    PolicyRule("harvesterhci.io", _HARVESTER_OBJECTS, EDIT),
    PolicyRule("loadbalancer.harvesterhci.io", ("loadbalancers",), EDIT),
    PolicyRule("subresources.kubevirt.io", tuple(f"virtualmachines/{a}" for a in _POWER_ACTIONS), ("update",)),
    PolicyRule(
        "subresources.kubevirt.io", ("virtualmachineinstances/pause", "virtualmachineinstances/unpause"), ("update",)
    ),
    PolicyRule("subresources.kubevirt.io", tuple(f"virtualmachineinstances/{c}" for c in _CONSOLES), ("get",)),
)

# Reading a whole cluster, Secrets left out.
CLUSTER_VIEWER_RULES: tuple[PolicyRule, ...] = (
    *PROJECT_VIEWER_RULES,
    PolicyRule("", ("namespaces", "nodes", "persistentvolumes", "replicationcontrollers"), READ),
    PolicyRule("storage.k8s.io", ("*",), READ),
    PolicyRule(RBAC, ("*",), READ),
    PolicyRule("apiextensions.k8s.io", ("customresourcedefinitions",), READ),
    PolicyRule("metrics.k8s.io", ("nodes",), READ),
)


def cluster_group(cluster_id: UUID, member_role: str) -> str:
    """The group that holds ``member_role`` ("admin", "viewer") in one whole cluster."""
    return f"paddock:cluster:{cluster_id}:{member_role}"


def project_group(project_id: UUID, member_role: str) -> str:
    """The group that holds ``member_role`` in the namespaces of one project."""
    return f"paddock:project:{project_id}:{member_role}"


@dataclass(frozen=True, slots=True)
class HubMark:
    """Who writes: the hub's id and epoch, carried as labels by every object it makes."""

    hub_id: UUID
    epoch: int

    def labels(self) -> dict[str, str]:
        """The labels common to all objects of this hub."""
        return {HUB_ID_LABEL: str(self.hub_id), HUB_EPOCH_LABEL: str(self.epoch)}


def hub_rules(kind: str) -> tuple[PolicyRule, ...]:
    """The hub's rights on all namespaces of a member of this kind ("harvester", "kubernetes")."""
    return HUB_RULES + (HARVESTER_RULES if kind == "harvester" else ())


def required_reviews(kind: str) -> list[Review]:
    """The rights to ask a member about, one review each, in the order of the list."""
    return [
        Review(verb, rule.group, resource, name=rule.names[0] if rule.names else None)
        for rule in (*hub_rules(kind), *impersonation_rules(()))
        for resource in rule.resources
        for verb in rule.verbs
    ]


def registration_reviews() -> list[Review]:
    """The rights that a pasted kubeconfig must have to register the hub."""
    return [
        Review("create", "", "namespaces"),
        Review("create", "", "serviceaccounts"),
        Review("create", "", "serviceaccounts", "token"),
        Review("create", "", "configmaps"),
        Review("create", RBAC, "clusterroles"),
        Review("create", RBAC, "clusterrolebindings"),
        Review("create", RBAC, "roles"),
        Review("create", RBAC, "rolebindings"),
    ]


def impersonation_rules(groups: Iterable[str]) -> tuple[PolicyRule, ...]:
    """``impersonate`` on users, and on exactly these groups. No group at all is written as no rule, not as any group."""
    names = tuple(sorted(set(groups)))
    on_groups = (PolicyRule("", ("groups",), ("impersonate",), names),) if names else ()
    return (PolicyRule("", ("users",), ("impersonate",)), *on_groups)


def build_hub_namespace(mark: HubMark) -> Object:
    """The namespace of the hub's own objects; everything cluster-scoped is owned by it and goes when it goes."""
    return _object("v1", "Namespace", HUB_NAMESPACE, mark)


def build_owner_config_map(mark: HubMark, cluster_id: UUID) -> Object:
    """Says which hub owns the member; a hub that finds another id, or a higher epoch, must not write (FLT-40)."""
    data = {"hubId": str(mark.hub_id), "epoch": str(mark.epoch), "clusterId": str(cluster_id)}
    return _object("v1", "ConfigMap", OWNER_CONFIG_MAP, mark, HUB_NAMESPACE) | {"data": data}


def build_impersonation_role(mark: HubMark, groups: Iterable[str], owner_uid: str) -> Object:
    """The ClusterRole with the list of groups that the proxy may send."""
    return _cluster_role(IMPERSONATION_ROLE, impersonation_rules(groups), mark, owner_uid)


def build_registration(
    mark: HubMark, kind: str, cluster_id: UUID, groups: Iterable[str], owner_uid: str
) -> list[Object]:
    """Everything beside the namespace and the owner ConfigMap, in the order to apply; ``owner_uid`` is the namespace's."""
    account, renewal = _account_subject(HUB_ACCOUNT), _account_subject(RENEWAL_ACCOUNT)
    tokens = PolicyRule("", ("serviceaccounts/token",), ("create",), (HUB_ACCOUNT, RENEWAL_ACCOUNT))
    own_map = PolicyRule("", ("configmaps",), ("get", "patch"), (OWNER_CONFIG_MAP,))
    new_map = PolicyRule("", ("configmaps",), ("create",))  # creating cannot be limited to a name
    return [
        _object("v1", "ServiceAccount", HUB_ACCOUNT, mark, HUB_NAMESPACE),
        _object("v1", "ServiceAccount", RENEWAL_ACCOUNT, mark, HUB_NAMESPACE),
        _cluster_role(HUB_ROLE, hub_rules(kind), mark, owner_uid),
        build_impersonation_role(mark, groups, owner_uid),
        *([_cluster_role(MACHINE_ROLE, MACHINE_RULES, mark, owner_uid)] if kind == "harvester" else []),
        _cluster_role(CLUSTER_VIEWER_ROLE, CLUSTER_VIEWER_RULES, mark, owner_uid),
        _cluster_role(PROJECT_MEMBER_ROLES["admin"], PROJECT_ADMIN_RULES, mark, owner_uid),
        _cluster_role(PROJECT_MEMBER_ROLES["viewer"], PROJECT_VIEWER_RULES, mark, owner_uid),
        _role(HUB_ROLE, (tokens, own_map, new_map), mark),
        _role(RENEWAL_ROLE, (tokens,), mark),
        _binding("RoleBinding", HUB_ROLE, "Role", HUB_ROLE, account, mark, namespace=HUB_NAMESPACE),
        _binding("RoleBinding", RENEWAL_ROLE, "Role", RENEWAL_ROLE, renewal, mark, namespace=HUB_NAMESPACE),
        _binding("ClusterRoleBinding", HUB_ROLE, "ClusterRole", HUB_ROLE, account, mark, owner_uid=owner_uid),
        _binding(
            "ClusterRoleBinding",
            IMPERSONATION_ROLE,
            "ClusterRole",
            IMPERSONATION_ROLE,
            account,
            mark,
            owner_uid=owner_uid,
        ),
        *build_cluster_bindings(mark, cluster_id, owner_uid),
    ]


def build_cluster_bindings(mark: HubMark, cluster_id: UUID, owner_uid: str) -> list[Object]:
    """One ClusterRoleBinding per built-in cluster role, to its group."""
    return [
        _binding(
            "ClusterRoleBinding",
            f"paddock-cluster-{member_role}",
            "ClusterRole",
            cluster_role,
            _group_subject(cluster_group(cluster_id, member_role)),
            mark,
            owner_uid=owner_uid,
        )
        for member_role, cluster_role in CLUSTER_MEMBER_ROLES.items()
    ]


def build_project_namespace(mark: HubMark, name: str, *, row_id: UUID, project_id: UUID, tenant_id: UUID) -> Object:
    """A project's namespace. The labels carry the ownership, so the hub writes them again at each visit (SEC-43)."""
    labels = {
        OWNER_KIND_LABEL: "projectnamespace",
        OWNER_ID_LABEL: str(row_id),
        TENANT_ID_LABEL: str(tenant_id),
        PROJECT_ID_LABEL: str(project_id),
    }
    return _object("v1", "Namespace", name, mark, labels=labels)


def build_project_bindings(
    mark: HubMark, namespace: str, *, project_id: UUID, member_roles: Iterable[str], with_machines: bool
) -> list[Object]:
    """One RoleBinding per project role in use, and the node driver's where machines are made."""
    bindings = [
        _binding(
            "RoleBinding",
            f"paddock-project-{member_role}",
            "ClusterRole",
            PROJECT_MEMBER_ROLES[member_role],
            _group_subject(project_group(project_id, member_role)),
            mark,
            namespace=namespace,
        )
        for member_role in sorted(member_roles)
    ]
    if with_machines:
        account = _account_subject(HUB_ACCOUNT)
        bindings.append(
            _binding("RoleBinding", MACHINE_ROLE, "ClusterRole", MACHINE_ROLE, account, mark, namespace=namespace)
        )
    return bindings


def _object(
    api_version: str,
    kind: str,
    name: str,
    mark: HubMark,
    namespace: str | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    owner_uid: str | None = None,
) -> Object:
    metadata: Object = {"name": name, "labels": mark.labels() | dict(labels or {})}
    if namespace is not None:
        metadata["namespace"] = namespace
    if owner_uid is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Namespace", "name": HUB_NAMESPACE, "uid": owner_uid}
        ]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _cluster_role(name: str, rules: Iterable[PolicyRule], mark: HubMark, owner_uid: str) -> Object:
    role = _object(f"{RBAC}/v1", "ClusterRole", name, mark, owner_uid=owner_uid)
    return role | {"rules": [rule.render() for rule in rules]}


def _role(name: str, rules: Iterable[PolicyRule], mark: HubMark) -> Object:
    return _object(f"{RBAC}/v1", "Role", name, mark, HUB_NAMESPACE) | {"rules": [rule.render() for rule in rules]}


def _binding(
    kind: str,
    name: str,
    role_kind: str,
    role_name: str,
    subject: Object,
    mark: HubMark,
    *,
    namespace: str | None = None,
    owner_uid: str | None = None,
) -> Object:
    binding = _object(f"{RBAC}/v1", kind, name, mark, namespace, owner_uid=owner_uid)
    return binding | {
        "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": role_name},
        "subjects": [subject],
    }


def _account_subject(name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": HUB_NAMESPACE}


def _group_subject(name: str) -> Object:
    return {"apiGroup": RBAC, "kind": "Group", "name": name}
