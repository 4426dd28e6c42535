"""The kinds of objects that Paddock touches, and where each lives in the Kubernetes API.

A ``Resource`` is group, version and plural of a kind; its ``path`` is the only place where URL paths of objects are
built. Versions are those of Kubernetes 1.34 and Harvester 1.8 (KubeVirt 1.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Object = dict[str, Any]
"""A Kubernetes object as the API sends it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: ``group`` is "" for the core API, ``plural`` is the word in the path."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of an object, of a collection (no ``name``), or of a collection in all namespaces.

        Raises ValueError for what cannot be one path segment, for a namespace where there is none, and for an object
        of a namespaced kind without a namespace.
        """
        if namespace is not None and not self.namespaced:
            raise ValueError(f"{self.kind} is not namespaced")
        if name is not None and namespace is None and self.namespaced:
            raise ValueError(f"{self.kind} needs a namespace")
        if subresource is not None and name is None:
            raise ValueError("A subresource belongs to an object: name it")
        segments = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            segments += ["namespaces", path_segment(namespace)]
        segments.append(self.plural)
        segments += [path_segment(part) for part in (name, subresource) if part is not None]
        return "/" + "/".join(segments)


def path_segment(text: str) -> str:
    """``text`` quoted as one segment of a path. Raises ValueError for what Kubernetes refuses there."""
    if text in ("", ".", "..") or "/" in text or "%" in text or not text.isprintable():
        raise ValueError(f"{text[:80]!r} cannot be part of a path")
    return quote(text, safe="")


def namespace_of(obj: Object) -> str | None:
    """``metadata.namespace``, None when absent or empty."""
    return obj.get("metadata", {}).get("namespace") or None


# Core
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODS = Resource("", "v1", "pods", "Pod")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
EVENTS = Resource("", "v1", "events", "Event")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGES = Resource("", "v1", "limitranges", "LimitRange")

# Kubernetes' named groups
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
STORAGE_CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)

# Questions that are asked by creating an object, which is answered and not stored
TOKEN_REQUESTS = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
SELF_SUBJECT_RULES_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)

# KubeVirt
VIRTUAL_MACHINES = Resource("kubevirt.io", "v1", "virtualmachines", "VirtualMachine")
VIRTUAL_MACHINE_INSTANCES = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
VIRTUAL_MACHINE_INSTANCE_MIGRATIONS = Resource(
    "kubevirt.io", "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration"
)
# Served by KubeVirt's aggregated API: start, stop, restart and the like are subresources of it.
SUBRESOURCE_VIRTUAL_MACHINES = Resource("subresources.kubevirt.io", "v1", "virtualmachines", "VirtualMachine")

# Harvester
VIRTUAL_MACHINE_IMAGES = Resource("harvesterhci.io", "v1beta1", "virtualmachineimages", "VirtualMachineImage")
KEY_PAIRS = Resource("harvesterhci.io", "v1beta1", "keypairs", "KeyPair")
SETTINGS = Resource("harvesterhci.io", "v1beta1", "settings", "Setting", namespaced=False)
LOAD_BALANCERS = Resource("loadbalancer.harvesterhci.io", "v1beta1", "loadbalancers", "LoadBalancer")
IP_POOLS = Resource("loadbalancer.harvesterhci.io", "v1beta1", "ippools", "IPPool", namespaced=False)
CLUSTER_NETWORKS = Resource("network.harvesterhci.io", "v1beta1", "clusternetworks", "ClusterNetwork", namespaced=False)

# Multus
NETWORK_ATTACHMENT_DEFINITIONS = Resource(
    "k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition"
)
