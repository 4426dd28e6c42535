"""Merging and taking apart of objects by schema, the way server-side apply does: lists that are maps by their keys."""

from typing import Any

from simulator.apiserver.fieldsets import FieldSet, Path, child_schema, is_granular, item_element, step
from simulator.kinds.schema import Schema


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """``live`` with everything that ``config`` says; neither is changed.

    Items of granular lists keep the order of ``config``; items that only ``live`` has stay where they were.
    """
    if not is_granular(schema, config) or type(live) is not type(config):
        return config
    if isinstance(config, dict):
        merged = dict(live)
        for name, value in config.items():
            child = child_schema(schema, name)
            merged[name] = merge(child, live[name], value) if name in live else value
        return merged
    return _merge_items(schema, live, config)


def without(schema: Schema, value: Any, paths: FieldSet) -> Any:
    """The value without the fields and items at ``paths``; it is not changed itself."""
    return _without(schema, value, (), paths) if paths else value


def _merge_items(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    old = {item_element(schema, item): item for item in live}
    pending = {item_element(schema, item): item for item in config}
    wanted = set(pending)
    items = schema.get("items", {})
    merged: list[Any] = []

    def take_next() -> str:
        element = next(iter(pending))
        item = pending.pop(element)
        merged.append(merge(items, old[element], item) if element in old else item)
        return element

    for element, item in old.items():
        if element not in wanted:
            merged.append(item)
            continue
        while element in pending:
            take_next()
    while pending:
        take_next()
    return merged


def _without(schema: Schema, value: Any, path: Path, paths: FieldSet) -> Any:
    if not is_granular(schema, value):
        return value
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if (*path, f"f:{name}") not in paths}
        return {
            name: _without(child_schema(schema, name), item, (*path, f"f:{name}"), paths) for name, item in kept.items()
        }
    elements = ((item_element(schema, item), item) for item in value)
    return [
        _without(step(schema, element), item, (*path, element), paths)
        for element, item in elements
        if (*path, element) not in paths
    ]
