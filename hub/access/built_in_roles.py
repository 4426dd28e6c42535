"""The roles that every hub has, as data. ``docs/roles.md`` is generated from here (``manage.py roles_reference``)."""

from collections.abc import Iterable, Mapping

from . import member_rules
from .permissions import CRUD, MACHINE_VERBS, POWER_VERBS, READ_VERBS, Role, Rule

CLUSTER_ADMIN = "cluster-admin"
CLUSTER_MEMBER = "cluster-member"
CLUSTER_VIEWER = "cluster-viewer"
NETWORK_ADMIN = "network-admin"
PROJECT_MEMBER = "project-member"
PROJECT_OWNER = "project-owner"
PROJECT_VIEWER = "project-viewer"
_CLUSTER_NETWORKS = "cluster-network-admin"

_ANYWHERE = frozenset({"tenant", "project"})
_PLACES = ("project-namespaces", "projects", "tenants")
_ORDERED = ("guest-clusters", "node-pools")
_ALLOWANCES = ("grants", "quotas")
_SEEN_IN_CLUSTERS = (*_PLACES, *_ORDERED, *_ALLOWANCES, "machines", "virtual-machines")
_SEEN_BY_VIEWERS = (*_SEEN_IN_CLUSTERS, "operations")


def _rule(resources: Iterable[str], verbs: Iterable[str]) -> Rule:
    return Rule(frozenset(resources), frozenset(verbs))


HUB_ADMIN = Role(
    "hub-admin",
    "Administrator of the hub",
    frozenset({"hub"}),
    (_rule({"*"}, {"*"}),),
    member_rules.CLUSTER_ADMIN_RULES,
    in_projects=PROJECT_OWNER,
    in_clusters=CLUSTER_ADMIN,
)

_OWNERS_WORK = (
    _rule({"clusters"}, READ_VERBS | {"use", "proxy"}),
    _rule({"project-namespaces", "machines", "audit-events", *_ALLOWANCES}, READ_VERBS),
    _rule({*_ORDERED, "role-bindings", "service-accounts"}, CRUD),
    _rule({"credentials"}, CRUD | {"use"}),
    _rule({"invitations", "tokens"}, CRUD - {"update"}),
    _rule({"operations"}, READ_VERBS | {"update"}),
    _rule({"virtual-machines"}, MACHINE_VERBS),
)

