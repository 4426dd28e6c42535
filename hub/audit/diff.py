"""What changed, as the trail keeps it: ``{field: [before, after]}`` with secrets masked. Pure.

A secret is masked by three nets: the caller names its fields, a sealed value masks itself, and what is named or looks like
a secret is masked wherever it lies. That a secret was set, changed or taken away stays visible.
"""

from collections.abc import Collection, Mapping
from typing import Any

from hub.core.logs import MASK, is_secret_name, mask_secrets
from hub.core.sealed import Sealed

Changes = dict[str, list[Any]]

TEXT_LIMIT = 1024  # of one text; the trail tells what changed and is no store of documents
ITEMS_LIMIT = 200  # of one list or object
DEEPEST = 8
CUT = "… (cut)"


def diff(before: Mapping[str, Any], after: Mapping[str, Any], secret_fields: Collection[str] = ()) -> Changes:
    """The fields that differ. A field that is only in one of the two is None in the other; so is an empty secret.

    Values become what JSON has: ids, times and rows are told as text.
    """
    changes = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if name in secret_fields or is_secret_name(name) or isinstance(old, Sealed) or isinstance(new, Sealed):
            if old or new:
                changes[name] = [MASK if old else None, MASK if new else None]
        elif old != new:
            changes[name] = [masked(old), masked(new)]
    return changes


def masked(value: Any, depth: int = 0) -> Any:
    """The value as JSON, bounded, without what is named or looks like a secret."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Sealed):
        return MASK if value else None
    if depth > DEEPEST:
        return CUT
    if isinstance(value, Mapping):
        pairs = list(value.items())[:ITEMS_LIMIT]
        return {
            str(name)[:TEXT_LIMIT]: MASK if item and is_secret_name(str(name)) else masked(item, depth + 1)
            for name, item in pairs
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [masked(item, depth + 1) for item in items[:ITEMS_LIMIT]]
    text = mask_secrets(str(value))
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + CUT
