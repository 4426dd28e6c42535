"""Words for writing structural OpenAPI v3 schemas (apiextensions/v1) briefly.

Each function returns a new JSON schema node as a plain dict. What the nodes mean (pruning, defaulting, validation,
list types) is enforced by a real API server once they stand in a CRD, and by ``simulator.apiserver`` for its own kinds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

#: The grammar of a Kubernetes quantity: optional sign, decimal number, optional suffix or exponent.
_NUMBER = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
QUANTITY_PATTERN = rf"^(\+|-)?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?{_NUMBER}))?$"


def text(
    *,
    enum: Sequence[str] | None = None,
    pattern: str | None = None,
    default: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    description: str | None = None,
) -> Schema:
    """A string."""
    return _with(
        {"type": "string"},
        enum=list(enum) if enum else None,
        pattern=pattern,
        default=default,
        minLength=min_length,
        maxLength=max_length,
        description=description,
    )


def integer(*, minimum: int | None = None, maximum: int | None = None, default: int | None = None) -> Schema:
    """A whole number of at most 64 bits."""
    node: Schema = {"type": "integer", "format": "int64"}
    return _with(node, minimum=minimum, maximum=maximum, default=default)


def boolean(*, default: bool | None = None) -> Schema:
    """True or false."""
    return _with({"type": "boolean"}, default=default)


def timestamp() -> Schema:
    """An RFC 3339 time."""
    return {"type": "string", "format": "date-time"}


def base64_bytes() -> Schema:
    """Bytes, base64-encoded on the wire."""
    return {"type": "string", "format": "byte"}


def quantity() -> Schema:
    """A Kubernetes quantity: a number, or a string such as ``4Gi``."""
    return {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY_PATTERN,
        "x-kubernetes-int-or-string": True,
    }


def int_or_string() -> Schema:
    """A port or a percentage: a number or a string."""
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}


def struct(properties: Mapping[str, Schema], *, required: Sequence[str] = (), atomic: bool = False) -> Schema:
    """An object with exactly these fields; others are pruned. ``atomic``: one owner for the whole of it."""
    node: Schema = {"type": "object", "properties": dict(properties)}
    return _with(
        node, required=list(required) or None, **{"x-kubernetes-map-type": "atomic"} if atomic else {"atomic": None}
    )


def open_struct(properties: Mapping[str, Schema] | None = None, *, required: Sequence[str] = ()) -> Schema:
    """An object whose further fields are kept as they come."""
    node = struct(properties or {}, required=required)
    if not properties:
        del node["properties"]
    return node | {"x-kubernetes-preserve-unknown-fields": True}


def mapping(values: Schema) -> Schema:
    """An object with free keys and values of one shape (labels, limits)."""
    return {"type": "object", "additionalProperties": values}


def array(items: Schema, *, max_items: int | None = None) -> Schema:
    """A list that is owned and replaced as a whole."""
    return _with({"type": "array", "items": items, "x-kubernetes-list-type": "atomic"}, maxItems=max_items)


def list_map(items: Schema, *keys: str) -> Schema:
    """A list whose items are told apart by ``keys``; strategic merge patch knows the first of them only."""
    return {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": keys[0],
    }


def list_set(items: Schema) -> Schema:
    """A list of unique scalars, each owned on its own."""
    return {
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "set",
        "x-kubernetes-patch-strategy": "merge",
    }


def conditions(**looked_at: Schema) -> Schema:
    """Status conditions of custom resources: one list, replaced as a whole.

    ``looked_at`` is the field with the time of the last look, which KubeVirt and Harvester call differently.
    """
    fields = {
        "type": text(),
        "status": text(),
        "reason": text(),
        "message": text(),
        "lastTransitionTime": text(),
    } | looked_at
    return array(struct(fields, required=["type", "status"]))


def _with(node: Schema, **extra: Any) -> Schema:
    return node | {key: value for key, value in extra.items() if value is not None}
