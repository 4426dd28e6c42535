"""How requests are written and answers are read, for both clients; nothing is sent here.

Headers, query parameters and bodies of requests; objects, pages and watch events of answers, checked for their shape,
because a member cluster may answer anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlencode

import orjson

from kube.credentials import Credentials
from kube.errors import Garbled, error_from_status
from kube.resources import Object, Resource

USER_AGENT = "paddock"
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""A page of 500 objects of 100 KiB; the API refuses single objects beyond 1.5 MiB."""
PAGE_SIZE = 500
JSON = "application/json"

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


def encode_target(path: str, query: Query | None) -> str:
    """Path and query string of a request."""
    pairs = [(key, _query_value(value)) for key, value in (query or {}).items() if value is not None]
    return check_path(path) + (f"?{urlencode(pairs)}" if pairs else "")


def _query_value(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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


def decode_token(answer: Any) -> tuple[str, datetime]:
    """The token of a TokenRequest's answer and when it expires."""
    status = expect_object(answer).get("status")
    try:
        token, expires = status["token"], datetime.fromisoformat(status["expirationTimestamp"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled("The answer to a token request is malformed") from error
    if not isinstance(token, str) or not token or expires.tzinfo is None:
        raise Garbled("The answer to a token request is malformed")
    return token, expires


def decode_access(answer: Any) -> bool:
    """Whether an access review says yes."""
    status = expect_object(answer).get("status")
    return isinstance(status, dict) and status.get("allowed") is True


def decode_groups(core: Any, named: Any) -> dict[str, list[str]]:
    """The answers of ``/api`` and ``/apis`` as group to versions, the preferred one first; "" is the core group."""
    try:
        served = {"": [str(version) for version in core["versions"]]}
        for group in named["groups"]:
            preferred = group["preferredVersion"]["version"]
            versions = [str(version["version"]) for version in group["versions"]]
            served[str(group["name"])] = sorted(versions, key=lambda version: version != preferred)
    except (KeyError, TypeError) as error:
        raise Garbled("The list of API groups is malformed") from error
    return served
