"""Structural schemas at work: unknown fields are dropped and told, defaults filled in, values checked.

Follows apiextensions/v1 for custom resources. Built-in kinds are decoded by typed code in a real server, so there a
value of the wrong type is a malformed request (400) and not an invalid object; ``types_alone`` serves that.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kube.errors import FieldCause
from simulator.kinds.schema import Schema

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def prune(schema: Schema, value: Any, path: str = "") -> list[str]:
    """Remove the fields that the schema does not know, in place; returns their paths."""
    unknown: list[str] = []
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        free = schema.get("additionalProperties")
        keeps = schema.get("x-kubernetes-preserve-unknown-fields", False) or schema.get("type") != "object"
        for name in list(value):
            child = join(path, name)
            if name in properties:
                unknown += prune(properties[name], value[name], child)
            elif free is not None:
                unknown += prune(free, value[name], child)
            elif not keeps:
                unknown.append(child)
                del value[name]
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            unknown += prune(schema["items"], item, f"{path}[{index}]")
    return unknown


def drop_nulls(schema: Schema, value: Any) -> None:
    """Remove null fields that the schema does not call nullable, in place: they mean absent."""
    if isinstance(value, dict):
        for name in list(value):
            child = _child(schema, name)
            if child is None:
                continue
            if value[name] is None and not child.get("nullable"):
                del value[name]
            else:
                drop_nulls(child, value[name])
    elif isinstance(value, list):
        for item in value:
            drop_nulls(schema.get("items", {}), item)


def fill_defaults(schema: Schema, value: Any) -> None:
    """Set absent fields to their defaults, in place, wherever the object around them is present."""
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name not in value and "default" in child:
                value[name] = child["default"]
        for name in value:
            child = _child(schema, name)
            if child is not None:
                fill_defaults(child, value[name])
    elif isinstance(value, list):
        for item in value:
            fill_defaults(schema.get("items", {}), item)


def validate(schema: Schema, value: Any, path: str = "") -> list[FieldCause]:
    """What is wrong with a value, as causes of an ``Invalid`` status."""
    return list(_validate(schema, value, path))


def types_alone(schema: Schema) -> Schema:
    """The schema of what typed code can decode at all: types, quantities and times, no further checks."""
    ignored = ("x-kubernetes-list-type", "minimum", "maximum", "minLength", "maxLength", "maxItems", "enum", "required")
    keeps_pattern = schema.get("x-kubernetes-int-or-string", False)
    kept = {
        name: value for name, value in schema.items() if name not in ignored and (name != "pattern" or keeps_pattern)
    }
    if "properties" in kept:
        kept["properties"] = {name: types_alone(child) for name, child in kept["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in kept:
            kept[name] = types_alone(kept[name])
    return kept


def join(path: str, name: str) -> str:
    """The path of a field below ``path``; names that are not plain stand in brackets."""
    if not path:
        return name
    return f"{path}.{name}" if re.fullmatch(r"[\w-]+", name) else f"{path}[{name}]"


def _validate(schema: Schema, value: Any, path: str) -> Iterator[FieldCause]:
    if value is None and schema.get("nullable"):
        return
    wanted = "integer or string" if schema.get("x-kubernetes-int-or-string") else schema.get("type")
    if wanted and not _has_type(value, wanted):
        yield FieldCause("FieldValueTypeInvalid", path, f"Invalid value: {_shown(value)}: must be of type {wanted}")
    elif isinstance(value, dict):
        yield from _validate_object(schema, value, path)
    elif isinstance(value, list):
        yield from _validate_list(schema, value, path)
    else:
        yield from _validate_scalar(schema, value, path)


def _has_type(value: Any, wanted: str) -> bool:
    if wanted == "integer or string":
        return isinstance(value, int | str) and not isinstance(value, bool)
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON_TYPES[wanted])


def _validate_object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[FieldCause]:
    for name in schema.get("required", ()):
        if name not in value:
            yield FieldCause("FieldValueRequired", join(path, name), "Required value")
    for name, item in value.items():
        child = _child(schema, name)
        if child is not None:
            yield from _validate(child, item, join(path, name))


def _validate_list(schema: Schema, value: list[Any], path: str) -> Iterator[FieldCause]:
    limit = schema.get("maxItems")
    if limit is not None and len(value) > limit:
        yield FieldCause("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {limit} items")
    for index, item in enumerate(value):
        yield from _validate(schema.get("items", {}), item, f"{path}[{index}]")
    yield from _validate_unique(schema, value, path)


def _validate_unique(schema: Schema, value: list[Any], path: str) -> Iterator[FieldCause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    seen = set()
    for index, item in enumerate(value):
        if kind == "map" and isinstance(item, dict):
            identity = repr([item.get(key) for key in schema["x-kubernetes-list-map-keys"]])
        else:
            identity = repr(item)
        if identity in seen:
            yield FieldCause("FieldValueDuplicate", f"{path}[{index}]", f"Duplicate value: {_shown(item)}")
        seen.add(identity)


def _validate_scalar(schema: Schema, value: Any, path: str) -> Iterator[FieldCause]:
    if "enum" in schema and value not in schema["enum"]:
        listed = ", ".join(f'"{allowed}"' for allowed in schema["enum"])
        message = f"Unsupported value: {_shown(value)}: supported values: {listed}"
        yield FieldCause("FieldValueNotSupported", path, message)
    if isinstance(value, str):
        yield from _validate_text(schema, value, path)
    elif isinstance(value, int | float):
        least, most = schema.get("minimum"), schema.get("maximum")
        if least is not None and value < least:
            message = f"should be greater than or equal to {least}"
            yield FieldCause("FieldValueInvalid", path, f"Invalid value: {_shown(value)}: {path} in body {message}")
        if most is not None and value > most:
            message = f"should be less than or equal to {most}"
            yield FieldCause("FieldValueInvalid", path, f"Invalid value: {_shown(value)}: {path} in body {message}")


def _validate_text(schema: Schema, value: str, path: str) -> Iterator[FieldCause]:
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least is not None and len(value) < least:
        message = f"Invalid value: {_shown(value)}: {path} in body should be at least {least} chars long"
        yield FieldCause("FieldValueInvalid", path, message)
    if most is not None and len(value) > most:
        yield FieldCause("FieldValueTooLong", path, f"Too long: may not be more than {most} bytes")
    pattern = schema.get("pattern")
    if pattern is not None and re.search(pattern, value) is None:
        message = f"Invalid value: {_shown(value)}: {path} in body should match '{pattern}'"
        yield FieldCause("FieldValueInvalid", path, message)
    if schema.get("format") == "date-time" and not _is_time(value):
        message = f"Invalid value: {_shown(value)}: {path} in body must be of type date-time"
        yield FieldCause("FieldValueInvalid", path, message)


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _child(schema: Schema, name: str) -> Schema | None:
    child: Schema | None = schema.get("properties", {}).get(name)
    return child if child is not None else schema.get("additionalProperties")


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else text[:100] + "…"
