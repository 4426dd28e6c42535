"""What every API server has from its start: namespaces, the roles that discovery and administration rest on."""

from collections.abc import Iterable, Mapping
from typing import Any

from kube.resources import Object
from simulator.apiserver.identity import AUTHENTICATED_GROUP, MASTERS_GROUP, UNAUTHENTICATED_GROUP
from simulator.clock import timestamp
from simulator.kinds import KindSpec
from simulator.kinds.crds import build_crds

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_RBAC = "rbac.authorization.k8s.io"

_PUBLIC_PATHS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz"]
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_WORKLOADS = ["configmaps", "events", "persistentvolumeclaims", "pods", "services"]


def build_objects() -> list[Object]:
    """The objects, in an order in which they can be created."""
    every = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    reads = [_rule("", [*_WORKLOADS, "serviceaccounts", "namespaces", "resourcequotas", "limitranges"], _READ)]
    reads.append(_rule("apps", ["deployments"], _READ))
    writes = [
        *reads,
        _rule("", [*_WORKLOADS, "secrets", "serviceaccounts"], _WRITE),
        _rule("", ["secrets"], _READ),
        _rule("apps", ["deployments"], _WRITE),
    ]
    administers = [
        *writes,
        _rule(_RBAC, ["roles", "rolebindings"], [*_READ, *_WRITE]),
        _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
    ]
    own = [
        _rule("authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    ]
    return [
        *(_object("v1", "Namespace", name) for name in NAMESPACES),
        _role("cluster-admin", [every, {"nonResourceURLs": ["*"], "verbs": ["*"]}]),
        _role("admin", administers),
        _role("edit", writes),
        _role("view", reads),
        _role(
            "system:discovery", [{"nonResourceURLs": [*_DISCOVERY_PATHS, "/version", "/version/"], "verbs": ["get"]}]
        ),
        _role("system:public-info-viewer", [{"nonResourceURLs": _PUBLIC_PATHS, "verbs": ["get"]}]),
        _role("system:basic-user", own),
        _binding("cluster-admin", [MASTERS_GROUP]),
        _binding("system:discovery", [AUTHENTICATED_GROUP]),
        _binding("system:basic-user", [AUTHENTICATED_GROUP]),
        _binding("system:public-info-viewer", [AUTHENTICATED_GROUP, UNAUTHENTICATED_GROUP]),
    ]


def build_served_crds(kinds: Iterable[KindSpec]) -> list[Object]:
    """The definitions of the kinds that are not built in, as a server shows them once they are served."""
    return [crd | {"status": _established(crd)} for crd in build_crds(kinds)]


def build_api_service(group: str, version: str) -> Object:
    """The APIService of an aggregated API that is mounted and answers."""
    name = f"{version}.{group}"
    spec = {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 15}
    available = {"type": "Available", "status": "True", "reason": "Passed", "lastTransitionTime": timestamp()}
    body = _object("apiregistration.k8s.io/v1", "APIService", name)
    return body | {"spec": spec, "status": {"conditions": [available]}}


def _established(crd: Mapping[str, Any]) -> Object:
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": timestamp()}
        for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    stored = [version["name"] for version in crd["spec"]["versions"]]
    return {"acceptedNames": crd["spec"]["names"], "conditions": conditions, "storedVersions": stored}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _object(api_version: str, kind: str, name: str, labels: Mapping[str, str] | None = None) -> Object:
    metadata: Object = {"name": name}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata | ({"labels": dict(labels)} if labels else {}),
    }


def _role(name: str, rules: list[Object]) -> Object:
    return _object(f"{_RBAC}/v1", "ClusterRole", name, _LABELS) | {"rules": rules}


def _binding(role: str, groups: list[str]) -> Object:
    subjects = [{"kind": "Group", "name": group, "apiGroup": _RBAC} for group in groups]
    reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role}
    return _object(f"{_RBAC}/v1", "ClusterRoleBinding", role, _LABELS) | {"subjects": subjects, "roleRef": reference}
