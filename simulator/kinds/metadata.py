"""The schema of ``metadata``, one for all kinds, with the list and map types that field ownership needs."""

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


def object_schema(schema: Schema) -> Schema:
    """The whole object's schema: ``schema`` with apiVersion, kind and metadata in front."""
    head = {"apiVersion": text(), "kind": text(), "metadata": OBJECT_META}
    return schema | {"type": "object", "properties": head | schema.get("properties", {})}
