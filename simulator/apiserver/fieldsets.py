"""Sets of field paths, as server-side apply keeps them per manager (``FieldsV1``).

A path is a tuple of elements in wire form: ``f:name`` a field, ``k:{"name":"a"}`` an item of a list that is a map,
``v:"x"`` an item of a list that is a set. The schema says which lists and maps are owned item by item and which as a
whole; what it does not describe is owned field by field, lists in it as a whole.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from simulator.kinds.schema import Schema

Path = tuple[str, ...]
FieldSet = frozenset[Path]

_MISSING: Final = object()


@dataclass(slots=True)
class Comparison:
    """What differs between two objects, by path."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def encode(paths: Iterable[Path]) -> dict[str, Any]:
    """The ``fieldsV1`` tree of a set; a member that has members below it carries ``.``."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_lonely_dots(tree)


def _without_lonely_dots(tree: dict[str, Any]) -> dict[str, Any]:
    if tree.keys() == {"."}:
        return {}
    return {element: _without_lonely_dots(below) if element != "." else below for element, below in tree.items()}


def decode(tree: dict[str, Any], prefix: Path = ()) -> FieldSet:
    """The set of a ``fieldsV1`` tree."""
    paths: set[Path] = set()
    for element, below in tree.items():
        if element == ".":
            paths.add(prefix)
        elif below:
            paths |= decode(below, (*prefix, element))
        else:
            paths.add((*prefix, element))
    return frozenset(paths)


def fields_of(schema: Schema, obj: Any) -> FieldSet:
    """All that an applied configuration sets."""
    paths: set[Path] = set()
    _collect(schema, obj, (), paths)
    return frozenset(paths)


def compare(schema: Schema, old: Any, new: Any) -> Comparison:
    """What was added, modified and removed from ``old`` to ``new``; containers that came or went count as well."""
    result = Comparison()
    for name in {**old, **new}:
        child = child_schema(schema, name)
        _compare(child, old.get(name, _MISSING), new.get(name, _MISSING), (f"f:{name}",), result)
    return result


def with_named_parents(schema: Schema, paths: Iterable[Path]) -> FieldSet:
    """The set and every field with a name in the schema that leads to one of its members."""
    members = set(paths)
    for path in list(members):
        node = schema
        for depth, element in enumerate(path[:-1], start=1):
            if element.startswith("f:") and element[2:] in node.get("properties", {}):
                members.add(path[:depth])
            node = step(node, element)
    return frozenset(members)


def is_granular(schema: Schema, value: Any) -> bool:
    """Whether the value's fields or items are owned one by one."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") != "atomic"
    return isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set")


def child_schema(schema: Schema, name: str) -> Schema:
    """The schema of a field, {} where nothing is said."""
    child: Schema | None = schema.get("properties", {}).get(name)
    if child is None:
        child = schema.get("additionalProperties")
    return child or {}


def step(schema: Schema, element: str) -> Schema:
    """The schema one path element further down."""
    if element.startswith("f:"):
        return child_schema(schema, element[2:])
    items: Schema = schema.get("items", {})
    return items


def item_element(schema: Schema, item: Any) -> str:
    """The path element of an item of a granular list."""
    if schema.get("x-kubernetes-list-type") == "set" or not isinstance(item, dict):
        return "v:" + orjson.dumps(item).decode()
    properties = schema.get("items", {}).get("properties", {})
    keys = {key: item.get(key, properties.get(key, {}).get("default")) for key in schema["x-kubernetes-list-map-keys"]}
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def shown(path: Path) -> str:
    """A path as people read it: ``.spec.ports[port=80,protocol="TCP"]``."""
    text = ""
    for element in path:
        if element.startswith("f:"):
            text += f".{element[2:]}"
        elif element.startswith("v:"):
            text += f"[={element[2:]}]"
        else:
            keys = orjson.loads(element[2:])
            text += "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
    return text


def _collect(schema: Schema, value: Any, path: Path, into: set[Path]) -> None:
    if not is_granular(schema, value):
        into.add(path)
    elif isinstance(value, dict):
        for name, item in value.items():
            child = (*path, f"f:{name}")
            _collect(child_schema(schema, name), item, child, into)
            if item is None or item == {} or name not in schema.get("properties", {}):
                into.add(child)
    else:
        for item in value:
            child = (*path, item_element(schema, item))
            _collect(schema.get("items", {}), item, child, into)
            into.add(child)


def _compare(schema: Schema, old: Any, new: Any, path: Path, result: Comparison) -> None:
    present = new if old is _MISSING else old
    if is_granular(schema, present) and (new is _MISSING or old is _MISSING or type(old) is type(new)):
        if isinstance(present, dict):
            _compare_children(old, new, lambda name, _: f"f:{name}", schema, path, result)
        else:
            _compare_children(*_keyed(schema, old, new), lambda element, _: element, schema, path, result)
        if old is _MISSING:
            result.added.add(path)
        elif new is _MISSING:
            result.removed.add(path)
    elif old is _MISSING:
        result.added.add(path)
    elif new is _MISSING:
        result.removed.add(path)
    elif old != new:
        result.modified.add(path)


def _compare_children(
    old: Any, new: Any, element: Callable[[str, Any], str], schema: Schema, path: Path, result: Comparison
) -> None:
    old = {} if old is _MISSING else old
    new = {} if new is _MISSING else new
    for name in {**old, **new}:
        below = element(name, None)
        _compare(step(schema, below), old.get(name, _MISSING), new.get(name, _MISSING), (*path, below), result)


def _keyed(schema: Schema, old: Any, new: Any) -> tuple[Any, Any]:
    sides = [side if side is _MISSING else {item_element(schema, item): item for item in side} for side in (old, new)]
    return sides[0], sides[1]
