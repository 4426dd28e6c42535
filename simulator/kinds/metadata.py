"""The schema of ``metadata``, one for all kinds, with the list and map types that field ownership needs."""

from functools import cache
from typing import Final

from simulator.kinds.schema import (
    Schema,
    array,
    boolean,
    integer,
    list_map,
    list_set,
    mapping,
    open_struct,
    struct,
    text,
    timestamp,
)
from simulator.kinds.spec import KindSpec

_OWNER: Final[Schema] = struct(
    {
        "apiVersion": text(),
        "kind": text(),
        "name": text(),
        "uid": text(),
        "controller": boolean(),
        "blockOwnerDeletion": boolean(),
    },
    atomic=True,
)

_MANAGED_FIELDS: Final[Schema] = struct(
    {
        "manager": text(),
        "operation": text(),
        "apiVersion": text(),
        "time": timestamp(),
        "fieldsType": text(),
        "fieldsV1": open_struct(),
        "subresource": text(),
    }
)

OBJECT_META: Final[Schema] = struct(
    {
        "name": text(),
        "generateName": text(),
        "namespace": text(),
        "selfLink": text(),
        "uid": text(),
        "resourceVersion": text(),
        "generation": integer(),
        "creationTimestamp": timestamp() | {"nullable": True},
        "deletionTimestamp": timestamp(),
        "deletionGracePeriodSeconds": integer(),
        "labels": mapping(text()),
        "annotations": mapping(text()),
        "ownerReferences": list_map(_OWNER, "uid"),
        "finalizers": list_set(text()),
        "managedFields": array(_MANAGED_FIELDS),
    }
)

#: Metadata of a template inside another object: what the template's maker may set.
TEMPLATE_META: Final[Schema] = struct(
    {name: OBJECT_META["properties"][name] for name in ("name", "namespace", "labels", "annotations", "finalizers")}
)


@cache
def object_schema(kind: KindSpec) -> Schema:
    """The schema of the kind's whole object: its own with apiVersion, kind and metadata in front."""
    head = {"apiVersion": text(), "kind": text(), "metadata": OBJECT_META}
    return kind.schema | {"type": "object", "properties": head | kind.schema.get("properties", {})}
