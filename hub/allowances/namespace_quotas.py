"""What a project's namespace in a cluster may take there: the data of a ResourceQuota and a LimitRange.

The hub's own ledger limits what is ordered here; these limits also hold for whoever works in the namespace directly.
Pure data: the namespace's reconciler writes the objects. A ResourceQuota of Kubernetes counts what VMs' pods may take,
which is a VM's limit and KubeVirt's overhead, as ``amounts`` does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hub.federation.models import ClusterKind, ProjectNamespace

from .amounts import Amounts
from .models import Quota
from .querysets import namespace_defaults

# Each of our resources by its name in a ResourceQuota and the suffix of its unit; the second table only where the kinds are.
_HARD: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "cpu": ("limits.cpu", ""),
        "memory": ("limits.memory", "Mi"),
        "storage": ("requests.storage", "Gi"),
        "claims": ("persistentvolumeclaims", ""),
    }
)
_HARD_ON_HARVESTER: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "vms": ("count/virtualmachines.kubevirt.io", ""),
        "load_balancers": ("count/loadbalancers.loadbalancer.harvesterhci.io", ""),
    }
)
# What a container gets that names no limits: without, a quota on limits would refuse its pod. VMs name their own.
CONTAINER_LIMITS: Mapping[str, str] = MappingProxyType({"cpu": "500m", "memory": "512Mi"})
CONTAINER_REQUESTS: Mapping[str, str] = MappingProxyType({"cpu": "10m", "memory": "64Mi"})

# While a VM migrates there are two of it; Harvester notes on the ResourceQuota that it has raised it for that time. The
# older form carries the VM's name, the newer its uid.
_MIGRATING_PREFIXES = ("harvesterhci.io/migratingUID-", "harvesterhci.io/migrating-")
_MIGRATING_COMPENSATION = "harvesterhci.io/migratingCompensation"


@dataclass(frozen=True, slots=True)
class NamespaceQuota:
    """``hard`` is that of a ResourceQuota; the defaults are those of a LimitRange for containers, None without need."""

    hard: Mapping[str, str]
    container_limits: Mapping[str, str] | None
    container_requests: Mapping[str, str] | None


def namespace_quota(namespace: ProjectNamespace) -> NamespaceQuota | None:
    """The limits of one namespace; None where nothing is limited. One query, and the namespace's cluster.

    The project's namespace defaults count, those of this cluster before those of all; without them the narrowest of all
    shares and budgets that hold here. Several namespaces of a project in one cluster have the same limits each. In a
    tenant's own cluster only what is set for that cluster counts: the budget was taken by the machines that it is made of.
    """
    cluster = namespace.cluster
    quotas = Quota.objects.that_hold(namespace.tenant_id, namespace.project_id, cluster.pk)
    if cluster.tenant_id is not None:
        quotas = [quota for quota in quotas if quota.cluster_id == cluster.pk]
    return render_namespace_quota(_limits(quotas), on_harvester=cluster.kind == ClusterKind.HARVESTER)


def render_namespace_quota(limits: Amounts, *, on_harvester: bool) -> NamespaceQuota | None:
    """Limits in the words of Kubernetes; None when there is none."""
    names = {**_HARD, **(_HARD_ON_HARVESTER if on_harvester else {})}
    hard = {key: f"{limits[name]}{suffix}" for name, (key, suffix) in names.items() if name in limits}
    if not hard:
        return None
    needs_defaults = bool({"cpu", "memory"} & set(limits))
    return NamespaceQuota(
        hard, CONTAINER_LIMITS if needs_defaults else None, CONTAINER_REQUESTS if needs_defaults else None
    )


def is_stretched(annotations: Mapping[str, str]) -> bool:
    """Whether Harvester has raised a ResourceQuota with these annotations for a VM that migrates: leave it alone (TEN9)."""
    return any(
        name.startswith(_MIGRATING_PREFIXES) or (name == _MIGRATING_COMPENSATION and bool(value))
        for name, value in annotations.items()
    )


def _limits(quotas: Iterable[Quota]) -> dict[str, int]:
    narrowest: dict[str, int] = {}
    for quota in quotas:
        for resource, limit in quota.limits.items():
            narrowest[resource] = min(limit, narrowest.get(resource, limit))
    return narrowest | namespace_defaults(quotas)
