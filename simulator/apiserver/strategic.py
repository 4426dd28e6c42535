"""Strategic merge patch of built-in kinds: merge patch that merges some lists by key, with its ``$`` directives."""

from typing import Any

from simulator.apiserver.fieldsets import child_schema
from simulator.apiserver.status import bad_request
from simulator.kinds.schema import Schema

_REMOVED_FROM = "$deleteFromPrimitiveList/"
_ORDER_OF = "$setElementOrder/"


def apply_strategic(schema: Schema, target: Any, patch: Any) -> Any:
    """The patched value; nothing given is changed. Raises ApiError 400 for a directive that makes no sense."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "delete":
        return None
    if directive not in (None, "replace", "merge"):
        raise bad_request(f"unknown $patch directive {str(directive)[:40]!r}")
    result = dict(target) if isinstance(target, dict) and directive != "replace" else {}
    retained = patch.get("$retainKeys")
    if retained is not None:
        result = {name: value for name, value in result.items() if name in retained}
    for name, value in patch.items():
        if name.startswith("$"):
            _apply_directive(result, name, value)
        else:
            _set(child_schema(schema, name), result, name, value)
    return result


def _set(schema: Schema, result: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        result.pop(name, None)
    elif isinstance(value, list) and schema.get("x-kubernetes-patch-strategy") == "merge":
        result[name] = _merge_list(schema, result.get(name) or [], value)
    elif isinstance(value, dict):
        merged = apply_strategic(schema, result.get(name), value)
        if merged is None:
            result.pop(name, None)
        else:
            result[name] = merged
    else:
        result[name] = value


def _apply_directive(result: dict[str, Any], directive: str, value: Any) -> None:
    """Directives that name a list beside them; an order is a wish, and merged lists keep theirs."""
    if directive.startswith(_REMOVED_FROM):
        name = directive.removeprefix(_REMOVED_FROM)
        result[name] = [item for item in result.get(name) or [] if item not in value]
    elif directive not in ("$patch", "$retainKeys") and not directive.startswith(_ORDER_OF):
        raise bad_request(f"unknown directive {directive[:60]!r}")


def _merge_list(schema: Schema, target: list[Any], patch: list[Any]) -> list[Any]:
    key = schema.get("x-kubernetes-patch-merge-key")
    if key is None:
        return target + [item for item in patch if item not in target]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    merged = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"an item of a merged list needs its key {key!r}")
        place = next((index for index, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif place is None:
            merged.append(apply_strategic(schema["items"], None, item))
        else:
            merged[place] = apply_strategic(schema["items"], merged[place], item)
    return merged
