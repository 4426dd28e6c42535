"""What the hub writes into a member cluster, as pure builders of Kubernetes objects.

The rules inside are ``rights``'s. ``registration`` writes the hub's own objects once, with an administrator's credential;
``member_access`` and ``namespace_access`` keep the rest, with the hub's account.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from . import rights
from .rights import (
    HUB_ACCOUNT,
    HUB_NAMESPACE,
    HUB_ROLE,
    IMPERSONATION_ROLE,
    MACHINE_ACCOUNT,
    MACHINE_ROLE,
    NAMESPACE_ROLE,
    OWNER_CONFIG_MAP,
    QUOTA,
    RBAC,
    RENEWAL_ACCOUNT,
    RENEWAL_ROLE,
    SHARED_ROLE,
    HubMark,
    Object,
    PolicyRule,
    cluster_group,
    member_role,
    project_group,
    shared_group,
)


def build_hub_namespace(mark: HubMark) -> Object:
    """The namespace of the hub's own objects; everything cluster-scoped is owned by it and goes when it goes."""
    return _object("v1", "Namespace", HUB_NAMESPACE, mark)


def build_owner_config_map(mark: HubMark, cluster_id: UUID) -> Object:
    """Says which hub owns the member; a hub that finds another id, or a higher epoch, must not write (FLT-40)."""
    data = {"hubId": str(mark.hub_id), "epoch": str(mark.epoch), "clusterId": str(cluster_id)}
    return _object("v1", "ConfigMap", OWNER_CONFIG_MAP, mark, HUB_NAMESPACE) | {"data": data}


def build_reconciled_role(mark: HubMark, rules: Iterable[PolicyRule], owner_uid: str) -> Object:
    """The ClusterRole with what follows the projects: ``rights.reconciled_rules``."""
    return _cluster_role(IMPERSONATION_ROLE, rules, mark, owner_uid)


def build_registration(mark: HubMark, kind: str, groups: Iterable[str], owner_uid: str) -> list[Object]:
    """Everything beside the namespace and the owner ConfigMap, in the order to apply; ``owner_uid`` is the namespace's."""
    account, renewal = _account_subject(HUB_ACCOUNT), _account_subject(RENEWAL_ACCOUNT)
    tokens = PolicyRule("", ("serviceaccounts/token",), ("create",), (HUB_ACCOUNT, RENEWAL_ACCOUNT))
    own_map = PolicyRule("", ("configmaps",), ("get", "patch"), (OWNER_CONFIG_MAP,))
    # By its name too, because the map is applied and not posted.
    new_map = PolicyRule("", ("configmaps",), ("create",), (OWNER_CONFIG_MAP,))
    roles = {
        HUB_ROLE: rights.hub_rules(kind),
        IMPERSONATION_ROLE: rights.reconciled_rules(groups),
        NAMESPACE_ROLE: rights.NAMESPACE_RULES,
        SHARED_ROLE: rights.SHARED_RULES,
        **({MACHINE_ROLE: rights.MACHINE_RULES} if kind == "harvester" else {}),
    }
    return [
        _object("v1", "ServiceAccount", HUB_ACCOUNT, mark, HUB_NAMESPACE),
        _object("v1", "ServiceAccount", RENEWAL_ACCOUNT, mark, HUB_NAMESPACE),
        *(_cluster_role(name, rules, mark, owner_uid) for name, rules in roles.items()),
        _role(HUB_ROLE, (tokens, own_map, new_map), mark),
        _role(RENEWAL_ROLE, (tokens,), mark),
        _binding("RoleBinding", HUB_ROLE, "Role", HUB_ROLE, account, mark, namespace=HUB_NAMESPACE),
        _binding("RoleBinding", RENEWAL_ROLE, "Role", RENEWAL_ROLE, renewal, mark, namespace=HUB_NAMESPACE),
        *(
            _binding("ClusterRoleBinding", name, "ClusterRole", name, account, mark, owner_uid=owner_uid)
            for name in rights.OWN_CLUSTER_ROLE_BINDINGS
        ),
    ]


def build_member_role(mark: HubMark, key: str, rules: Iterable[PolicyRule], owner_uid: str) -> Object:
    """What one role in use may do, once for the whole member; bindings say where."""
    return _cluster_role(member_role(key), rules, mark, owner_uid)


def build_cluster_binding(mark: HubMark, cluster_id: UUID, key: str, owner_uid: str) -> Object:
    """A role on the whole cluster, for its group."""
    group = _group_subject(cluster_group(cluster_id, key))
    name = member_role(key)
    return _binding("ClusterRoleBinding", name, "ClusterRole", name, group, mark, owner_uid=owner_uid)


