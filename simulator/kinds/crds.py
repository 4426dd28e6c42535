"""CustomResourceDefinitions made from the kind table, for a real API server."""

from collections.abc import Iterable
from typing import Any

from simulator.kinds.schema import Schema
from simulator.kinds.spec import Column, KindSpec

_STRATEGIC_PATCH_ONLY = ("x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key")


def build_crd(kind: KindSpec) -> dict[str, Any]:
    """One ``apiextensions.k8s.io/v1`` definition; ValueError for a kind that API servers have built in."""
    if kind.builtin:
        raise ValueError(f"{kind.key} is built into every API server and has no definition")
    resource = kind.resource
    names: dict[str, Any] = {
        "plural": resource.plural,
        "singular": kind.singular,
        "kind": resource.kind,
        "listKind": kind.list_kind,
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    if kind.categories:
        names["categories"] = list(kind.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.key},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def build_crds(kinds: Iterable[KindSpec]) -> list[dict[str, Any]]:
    """The definitions of all kinds that are not built in, by name."""
    crds = [build_crd(kind) for kind in kinds if not kind.builtin]
    return sorted(crds, key=lambda crd: str(crd["metadata"]["name"]))


def _version(kind: KindSpec) -> dict[str, Any]:
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    schema = kind.schema | {"properties": head | kind.schema.get("properties", {})}
    version: dict[str, Any] = {
        "name": kind.resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _publishable(schema)},
        "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
    }
    if kind.status:
        version["subresources"] = {"status": {}}
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": f".{path}"} for path in kind.selectable]
    return version


def _printer_column(column: Column) -> dict[str, Any]:
    built: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return built | {"priority": column.priority} if column.priority else built


def _publishable(node: Schema) -> Schema:
    """The schema without what only built-in kinds may say (strategic merge patch does not exist for custom ones)."""
    built = {key: value for key, value in node.items() if key not in _STRATEGIC_PATCH_ONLY}
    if "properties" in node:
        built["properties"] = {name: _publishable(child) for name, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in node:
            built[key] = _publishable(node[key])
    return built
