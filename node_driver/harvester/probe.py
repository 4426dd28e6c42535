"""Whether a cluster answers, is a Harvester, and lets the driver do its work."""

from __future__ import annotations

from collections.abc import Iterator

from kube.client import KubeClient
from kube.errors import KubeError
from kube.resources import (
    KEY_PAIRS,
    NETWORK_ATTACHMENT_DEFINITIONS,
    SETTINGS,
    STORAGE_CLASSES,
    SUBRESOURCE_VIRTUAL_MACHINES,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINES,
)
from node_driver.types import Probe

READ_EVERYWHERE = (VIRTUAL_MACHINE_IMAGES, NETWORK_ATTACHMENT_DEFINITIONS, STORAGE_CLASSES)
"""What settings name may lie in any namespace. Rights inside a machine's own namespace are not asked here: the
account may have them in some namespaces only, and a missing one is AccessDenied at the first call there."""

USED = (*READ_EVERYWHERE, VIRTUAL_MACHINES, KEY_PAIRS, SUBRESOURCE_VIRTUAL_MACHINES)


def probe(client: KubeClient) -> Probe:
    try:
        groups = client.api_groups()
        version = _harvester_version(client)
        missing = (*_missing_groups(groups), *_missing_rights(client))
    except KubeError as error:
        return Probe(reachable=False, message=error.message)
    return Probe(reachable=True, version=version, missing=missing)


def _harvester_version(client: KubeClient) -> str | None:
    setting = client.find(SETTINGS, "server-version")
    return (setting.get("value") or setting.get("default")) if setting else None


def _missing_groups(groups: dict[str, list[str]]) -> Iterator[str]:
    for group, version in sorted({(resource.group, resource.version) for resource in USED}):
        if version not in groups.get(group, []):
            yield f"the API {group}/{version} is not served"


def _missing_rights(client: KubeClient) -> Iterator[str]:
    for resource in READ_EVERYWHERE:
        if not client.can_i("get", resource):
            yield f"the right to get {resource.plural} in all namespaces"
