"""A namespace's ResourceQuota against the machines that run in it: limits.cpu and limits.memory (harvester-vm §2.1)."""

from collections.abc import Iterable
from decimal import Decimal

from kube.aio import AsyncKubeClient
from kube.quantity import parse_quantity
from kube.resources import RESOURCE_QUOTAS, Object
from simulator.controllers.run_strategy import is_final
from simulator.controllers.scheduling import limits_of


class QuotaExceeded(Exception):
    """One more instance would be beyond a quota of the namespace; the message says which limit and by how much."""


async def check_quota(client: AsyncKubeClient, instance: Object, instances: Iterable[Object]) -> None:
    """Raises QuotaExceeded when the instance does not fit beside those that run in its namespace."""
    namespace = instance["metadata"]["namespace"]
    page = await client.list_page(RESOURCE_QUOTAS, namespace, limit=100)
    if not page.items:
        return
    running = [i for i in instances if i["metadata"].get("namespace") == namespace and not is_final(i)]
    wanted, used = limits_of(instance), [limits_of(other) for other in running]
    demands = {
        "limits.cpu": (wanted.cpu, sum((d.cpu for d in used), Decimal(0))),
        "limits.memory": (wanted.memory, sum((d.memory for d in used), Decimal(0))),
    }
    for quota in page.items:
        hard = quota.get("spec", {}).get("hard") or {}
        for name, (more, taken) in demands.items():
            if name in hard and taken + more > parse_quantity(str(hard[name])):
                told = f"requested: {name}={more:f}, used: {name}={taken:f}, limited: {name}={hard[name]}"
                raise QuotaExceeded(f"exceeded quota: {quota['metadata']['name']}, {told}")
