"""Whether a cluster answers, is a Harvester, and lets the driver do its work."""

from __future__ import annotations

from collections.abc import Iterator

from kube.client import KubeClient
from kube.errors import KubeError
from kube.resources import (
    KEY_PAIRS,
    NETWORK_ATTACHMENT_DEFINITIONS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    SETTINGS,
    STORAGE_CLASSES,
    SUBRESOURCE_VIRTUAL_MACHINES,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Resource,
)
from node_driver.types import Probe

CHANGED = ("get", "list", "create", "patch", "delete")
RIGHTS: dict[Resource, tuple[str, ...]] = {
    VIRTUAL_MACHINES: CHANGED,
    SECRETS: CHANGED,
    PERSISTENT_VOLUME_CLAIMS: CHANGED,
    KEY_PAIRS: CHANGED,
    VIRTUAL_MACHINE_INSTANCES: ("get", "list", "delete"),
    VIRTUAL_MACHINE_IMAGES: ("get",),
    NETWORK_ATTACHMENT_DEFINITIONS: ("get",),
    STORAGE_CLASSES: ("get",),
}
"""What the driver asks of the API, for whoever writes the account's role. SUBRESOURCE_RIGHTS belong to it."""

SUBRESOURCE_RIGHTS = ((SUBRESOURCE_VIRTUAL_MACHINES, ("start", "restart")),)


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
    wanted = {(resource.group, resource.version) for resource in (*RIGHTS, SUBRESOURCE_VIRTUAL_MACHINES)}
    for group, version in sorted(wanted):
        if version not in groups.get(group, []):
            yield f"the API {group}/{version} is not served"


def _missing_rights(client: KubeClient) -> Iterator[str]:
    for resource, verbs in RIGHTS.items():
        for verb in verbs:
            if not client.can_i(verb, resource):
                yield f"the right to {verb} {resource.plural}"
    for resource, actions in SUBRESOURCE_RIGHTS:
        for action in actions:
            if not client.can_i("update", resource, subresource=action):
                yield f"the right to update {resource.plural}/{action} of {resource.group}"