_BUILT_IN = (
    HUB_ADMIN,
    Role(
        "hub-auditor",
        "Reads everything, the audit trail too",
        frozenset({"hub"}),
        (_rule({"*"}, READ_VERBS), _rule({"clusters"}, {"proxy"})),
        member_rules.CLUSTER_VIEWER_RULES,
        in_projects=PROJECT_VIEWER,
        in_clusters=CLUSTER_VIEWER,
    ),
    Role(
        "cluster-provisioner",
        "Orders and scales guest clusters",
        frozenset({"hub", "tenant", "project"}),
        (
            _rule({"clusters"}, READ_VERBS | {"use"}),
            _rule(_ORDERED, CRUD),
            _rule({*_PLACES, *_ALLOWANCES, "machines"}, READ_VERBS),
            _rule({"operations"}, READ_VERBS | {"update"}),
            _rule({"credentials"}, READ_VERBS | {"use"}),
        ),
    ),
    Role(
        NETWORK_ADMIN,
        "Networks of a tenant's namespaces, or of a cluster",
        frozenset({"tenant", "cluster"}),
        (_rule({"clusters"}, READ_VERBS | {"proxy"}), _rule({*_PLACES, "grants"}, READ_VERBS)),
        member_rules.NETWORK_RULES,
        in_clusters=_CLUSTER_NETWORKS,
    ),
    Role(
        CLUSTER_ADMIN,
        "Administrator of a cluster",
        frozenset({"cluster"}),
        (
            _rule({"clusters"}, READ_VERBS | {"update", "use", "proxy"}),
            _rule({*_PLACES, *_ORDERED, "machines", "audit-events", "quotas"}, READ_VERBS),
            _rule({"role-bindings", "grants"}, CRUD),
            _rule({"virtual-machines"}, MACHINE_VERBS),
        ),
        member_rules.CLUSTER_ADMIN_RULES,
        in_projects=PROJECT_OWNER,
    ),
    Role(
        _CLUSTER_NETWORKS,
        "Networks of a whole cluster",
        frozenset({"cluster"}),
        (_rule({"clusters"}, READ_VERBS | {"proxy"}), _rule({*_PLACES, "grants"}, READ_VERBS)),
        member_rules.CLUSTER_NETWORK_RULES,
        in_projects=NETWORK_ADMIN,
    ),
    Role(
        CLUSTER_MEMBER,
        "Member of a cluster: works in all of it and deletes no machines",
        frozenset({"cluster"}),
        (
            _rule({"clusters"}, READ_VERBS | {"proxy"}),
            _rule(_SEEN_IN_CLUSTERS, READ_VERBS),
            _rule({"virtual-machines"}, MACHINE_VERBS - {"delete", "restore"}),
        ),
        member_rules.CLUSTER_MEMBER_RULES,
        in_projects=PROJECT_MEMBER,
    ),
    Role(
        CLUSTER_VIEWER,
        "Viewer of a cluster",
        frozenset({"cluster"}),
        (_rule({"clusters"}, READ_VERBS | {"proxy"}), _rule(_SEEN_IN_CLUSTERS, READ_VERBS)),
        member_rules.CLUSTER_VIEWER_RULES,
        in_projects=PROJECT_VIEWER,
    ),
    Role(
        "tenant-owner",
        "Owner of a tenant",
        frozenset({"tenant"}),
        (
            *_OWNERS_WORK,
            _rule({"tenants"}, READ_VERBS | {"update"}),
            # Of quotas only the shares of his projects: budgets are the hub's to give, whatever a role says.
            _rule({"projects", "roles", "quotas"}, CRUD),
        ),
        member_rules.OPERATOR_RULES,
        in_clusters=CLUSTER_ADMIN,
    ),
    Role(
        PROJECT_OWNER,
        "Owner of a project, or of all projects of a tenant",
        _ANYWHERE,
        (
            *_OWNERS_WORK,
            _rule({"tenants"}, READ_VERBS),
            _rule({"projects"}, READ_VERBS | {"update"}),
        ),
        member_rules.OPERATOR_RULES,
        in_clusters=CLUSTER_ADMIN,
    ),
    Role(
        "project-operator",
        "Operator of a project, or of all projects of a tenant: everything but people",
        _ANYWHERE,
        (
            _rule({"clusters"}, READ_VERBS | {"use", "proxy"}),
            _rule({*_PLACES, *_ALLOWANCES, "machines", "service-accounts"}, READ_VERBS),
            _rule(_ORDERED, CRUD),
            _rule({"credentials"}, READ_VERBS | {"use"}),
            _rule({"operations"}, READ_VERBS | {"update"}),
            _rule({"virtual-machines"}, MACHINE_VERBS),
        ),
        member_rules.OPERATOR_RULES,
        in_clusters=CLUSTER_ADMIN,
    ),
    Role(
        PROJECT_MEMBER,
        "Member of a project, or of all projects of a tenant: works in it and deletes no machines",
        _ANYWHERE,
        (
            _rule({"clusters"}, READ_VERBS | {"proxy"}),
            _rule(_SEEN_BY_VIEWERS, READ_VERBS),
            _rule({"credentials"}, READ_VERBS | {"use"}),
            _rule({"virtual-machines"}, MACHINE_VERBS - {"delete", "restore"}),
        ),
        member_rules.MEMBER_RULES,
        in_clusters=CLUSTER_MEMBER,
    ),
    Role(
        PROJECT_VIEWER,
        "Viewer of a project, or of all projects of a tenant",
        _ANYWHERE,
        (_rule({"clusters"}, READ_VERBS | {"proxy"}), _rule(_SEEN_BY_VIEWERS, READ_VERBS)),
        member_rules.VIEWER_RULES,
        in_clusters=CLUSTER_VIEWER,
    ),
    Role(
        "vm-operator",
        "Runs the virtual machines that are there, and makes and deletes none",
        _ANYWHERE,
        (
            _rule({"clusters"}, READ_VERBS | {"proxy"}),
            _rule({*_PLACES, "operations"}, READ_VERBS),
            _rule({"virtual-machines"}, READ_VERBS | POWER_VERBS | {"snapshot"}),
        ),
        member_rules.VM_OPERATOR_RULES,
    ),
    Role(
        "vm-console-user",
        "Opens the consoles of virtual machines",
        _ANYWHERE,
        (
            _rule({"clusters"}, READ_VERBS | {"proxy"}),
            _rule(_PLACES, READ_VERBS),
            _rule({"virtual-machines"}, READ_VERBS | {"console"}),
        ),
        member_rules.VM_CONSOLE_RULES,
    ),
)

ROLES: Mapping[str, Role] = {role.name: role for role in _BUILT_IN}
