"""The quota of a project's namespace, pushed into the member: a ResourceQuota and a LimitRange of the hub's own.

How much it is, is ``hub.allowances``'s. Quotas of other managers are left alone; Kubernetes enforces all of them. While a VM
migrates there are two of it, for which Harvester stretches the quota: until it is done, ours stays as it is (TEN9).
"""

from collections.abc import Mapping

from hub.allowances.namespace_quotas import NamespaceQuota, is_stretched
from hub.federation.member_access import when_allowed
from hub.federation.member_objects import build_limit_range, build_resource_quota
from hub.federation.registration import apply_object, is_ours
from hub.federation.rights import HubMark
from kube.client import KubeClient
from kube.resources import LIMIT_RANGES, RESOURCE_QUOTAS, VIRTUAL_MACHINE_INSTANCE_MIGRATIONS, Object, Resource

MIGRATED = frozenset({"Succeeded", "Failed"})


class NameTaken(Exception):
    """Somebody else has an object of the name that the hub's has; ``what`` names it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def keep_quota(
    client: KubeClient, mark: HubMark, namespace: str, quota: NamespaceQuota | None, *, with_machines: bool
) -> None:
    """Brings quota and defaults to what is wanted; None takes ours away. Raises NameTaken, KubeError."""
    wanted: dict[Resource, Object] = {}
    if quota is not None:
        wanted[RESOURCE_QUOTAS] = build_resource_quota(mark, namespace, quota.hard)
        if quota.container_limits or quota.container_requests:
            defaults = (quota.container_limits or {}, quota.container_requests or {})
            wanted[LIMIT_RANGES] = build_limit_range(mark, namespace, *defaults)
    found: dict[Resource, list[Object]] = {}

    def read() -> None:
        found.update({resource: client.list(resource, namespace) for resource in (RESOURCE_QUOTAS, LIMIT_RANGES)})

    when_allowed(read)
    for resource in (LIMIT_RANGES, RESOURCE_QUOTAS):
        if resource == RESOURCE_QUOTAS and with_machines and _is_in_use(client, mark, namespace, found[resource]):
            continue
        _keep(client, mark, namespace, resource, found[resource], wanted.get(resource))


def _keep(
    client: KubeClient, mark: HubMark, namespace: str, resource: Resource, found: list[Object], wanted: Object | None
) -> None:
    name = wanted["metadata"]["name"] if wanted else None
    for obj in found:
        metadata = obj["metadata"]
        if is_ours(obj, mark) and metadata["name"] != name:
            client.delete(resource, metadata["name"], namespace, uid=metadata["uid"])
        elif metadata["name"] == name and not is_ours(obj, mark):
            raise NameTaken(f"{resource.kind} {name}")
    if wanted is not None:
        apply_object(client, wanted)


def _is_in_use(client: KubeClient, mark: HubMark, namespace: str, quotas: list[Object]) -> bool:
    """Whether a VM migrates here: Harvester's note on our quota says so, or a migration that has not ended."""
    notes: list[Mapping[str, str]] = [obj["metadata"].get("annotations") or {} for obj in quotas if is_ours(obj, mark)]
    if not notes:
        return False
    if any(map(is_stretched, notes)):
        return True
    migrations = client.list(VIRTUAL_MACHINE_INSTANCE_MIGRATIONS, namespace)
    return any((obj.get("status") or {}).get("phase") not in MIGRATED for obj in migrations)
