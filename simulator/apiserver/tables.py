"""``meta.k8s.io/v1 Table``: objects as the rows that ``kubectl get`` prints."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from kube import resources
from kube.resources import Object, Resource
from simulator.apiserver.jsonpath import first
from simulator.kinds import Column, KindSpec

Cell = Callable[[Object], Any]

_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace.",
    "priority": 0,
}


def build_table(kind: KindSpec, objects: Iterable[Object], include: str, metadata: Object) -> Object:
    """The table of some objects; ``include`` is the query's includeObject, ``metadata`` that of the list."""
    columns = _columns(kind)
    rows = [
        {"cells": [obj["metadata"]["name"], *(cell(obj) for _, cell in columns)], "object": _included(obj, include)}
        for obj in objects
    ]
    definitions = [_NAME, *(_definition(column) for column, _ in columns)]
    table: Object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return table | {"columnDefinitions": definitions, "rows": rows}


def age(timestamp: str) -> str:
    """How long ago, in the two largest units that say something: ``45s``, ``12m``, ``3h20m``, ``5d``."""
    try:
        seconds = int((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds())
    except ValueError:
        return "<invalid>"
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def _columns(kind: KindSpec) -> list[tuple[Column, Cell]]:
    special = _BUILT_IN.get(kind.resource, ())
    return [*special, *((column, _cell(column)) for column in kind.columns)]


def _cell(column: Column) -> Cell:
    def value(obj: Object) -> Any:
        found = first(obj, column.path)
        if column.type == "date":
            return age(found) if found else "<unknown>"
        if found is None:
            return None if column.type in ("integer", "number", "boolean") else ""
        return ",".join(map(str, found)) if isinstance(found, list) else found

    return value


def _definition(column: Column) -> Object:
    kind = "string" if column.type == "date" else column.type
    return {"name": column.name, "type": kind, "format": "", "description": "", "priority": column.priority}


def _included(obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _node_status(node: Object) -> str:
    ready = first(node, ".status.conditions[?(@.type=='Ready')].status")
    words = ["Ready" if ready == "True" else "NotReady" if ready == "False" else "Unknown"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or "<none>"


def _node_address(kind: str) -> Cell:
    return lambda node: first(node, f".status.addresses[?(@.type=='{kind}')].address") or "<none>"


def _pod_ready(pod: Object) -> str:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return f"{sum(bool(item.get('ready')) for item in statuses)}/{len(pod['spec'].get('containers') or [])}"


def _data_count(obj: Object) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


def _service_ports(service: Object) -> str:
    ports = service.get("spec", {}).get("ports") or []
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


_BUILT_IN: dict[Resource, tuple[tuple[Column, Cell], ...]] = {
    resources.NODES: (
        (Column("Status", ""), _node_status),
        (Column("Roles", ""), _node_roles),
        (Column("Version", ""), lambda node: first(node, ".status.nodeInfo.kubeletVersion") or ""),
        (Column("Internal-IP", "", priority=1), _node_address("InternalIP")),
        (Column("External-IP", "", priority=1), _node_address("ExternalIP")),
    ),
    resources.PODS: ((Column("Ready", ""), _pod_ready),),
    resources.SECRETS: ((Column("Data", "", "integer"), _data_count),),
    resources.CONFIG_MAPS: ((Column("Data", "", "integer"), _data_count),),
    resources.SERVICES: ((Column("Port(s)", ""), _service_ports),),
}
