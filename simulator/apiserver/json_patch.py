"""JSON patch (RFC 6902) with JSON pointers (RFC 6901)."""

from copy import deepcopy
from typing import Any

from simulator.apiserver.status import ApiError, bad_request

_MAX_OPERATIONS = 10000


def apply_json_patch(document: Any, operations: list[Any]) -> Any:
    """The patched document; the given one may be changed.

    Raises ApiError 400 for a malformed operation, 413 for too many, 422 for one that does not fit the document.
    """
    if len(operations) > _MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", message)
    for operation in operations:
        document = _apply(document, operation)
    return document


def _apply(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        raise bad_request("a JSON patch operation has op and path")
    path = _pointer(operation["path"])
    match operation.get("op"):
        case "add":
            return _add(document, path, _value(operation))
        case "remove":
            return _remove(document, path)[0]
        case "replace":
            return _replace(document, path, _value(operation))
        case "move":
            document, moved = _remove(document, _pointer(operation.get("from")))
            return _add(document, path, moved)
        case "copy":
            return _add(document, path, deepcopy(_find(document, _pointer(operation.get("from")))))
        case "test":
            if _find(document, path) != _value(operation):
                raise _unprocessable(f"testing value {operation['path']} failed")
            return document
    raise bad_request(f"unknown JSON patch operation {str(operation.get('op'))[:40]!r}")


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise bad_request(f"{operation['op']} needs a value")
    return operation["value"]


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise bad_request("a JSON pointer starts with '/'")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _find(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(part, len(document) - 1)]
        else:
            raise _unprocessable(f"nonexistent path: /{'/'.join(path)}")
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        raise _unprocessable(f"no object or list at /{'/'.join(path[:-1])}")
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    """As real servers do it, a field of an object need not be there; an item of a list must."""
    if path and isinstance(_find(document, path[:-1]), list):
        document = _remove(document, path)[0]
    return _add(document, path, value)


def _remove(document: Any, path: list[str]) -> tuple[Any, Any]:
    removed = _find(document, path)
    if not path:
        return None, removed
    parent = _find(document, path[:-1])
    if isinstance(parent, dict):
        del parent[path[-1]]
    else:
        del parent[_index(path[-1], len(parent) - 1)]
    return document, removed


def _index(part: str, last: int) -> int:
    if not part.isascii() or not part.isdigit() or int(part) > last:
        raise _unprocessable(f"no list index {part[:20]!r}")
    return int(part)


def _unprocessable(message: str) -> ApiError:
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {message}")
