"""The subset of JSON path that printer columns use: ``.a.b``, ``[0]``, ``[*]`` and ``[?(@.type=='Ready')]``."""

import re
from functools import cache
from typing import Any

_STEP = re.compile(
    r"\.(?P<field>[\w/-]+)|\[(?P<index>\d+)\]|\[(?P<all>\*)\]"
    r"|\[\?\(@\.(?P<key>\w+)\s*==\s*['\"](?P<value>[^'\"]*)['\"]\)\]"
)


def first(value: Any, path: str) -> Any:
    """The first value at the path, None when there is none."""
    found = [value]
    for step in _steps(path):
        found = [below for item in found for below in _below(item, step)]
    return found[0] if found else None


@cache
def _steps(path: str) -> tuple[dict[str, str | None], ...]:
    steps = [match.groupdict() for match in _STEP.finditer(path)]
    if "".join(match.group() for match in _STEP.finditer(path)) != path:
        raise ValueError(f"not a path that columns may have: {path}")
    return tuple(steps)


def _below(item: Any, step: dict[str, str | None]) -> list[Any]:
    if step["field"]:
        return [item[step["field"]]] if isinstance(item, dict) and step["field"] in item else []
    if not isinstance(item, list):
        return []
    if step["index"]:
        return item[int(step["index"]) :][:1]
    if step["all"]:
        return item
    return [child for child in item if isinstance(child, dict) and str(child.get(step["key"])) == step["value"]]
