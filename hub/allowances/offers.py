"""What a tenant may use in a cluster, told so that people can choose: the granted names, with what the cluster says of them.

The cluster is asked for the kinds that are granted and for nothing else. One that does not answer hides no grant: then
it is not known whether the thing exists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.federation.clients import ClusterUnavailable, client_for
from hub.federation.models import Cluster
from kube.client import KubeClient
from kube.errors import KubeError
from kube.resources import (
    NETWORK_ATTACHMENT_DEFINITIONS,
    STORAGE_CLASSES,
    VIRTUAL_MACHINE_IMAGES,
    Object,
    Resource,
    namespace_of,
)

from .models import Grant, GrantKind
from .querysets import ALL

# Address pools are not among them: the hub may not read those of a member, so they are shown by name alone.
_RESOURCES: Mapping[str, Resource] = {
    GrantKind.IMAGE: VIRTUAL_MACHINE_IMAGES,
    GrantKind.NETWORK: NETWORK_ATTACHMENT_DEFINITIONS,
    GrantKind.STORAGE_CLASS: STORAGE_CLASSES,
}
_VLAN_LABEL = "network.harvesterhci.io/vlan-id"
_DESCRIPTION = "field.cattle.io/description"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that may be used. ``title`` is for people; ``exists`` is None while the cluster does not say.

    ``details`` are what helps to choose: ``description``, ``progress`` of an image in percent, ``vlan`` of a network,
    ``default`` of a storage class.
    """

    kind: str
    name: str
    title: str
    exists: bool | None
    details: Mapping[str, str] = field(default_factory=dict)


def list_offers(grants: Iterable[Grant], cluster: Cluster) -> list[Offer]:
    """What these grants of one cluster allow, by kind and name; ``*`` is written out where the cluster answers."""
    names: dict[str, set[str]] = {}
    for grant in grants:
        names.setdefault(grant.kind, set()).add(grant.name)
    try:
        client: KubeClient | None = client_for(cluster) if names else None
    except ClusterUnavailable:
        client = None
    return [offer for kind in sorted(names) for offer in _offers(kind, names[kind], client)]


def _offers(kind: str, names: set[str], client: KubeClient | None) -> Sequence[Offer]:
    found = _look(kind, client)
    if found is None:
        return [Offer(kind, name, name, None) for name in sorted(names)]
    wanted = set(found) | names - {ALL} if ALL in names else names
    return [
        _describe(kind, name, found[name]) if name in found else Offer(kind, name, name, False)
        for name in sorted(wanted)
    ]


def _look(kind: str, client: KubeClient | None) -> dict[str, Object] | None:
    """What there is of a kind, by the name that grants give it; None when that is not known."""
    if client is None or kind not in _RESOURCES:
        return None
    try:
        found = client.list(_RESOURCES[kind])
    except KubeError:
        return None
    return {_name(one): one for one in found}


def _name(found: Object) -> str:
    namespace, name = namespace_of(found), str(found["metadata"]["name"])
    return f"{namespace}/{name}" if namespace else name


def _describe(kind: str, name: str, found: Object) -> Offer:
    metadata = found["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    details = {"description": str(annotations.get(_DESCRIPTION, ""))}
    title = name
    if kind == GrantKind.IMAGE:
        title = str(found.get("spec", {}).get("displayName") or name)
        details["progress"] = str((found.get("status") or {}).get("progress", 0))
    elif kind == GrantKind.NETWORK:
        details["vlan"] = str(labels.get(_VLAN_LABEL, ""))
    elif annotations.get(_DEFAULT_CLASS) == "true":
        details["default"] = "true"
    return Offer(kind, name, title, True, {key: value for key, value in details.items() if value})
