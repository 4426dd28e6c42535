"""What the built-in roles may do inside member clusters, as rules of Kubernetes' RBAC.

Two kinds: those for a project's namespaces, and those for a whole cluster. Roles, quotas and attachments to networks stay
with the hub and the platform team: with them a project would reach beyond its namespaces. How a rule is compared with
another is ``policy_rules``'s; which objects carry them in a member is ``hub.federation.rights``'s.
"""

from hub.federation.rights import EDIT, RBAC, READ, PolicyRule

KEEP = ("get", "list", "watch", "create", "update", "patch")
_SEE_AND_MAKE = ("get", "list", "watch", "create")

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
_VOLUMES = "persistentvolumeclaims"
_PLAIN_OBJECTS = ("configmaps", "endpoints", "pods", "services", "serviceaccounts")
_CONSOLES = ("console", "vnc")
_SESSIONS = (*_CONSOLES, "portforward", "guestosinfo", "userlist", "filesystemlist")


def _on_machines(*actions: str) -> PolicyRule:
    return PolicyRule("subresources.kubevirt.io", tuple(f"virtualmachines/{action}" for action in actions), ("update",))


def _on_instances(verb: str, *actions: str) -> PolicyRule:
    resources = tuple(f"virtualmachineinstances/{action}" for action in actions)
    return PolicyRule("subresources.kubevirt.io", resources, (verb,))


_POWER = (
    _on_machines("start", "stop", "restart", "migrate"),
    _on_instances("update", "pause", "unpause", "softreboot"),
)
_WORK = (
    PolicyRule("", (*_PLAIN_OBJECTS, "secrets"), EDIT),
    PolicyRule("", ("pods/exec", "pods/attach", "pods/portforward", "pods/eviction"), ("get", "create")),
    *(PolicyRule(group, ("*",), EDIT) for group in _WORKLOAD_GROUPS),
    *_POWER,
    _on_machines("addvolume", "removevolume"),
    _on_instances("get", *_SESSIONS),
)

# Reading in a project's namespaces: no Secrets, and nothing that opens a session (those are GETs too).
VIEWER_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("namespaces",), ("get",)),
    PolicyRule(
        "", (*_PLAIN_OBJECTS, _VOLUMES, "pods/log", "pods/status", "events", "limitranges", "resourcequotas"), READ
    ),
    *(PolicyRule(group, ("*",), READ) for group in (*_WORKLOAD_GROUPS, *_MACHINE_GROUPS)),
    PolicyRule("harvesterhci.io", _HARVESTER_OBJECTS, READ),
    PolicyRule("loadbalancer.harvesterhci.io", ("loadbalancers",), READ),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), READ),
    PolicyRule("metrics.k8s.io", ("pods",), READ),
)

# Making and running workloads and machines; deleting neither machines nor what they have stored.
MEMBER_RULES: tuple[PolicyRule, ...] = (
    *VIEWER_RULES,
    *_WORK,
    PolicyRule("", (_VOLUMES,), KEEP),
    *(PolicyRule(group, ("*",), KEEP) for group in _MACHINE_GROUPS),
    PolicyRule("harvesterhci.io", _HARVESTER_OBJECTS, KEEP),
    PolicyRule("loadbalancer.harvesterhci.io", ("loadbalancers",), KEEP),
)

# Everything that belongs into a project's namespaces.
OPERATOR_RULES: tuple[PolicyRule, ...] = (
    *VIEWER_RULES,
    *_WORK,
    PolicyRule("", (_VOLUMES,), EDIT),
    *(PolicyRule(group, ("*",), EDIT) for group in _MACHINE_GROUPS),
    PolicyRule("harvesterhci.io", _HARVESTER_OBJECTS, EDIT),
    PolicyRule("loadbalancer.harvesterhci.io", ("loadbalancers",), EDIT),
)

_SEE_MACHINES = (
    PolicyRule("", ("namespaces",), ("get",)),
    PolicyRule("kubevirt.io", ("virtualmachines", "virtualmachineinstances"), READ),
)

VM_OPERATOR_RULES: tuple[PolicyRule, ...] = (
    *_SEE_MACHINES,
    PolicyRule("", (_VOLUMES, "pods", "events"), READ),
    PolicyRule("cdi.kubevirt.io", ("datavolumes",), READ),
    PolicyRule("kubevirt.io", ("virtualmachineinstancemigrations",), _SEE_AND_MAKE),
    PolicyRule("harvesterhci.io", ("virtualmachinebackups",), _SEE_AND_MAKE),
    *_POWER,
)

VM_CONSOLE_RULES: tuple[PolicyRule, ...] = (*_SEE_MACHINES, _on_instances("get", *_CONSOLES))

# What a tenant may do about networks in the namespaces that he has: nothing that reaches another VLAN.
NETWORK_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("", ("namespaces",), ("get",)),
    PolicyRule("", ("services", "endpoints", "pods"), READ),
    PolicyRule("networking.k8s.io", ("*",), EDIT),
    PolicyRule("loadbalancer.harvesterhci.io", ("loadbalancers",), EDIT),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), READ),
)

CLUSTER_NETWORK_RULES: tuple[PolicyRule, ...] = (
    *NETWORK_RULES,
    PolicyRule("", ("namespaces", "nodes"), READ),
    PolicyRule("", ("services",), EDIT),
    PolicyRule("k8s.cni.cncf.io", ("network-attachment-definitions",), EDIT),
    PolicyRule("network.harvesterhci.io", ("*",), EDIT),
    PolicyRule("loadbalancer.harvesterhci.io", ("ippools",), EDIT),
    PolicyRule("kubeovn.io", ("*",), EDIT),
)

# Reading a whole cluster, Secrets left out.
CLUSTER_VIEWER_RULES: tuple[PolicyRule, ...] = (
    *VIEWER_RULES,
    PolicyRule("", ("namespaces", "nodes", "persistentvolumes", "replicationcontrollers"), READ),
    PolicyRule("storage.k8s.io", ("*",), READ),
    PolicyRule(RBAC, ("*",), READ),
    PolicyRule("apiextensions.k8s.io", ("customresourcedefinitions",), READ),
    PolicyRule("metrics.k8s.io", ("nodes",), READ),
)

CLUSTER_MEMBER_RULES: tuple[PolicyRule, ...] = (*CLUSTER_VIEWER_RULES, *MEMBER_RULES)

CLUSTER_ADMIN_RULES: tuple[PolicyRule, ...] = (
    PolicyRule("*", ("*",), ("*",)),
    PolicyRule("", (), ("*",), urls=("*",)),
)
