"""Lists: which objects, at which revision, and the token that continues a list where a page ended.

All pages of one list show the state at the revision of its first page, as long as the history reaches back to it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import orjson

from simulator.apiserver import status
from simulator.apiserver.requests import whole_number
from simulator.apiserver.selectors import Matcher, match_fields, match_labels
from simulator.apiserver.storage import Collection, Key, Store, Stored

_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105  (a format's name)


@dataclass(frozen=True, slots=True)
class Page:
    """Objects at ``revision``; ``continue_token`` is "" on the last page; ``remaining`` None when not counted."""

    items: list[Stored]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


def matchers(collection: Collection, query: Mapping[str, str]) -> list[Matcher]:
    """The tests that the query's selectors ask for. Raises ApiError 400."""
    found = (
        match_labels(query.get("labelSelector", "")),
        match_fields(query.get("fieldSelector", ""), collection.kind),
    )
    return [matcher for matcher in found if matcher is not None]


def list_page(store: Store, collection: Collection, namespace: str, query: Mapping[str, str]) -> Page:
    """Answer a list request. Raises ApiError 400, 410 for a revision of the past, 504 for one of the future."""
    limit = whole_number(query, "limit") or 0
    token = query.get("continue", "")
    tests = matchers(collection, query)
    if token:
        if query.get("resourceVersion", "0") not in ("", "0"):
            raise status.bad_request("specifying resource version is not allowed when using continue")
        revision, start = _decode(token)
        if revision > store.revision:
            raise status.bad_request("continue key is not valid: it is of another server")
    else:
        revision, start = _wanted_revision(store, query, limit), ("", "")
    items = collection.list(namespace) if revision == store.revision else collection.list_at(revision, namespace)
    if items is None:
        raise status.expired(
            "The provided continue parameter is too old to display a consistent list result."
            if token
            else f"The resourceVersion for the provided list is too old: {revision}"
        )
    candidates = iter([item for item in items if item.key > start])
    selected = (item for item in candidates if all(test(item.object) for test in tests))
    page = list(islice(selected, limit or None))
    rest = sum(1 for _ in candidates)  # as in a real server, whether the selectors select them or not
    if not rest:
        return Page(page, revision)
    return Page(page, revision, _encode(revision, page[-1].key), None if tests else rest)


def refuse_future(store: Store, query: Mapping[str, str]) -> None:
    """Raises ApiError 504 for a revision that is still to come, as of another server."""
    wanted = whole_number(query, "resourceVersion") or 0
    if wanted <= store.revision:
        return
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    message = f"Timeout: Too large resource version: {wanted}, current: {store.revision}"
    raise status.ApiError(504, "Timeout", message, details=details, headers={"Retry-After": "1"})


def _wanted_revision(store: Store, query: Mapping[str, str], limit: int) -> int:
    match = query.get("resourceVersionMatch", "")
    wanted = whole_number(query, "resourceVersion")
    if match and wanted is None:
        message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise status.invalid_option("GET", "resourceVersionMatch", "FieldValueForbidden", message)
    if match not in ("", "Exact", "NotOlderThan"):
        message = f'Unsupported value: "{match[:40]}": supported values: "Exact", "NotOlderThan"'
        raise status.invalid_option("GET", "resourceVersionMatch", "FieldValueNotSupported", message)
    refuse_future(store, query)
    exact = match == "Exact" or (not match and limit)
    return wanted if wanted and exact else store.revision


def _encode(revision: int, last: Key) -> str:
    token = {"v": _TOKEN_VERSION, "rv": revision, "start": list(last)}
    return base64.urlsafe_b64encode(orjson.dumps(token)).decode().rstrip("=")


def _decode(token: str) -> tuple[int, Key]:
    try:
        content = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = content["start"]
        revision = content["rv"]
    except (ValueError, TypeError, KeyError) as error:
        raise status.bad_request("continue key is not valid") from error
    if not isinstance(revision, int) or not isinstance(namespace, str) or not isinstance(name, str):
        raise status.bad_request("continue key is not valid")
    return revision, (namespace, name)
