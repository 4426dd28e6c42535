"""What may be done in a member cluster: by the hub's accounts there, and by people. The written list, as pure data.

The hub is not cluster-admin in a member. Its account ``paddock-system/paddock-hub`` may do what ``HUB_RULES`` say
anywhere, and what ``NAMESPACE_RULES`` say in the namespaces of projects only, through a RoleBinding in each of them.
Machines are made by another account, ``paddock-machines`` of the project's namespace, with ``MACHINE_RULES`` in it alone.
Two of the hub's rights are wide and cannot be made narrower in Kubernetes' RBAC:

* ``impersonate`` on users: RBAC has no prefix match, so the account could act as any user of the member. It is limited
  to the listed names for groups, which is where all rights of Paddock's users come from.
* ``patch`` and ``escalate`` on the one ClusterRole that holds what follows the projects (``reconciled_rules``), so that it
  needs no new kubeconfig each time.

Whoever holds the account's token should therefore be thought of as able to administer the member; that is why it lives
one hour, is sealed at rest and never leaves the hub. Everything else here is least rights, readable with
``kubectl describe clusterrole paddock-hub``.

The ClusterRoles of the roles in use are created, changed, bound and deleted by name: an API server authorizes server-side
apply with the name in the path for ``create`` too, and asks for ``escalate`` and ``bind`` with the role's name (tested on
a real one). So the account has no right on any ClusterRole or ClusterRoleBinding that is not in one of these lists, but
to list them, without which a stray could not be found.

The objects are built in ``member_objects``; applying them, and when, is the reconcilers'; which roles are in use and who is
in which group is ``hub.access``'s.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

Object = dict[str, Any]

HUB_NAMESPACE = "paddock-system"
HUB_ACCOUNT = "paddock-hub"
RENEWAL_ACCOUNT = "paddock-renewal"
MACHINE_ACCOUNT = "paddock-machines"
HUB_ROLE = "paddock-hub"
IMPERSONATION_ROLE = "paddock-hub-impersonation"
NAMESPACE_ROLE = "paddock-hub-namespace"
MACHINE_ROLE = "paddock-machine-driver"
RENEWAL_ROLE = "paddock-renewal"
SHARED_ROLE = "paddock-shared-reader"
MEMBER_ROLE_PREFIX = "paddock-role-"
OWNER_CONFIG_MAP = "paddock-hub-owner"
QUOTA = "paddock"

CLUSTER_VIEWER = "cluster-viewer"
"""The role that a read-only token is worth in a whole cluster; always in use."""

CLUSTER_MEMBER = "member"
"""The last part of the group of everybody who may reach a cluster at all; no role has this key."""

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
    """One rule of Kubernetes' RBAC; ``names`` empty means every object of the resources.

    ``urls`` are paths outside the API's resources (``/metrics``, ``*`` for all); such a rule names no resources.
    """

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def render(self) -> Object:
        """The rule as a ClusterRole carries it."""
        if self.urls:
            return {"nonResourceURLs": list(self.urls), "verbs": list(self.verbs)}
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
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {resource}{'.' + self.group if self.group else ''}{named}"


OWN_CLUSTER_ROLES = (HUB_ROLE, IMPERSONATION_ROLE, NAMESPACE_ROLE, MACHINE_ROLE, SHARED_ROLE)
OWN_CLUSTER_ROLE_BINDINGS = (HUB_ROLE, IMPERSONATION_ROLE)

# Rights in every member, on all namespaces.
HUB_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("namespaces",), ("get", "list", "watch", "create", "patch", "delete")),
    PolicyRule("", ("nodes", "events", "resourcequotas"), READ),
    PolicyRule(RBAC, ("rolebindings",), ("get", "list", "watch", "create", "patch", "delete")),
    PolicyRule(RBAC, ("clusterroles", "clusterrolebindings"), ("list",)),
    PolicyRule(RBAC, ("clusterroles",), ("bind",), (NAMESPACE_ROLE, MACHINE_ROLE, SHARED_ROLE)),
    PolicyRule(RBAC, ("clusterroles",), ("get", "delete"), OWN_CLUSTER_ROLES),
    PolicyRule(RBAC, ("clusterroles",), ("patch", "escalate"), (IMPERSONATION_ROLE,)),
    PolicyRule(RBAC, ("clusterrolebindings",), ("get", "delete"), OWN_CLUSTER_ROLE_BINDINGS),
)

# Added on a Harvester cluster: what the watcher follows, and what orders are checked against wherever it lies.
HARVESTER_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("kubevirt.io", ("virtualmachines", "virtualmachineinstances"), READ),
    PolicyRule("harvesterhci.io", ("virtualmachineimages", "settings"), READ),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), READ),
    PolicyRule("storage.k8s.io", ("storageclasses",), READ),
)

# Added for the hub's account in the namespaces of projects: the machines' account there with its tokens, and the quota.
NAMESPACE_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("serviceaccounts",), ("get", "create", "patch", "delete"), (MACHINE_ACCOUNT,)),
    PolicyRule("", ("serviceaccounts/token",), ("create",), (MACHINE_ACCOUNT,)),
    PolicyRule("", ("resourcequotas", "limitranges"), ("get", "list", "delete")),
    PolicyRule("", ("resourcequotas", "limitranges"), ("create", "patch"), (QUOTA,)),
    PolicyRule("kubevirt.io", ("virtualmachineinstancemigrations",), ("list",)),
)

# What the node driver does, as the machines' account of a project's namespace and nowhere else.
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

# What everybody who may reach a cluster reads in its shared namespace: what machines are made of, and no Secrets.
SHARED_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("namespaces",), ("get",)),
    PolicyRule("", ("configmaps",), READ),
    PolicyRule(
        "harvesterhci.io",
        ("virtualmachineimages", "virtualmachinetemplates", "virtualmachinetemplateversions"),
        READ,
    ),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), READ),
)


def cluster_group(cluster_id: UUID, key: str) -> str:
    """The group that holds the role ``key`` in one whole cluster."""
    return f"paddock:cluster:{cluster_id}:{key}"


def shared_group(cluster_id: UUID) -> str:
    """The group of everybody who may reach the cluster; it reads the shared namespace."""
    return cluster_group(cluster_id, CLUSTER_MEMBER)


def project_group(project_id: UUID, key: str) -> str:
    """The group that holds the role ``key`` in the namespaces of one project."""
    return f"paddock:project:{project_id}:{key}"


def member_role(key: str) -> str:
    """The ClusterRole that a role stands for in members; ``key`` is a built-in role's name or a custom one's id."""
    return f"{MEMBER_ROLE_PREFIX}{key}"


@dataclass(frozen=True, slots=True)
class HubMark:
    """Who writes: the hub's id and epoch, carried as labels by every object it makes."""

    hub_id: UUID
    epoch: int

    def labels(self) -> dict[str, str]:
        """The labels common to all objects of this hub."""
        return {HUB_ID_LABEL: str(self.hub_id), HUB_EPOCH_LABEL: str(self.epoch)}

    @property
    def selector(self) -> str:
        """The label selector of this hub's objects."""
        return f"{HUB_ID_LABEL}={self.hub_id}"


