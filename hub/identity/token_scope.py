"""A token's scope as JSON: what the column holds and what the API takes. Pure; the meaning is ``hub.core.access``'s.

``{"read_only": false, "verbs": null, "projects": null, "clusters": null}``; null or a missing key means "not narrowed",
an empty list means "nothing of that kind".
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hub.core.access import TokenScope
from hub.core.errors import HubError, define

LIST_LIMIT = 200

define("token.scope_invalid", 400, "The scope of the token is not valid")
define("token.scope_too_wide", 403, "A token cannot be used to issue a stronger one")


def scope_to_json(scope: TokenScope) -> dict[str, Any]:
    """The JSON form, with lists in a stable order."""
    return {
        "read_only": scope.read_only,
        "verbs": None if scope.verbs is None else sorted(scope.verbs),
        "projects": None if scope.projects is None else sorted(map(str, scope.projects)),
        "clusters": None if scope.clusters is None else sorted(map(str, scope.clusters)),
    }


def parse_scope(document: object) -> TokenScope:
    """The scope that the JSON means. Raises HubError ``token.scope_invalid`` with a pointer below ``/scope``."""
    if not isinstance(document, Mapping):
        raise HubError("token.scope_invalid", pointer="/scope")
    for key in document:
        if key not in ("read_only", "verbs", "projects", "clusters"):
            raise HubError("token.scope_invalid", pointer=f"/scope/{key}")
    read_only = document.get("read_only", False)
    if not isinstance(read_only, bool):
        raise HubError("token.scope_invalid", pointer="/scope/read_only")
    return TokenScope(
        read_only,
        _texts(document, "verbs"),
        _ids(document, "projects"),
        _ids(document, "clusters"),
    )


def is_within(narrower: TokenScope, wider: TokenScope) -> bool:
    """Whether ``narrower`` permits nothing that ``wider`` does not: a token must not issue a stronger one (SEC-32)."""
    return (narrower.read_only or not wider.read_only) and all(
        outer is None or (inner is not None and inner <= outer)
        for inner, outer in (
            (narrower.verbs, wider.verbs),
            (narrower.projects, wider.projects),
            (narrower.clusters, wider.clusters),
        )
    )


def _texts(document: Mapping[str, object], key: str) -> frozenset[str] | None:
    values = document.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) > LIST_LIMIT or not all(isinstance(value, str) for value in values):
        raise HubError("token.scope_invalid", pointer=f"/scope/{key}")
    return frozenset(values)


def _ids(document: Mapping[str, object], key: str) -> frozenset[UUID] | None:
    texts = _texts(document, key)
    try:
        return None if texts is None else frozenset(map(UUID, texts))
    except ValueError as error:
        raise HubError("token.scope_invalid", pointer=f"/scope/{key}") from error