def build_shared_namespace(mark: HubMark, name: str, cluster_id: UUID) -> Object:
    """The namespace that everybody who may reach the cluster reads."""
    labels = {rights.OWNER_KIND_LABEL: "cluster", rights.OWNER_ID_LABEL: str(cluster_id)}
    return _object("v1", "Namespace", name, mark, labels=labels)


def build_shared_binding(mark: HubMark, namespace: str, cluster_id: UUID) -> Object:
    """Reading in the shared namespace, for the group of all members."""
    group = _group_subject(shared_group(cluster_id))
    return _binding("RoleBinding", SHARED_ROLE, "ClusterRole", SHARED_ROLE, group, mark, namespace=namespace)


def project_labels(mark: HubMark, *, row_id: UUID, project_id: UUID, tenant_id: UUID) -> dict[str, str]:
    """The labels of a project's namespace. They carry the ownership, so the hub writes them at each visit (SEC-43)."""
    return mark.labels() | {
        rights.OWNER_KIND_LABEL: "projectnamespace",
        rights.OWNER_ID_LABEL: str(row_id),
        rights.TENANT_ID_LABEL: str(tenant_id),
        rights.PROJECT_ID_LABEL: str(project_id),
    }


def build_project_namespace(mark: HubMark, name: str, *, row_id: UUID, project_id: UUID, tenant_id: UUID) -> Object:
    """A project's namespace, made by the hub or adopted."""
    labels = project_labels(mark, row_id=row_id, project_id=project_id, tenant_id=tenant_id)
    return _object("v1", "Namespace", name, mark, labels=labels)


def build_released_namespace(name: str) -> Object:
    """Applied to an adopted namespace it takes the hub's labels back, and nobody else's."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def build_hub_binding(mark: HubMark, namespace: str) -> Object:
    """What lets the hub's account keep the rest in a project's namespace."""
    account = _account_subject(HUB_ACCOUNT)
    return _binding("RoleBinding", NAMESPACE_ROLE, "ClusterRole", NAMESPACE_ROLE, account, mark, namespace=namespace)


def build_project_binding(mark: HubMark, namespace: str, project_id: UUID, key: str) -> Object:
    """One role in use, for its group."""
    group = _group_subject(project_group(project_id, key))
    return _binding("RoleBinding", member_role(key), "ClusterRole", member_role(key), group, mark, namespace=namespace)


def build_machine_account(mark: HubMark, namespace: str) -> Object:
    """The account that makes machines in the namespace; no pod gets its token unasked."""
    account = _object("v1", "ServiceAccount", MACHINE_ACCOUNT, mark, namespace)
    return account | {"automountServiceAccountToken": False}


def build_machine_binding(mark: HubMark, namespace: str) -> Object:
    """The rights of that account, in this namespace alone."""
    account = _account_subject(MACHINE_ACCOUNT, namespace)
    return _binding("RoleBinding", MACHINE_ROLE, "ClusterRole", MACHINE_ROLE, account, mark, namespace=namespace)


def build_resource_quota(mark: HubMark, namespace: str, hard: Mapping[str, str]) -> Object:
    """How much the namespace may take in all."""
    return _object("v1", "ResourceQuota", QUOTA, mark, namespace) | {"spec": {"hard": dict(hard)}}


def build_limit_range(
    mark: HubMark, namespace: str, default: Mapping[str, str], default_request: Mapping[str, str]
) -> Object:
    """What a container gets that asks for nothing; without, a quota would refuse its pod."""
    limits = {"type": "Container", "default": dict(default), "defaultRequest": dict(default_request)}
    return _object("v1", "LimitRange", QUOTA, mark, namespace) | {"spec": {"limits": [limits]}}


def is_as_wanted(found: Object, wanted: Object) -> bool:
    """Whether a role or binding is as built here. What other managers add to its metadata is theirs."""
    seen, asked = found["metadata"], wanted["metadata"]
    return (
        asked["labels"].items() <= (seen.get("labels") or {}).items()
        and asked.get("ownerReferences", seen.get("ownerReferences")) == seen.get("ownerReferences")
        and all(found.get(part) == wanted.get(part) for part in ("rules", "subjects", "roleRef"))
        and "aggregationRule" not in found
    )


def must_be_replaced(found: Object, wanted: Object) -> bool:
    """Whether applying would not put it right: what a binding refers to is fixed, and an aggregation overwrites rules."""
    return found.get("roleRef") != wanted.get("roleRef") or "aggregationRule" in found


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


def _account_subject(name: str, namespace: str = HUB_NAMESPACE) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _group_subject(name: str) -> Object:
    return {"apiGroup": RBAC, "kind": "Group", "name": name}