def hub_rules(kind: str) -> tuple[PolicyRule, ...]:
    """The rules of the hub's account in a cluster of this kind."""
    return HUB_RULES + (HARVESTER_RULES if kind == "harvester" else ())


def reconciled_rules(
    groups: Iterable[str], role_keys: Iterable[str] = (), doomed: Collection[str] = ()
) -> tuple[PolicyRule, ...]:
    """What follows the projects: the groups the hub may send, the roles it keeps, the strays it is about to delete.

    ``impersonate`` on users, and on exactly these groups. No group, role or stray at all is written as no rule, because an
    empty list of names would mean any.
    """
    names, roles = tuple(sorted(set(groups))), tuple(sorted(map(member_role, role_keys)))
    rules = [PolicyRule("", ("users",), ("impersonate",))]
    if names:
        rules.append(PolicyRule("", ("groups",), ("impersonate",), names))
    if roles:
        verbs = ("get", "create", "patch", "delete")
        rules.append(PolicyRule(RBAC, ("clusterroles",), (*verbs, "bind", "escalate"), roles))
        rules.append(PolicyRule(RBAC, ("clusterrolebindings",), verbs, roles))
    if doomed:
        rules.append(PolicyRule(RBAC, ("clusterroles", "clusterrolebindings"), ("delete",), tuple(sorted(doomed))))
    return tuple(rules)


def required_reviews(kind: str) -> list[Review]:
    """The rights to ask a member about, one review for each name, in the order of the list."""
    return [
        Review(verb, rule.group, resource, name=name)
        for rule in (*hub_rules(kind), *reconciled_rules(()))
        for resource in rule.resources
        for verb in rule.verbs
        for name in (rule.names or (None,))
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
