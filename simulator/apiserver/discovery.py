"""What is served: ``/api``, ``/apis`` and the resource lists that clients find kinds by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kube.resources import Object
from simulator.kinds import KindSpec

GroupVersion = tuple[str, str]


class Discovery:
    """The kinds of one server, and the resources of aggregated APIs that were mounted into it."""

    def __init__(self, kinds: Iterable[KindSpec]) -> None:
        self._resources: dict[GroupVersion, list[Object]] = {}
        for kind in kinds:
            key = (kind.resource.group, kind.resource.version)
            self._resources.setdefault(key, []).extend(_entries(kind))

    def add(self, group: str, version: str, resources: Sequence[Mapping[str, Any]]) -> None:
        """Tell of an aggregated API; ``resources`` are APIResource objects (name, namespaced, kind, verbs)."""
        self._resources[group, version] = [dict(resource) for resource in resources]

    def serves(self, group: str, version: str) -> bool:
        return (group, version) in self._resources

    def answer(self, path: str) -> Object | None:
        """The document at a discovery path, None when there is none."""
        match [part for part in path.split("/") if part]:
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                groups = sorted({group for group, _ in self._resources if group})
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(group) for group in groups]}
            case ["api", version]:
                return self._list("", version)
            case ["apis", group]:
                known = any(group == served for served, _ in self._resources)
                return {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)} if known else None
            case ["apis", group, version]:
                return self._list(group, version)
        return None

    def _group(self, group: str) -> Object:
        versions = [
            {"groupVersion": f"{group}/{version}", "version": version}
            for served, version in self._resources
            if served == group
        ]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _list(self, group: str, version: str) -> Object | None:
        resources = self._resources.get((group, version))
        if resources is None:
            return None
        told = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": told, "resources": resources}


def _entries(kind: KindSpec) -> list[Object]:
    resource = kind.resource
    main: Object = {
        "name": resource.plural,
        "singularName": kind.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    entries = [main]
    if kind.status:
        entries.append(_subresource(kind, "status", resource.kind, ["get", "patch", "update"]))
    for action in kind.actions:
        entries.append(_subresource(kind, action, *_ACTIONS[action]))
    return entries


def _subresource(kind: KindSpec, name: str, served: str, verbs: list[str]) -> Object:
    resource = kind.resource
    entry: Object = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if name == "token":
        entry |= {"group": "authentication.k8s.io", "version": "v1"}
    return entry | {"kind": served, "verbs": verbs}


_ACTIONS: dict[str, tuple[str, list[str]]] = {
    "finalize": ("Namespace", ["update"]),
    "token": ("TokenRequest", ["create"]),
}
