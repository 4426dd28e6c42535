"""What a request asks for: its path and query taken apart the way a Kubernetes API server does."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.apiserver.status import bad_request

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request in the words of authorization.

    ``is_resource`` False: only ``verb`` (the lower-case method) and ``path`` mean something. For requests about a
    namespace itself ``namespace`` is its name, so that a role in it can grant them.
    """

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""


def parse_request(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Take a request apart; any path is something, so this does not fail."""
    parts = [part for part in path.split("/") if part]
    plain = RequestInfo(method.lower(), path)
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return plain
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and not (group == "" and rest[2] in ("status", "finalize")):
            rest = rest[2:]
    resource, name, subresource = rest[0], "".join(rest[1:2]), "/".join(rest[2:])
    verb = _verb(method, name, query)
    if not name and verb in ("list", "watch", "deletecollection"):
        name = _single_name(query.get("fieldSelector", ""))
    return RequestInfo(verb, path, True, group, version, namespace, resource, name, subresource)


def is_true(query: Mapping[str, str], name: str) -> bool:
    """A boolean query parameter: absent, ``false`` and ``0`` are false."""
    return query.get(name, "").lower() not in ("", "false", "0")


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A non-negative number in the query, None when absent. Raises ApiError 400."""
    text = query.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise bad_request(f"{name} must be a whole number, not {text[:40]!r}")
    return int(text)


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and not name:
        return "watch" if is_true(query, "watch") else "list"
    if verb == "delete" and not name:
        return "deletecollection"
    return verb


def _single_name(field_selector: str) -> str:
    """A list that selects one name is authorized like a request for that object."""
    for term in field_selector.split(","):
        path, found, value = term.replace("==", "=").partition("=")
        if found and path == "metadata.name":
            return value
    return ""
