"""What the two clients put on the wire and take off it; neither of them opens anything here.

Headers, query parameters and bodies of requests; objects, pages and watch events of answers, checked for their shape,
because a member cluster may answer anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from kube.credentials import Credentials
from kube.errors import Garbled, error_from_status
from kube.resources import Object, Resource

USER_AGENT = "paddock"
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""A page of 500 objects of 100 KiB; the API refuses single objects beyond 1.5 MiB."""
PAGE_SIZE = 500
JSON = "application/json"
PATCH_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}
APPLY_TYPE = "application/apply-patch+yaml"  # JSON is YAML; the newer +cbor and +json names are not known everywhere

Query = Mapping[str, str | int | bool | None]
"""Query parameters; None leaves one out, True is "true"."""

_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, the last when ``continue_token`` is None; ``remaining`` is the server's estimate, if any."""

    items: list[Object]
    continue_token: str | None
    resource_version: str
    remaining: int | None


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """``type`` is ADDED, MODIFIED, DELETED or BOOKMARK (whose object has a resourceVersion and nothing else)."""

    type: str
    object: Object


def request_headers(
    credentials: Credentials, impersonate_user: str | None, impersonate_groups: Sequence[str]
) -> list[tuple[str, str]]:
    """Headers of every request. Raises ValueError for an identity that cannot stand in a header."""
    headers = [("User-Agent", USER_AGENT), ("Accept-Encoding", "identity")]
    if credentials.token is not None:
        headers.append(("Authorization", f"Bearer {credentials.token}"))
    if impersonate_groups and not impersonate_user:
        raise ValueError("Groups are impersonated together with a user")
    if impersonate_user:
        headers.append(("Impersonate-User", _header_value(impersonate_user)))
        headers += [("Impersonate-Group", _header_value(group)) for group in impersonate_groups]
    return headers


def _header_value(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError(f"{text[:80]!r} cannot be impersonated: use printable ASCII")
    return text


def check_path(path: str) -> str:
    """``path`` when it is a plain absolute path without a query. Raises ValueError otherwise."""
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in unquote(path).split("/")):
        raise ValueError(f"{path[:200]!r} is not a plain path")
    return path


def query_pairs(query: Query | None) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in (query or {}).items():
        if value is not None:
            pairs.append((key, ("true" if value else "false") if isinstance(value, bool) else str(value)))
    return pairs


def list_query(
    *,
    label_selector: str | None,
    field_selector: str | None,
    limit: int | None = None,
    continue_token: str | None = None,
) -> Query:
    return {
        "labelSelector": label_selector or None,
        "fieldSelector": field_selector or None,
        "limit": limit,
        "continue": continue_token,
    }


def encode_body(body: object) -> bytes | None:
    """JSON of a request body, None for none. Raises TypeError for what JSON cannot hold."""
    return None if body is None else orjson.dumps(body)


def decode_body(body: bytes, accept: str) -> Any:
    """A 2xx body: JSON (None when empty) when JSON was asked for, else text."""
    if "json" not in accept:
        return body.decode(errors="replace")
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Garbled("The answer is not JSON") from error


def expect_object(answer: Any) -> Object:
    if not isinstance(answer, dict):
        raise Garbled("The answer is not an object")
    return answer


def typed(resource: Resource, obj: Object) -> Object:
    """``obj`` with apiVersion and kind, which a list's items lack and callers may leave out.

    Raises ValueError when it says it is something else.
    """
    if obj.get("kind", resource.kind) != resource.kind or obj.get("apiVersion", resource.api_version) != (
        resource.api_version
    ):
        raise ValueError(f"{obj.get('apiVersion')} {obj.get('kind')} is not a {resource.api_version} {resource.kind}")
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def decode_page(resource: Resource, answer: Any) -> Page:
    listing = expect_object(answer)
    items, metadata = listing.get("items"), listing.get("metadata")
    if items is None:  # Go writes an empty list of some aggregated APIs as null
        items = []
    if not isinstance(items, list) or not isinstance(metadata, dict):
        raise Garbled("The answer is not a list of objects")
    version, token = metadata.get("resourceVersion", ""), metadata.get("continue")
    remaining = metadata.get("remainingItemCount")
    if not isinstance(version, str) or not isinstance(token, str | None):
        raise Garbled("The list's metadata is malformed")
    return Page(
        items=[_listed(resource, item) for item in items],
        continue_token=token or None,
        resource_version=version,
        remaining=remaining if isinstance(remaining, int) else None,
    )


def _listed(resource: Resource, item: Any) -> Object:
    if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
        raise Garbled("An item of the list is not an object")
    return {"apiVersion": resource.api_version, "kind": resource.kind, **item}


def decode_watch_line(line: bytes) -> WatchEvent:
    """One line of a watch. Raises the error that an ERROR event tells of, and Garbled for anything else unknown."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Garbled("The watch sent something that is not JSON") from error
    kind, obj = (event.get("type"), event.get("object")) if isinstance(event, dict) else (None, None)
    if not isinstance(obj, dict):
        raise Garbled("The watch sent something that is not an event")
    if kind == "ERROR":
        raise error_from_status(obj)
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK") or not isinstance(obj.get("metadata"), dict):
        raise Garbled("The watch sent an event of an unknown kind")
    return WatchEvent(kind, obj)
