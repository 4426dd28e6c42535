"""YAML of strangers as plain data (SEC-65): small, without aliases, tags or duplicate keys, and not deep.

For documents that people paste. Whether the data is what was asked for is the caller's check.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

MAX_DEPTH = 32

# The C parser is some fifty times faster; PyYAML's wheels have it, a build without libyaml does not.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedYaml(ValueError):
    """``reason`` is one of size, syntax, alias, tag, depth, documents, duplicate_key."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _StrictLoader(_Loader):  # type: ignore[misc, valid-type]  # the base is chosen at import
    """Safe loading in which the second of two equal keys is an error and not the winner."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise RefusedYaml("duplicate_key", f"The key {key.value[:80]!r} is there twice")
                seen.add(key.value)
        constructed: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return constructed


def load_strict(text: str, *, max_bytes: int) -> Any:
    """The one document in ``text``. Raises RefusedYaml."""
    try:
        if len(text.encode()) > max_bytes:
            raise RefusedYaml("size", f"The document is larger than {max_bytes} bytes")
        _check_events(text)
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # derives from the safe loader
    except RefusedYaml:
        raise
    # ValueError: lone surrogates, numbers of thousands of digits, dates that are none.
    except (yaml.YAMLError, ValueError) as error:
        raise RefusedYaml("syntax", "The document is not valid YAML") from error


def _check_events(text: str) -> None:
    """Looks at the parser's events before anything is built from them."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise RefusedYaml("alias", "Aliases are not accepted")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise RefusedYaml("documents", "There is more than one document")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise RefusedYaml("depth", f"The document is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise RefusedYaml("tag", "Tags are not accepted")
