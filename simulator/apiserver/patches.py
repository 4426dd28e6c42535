"""Patches that change an object as it stands: merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch.

Server-side apply is a patch by content type only: it works on ownership and lives in ``ownership``.
"""

from collections.abc import Callable
from typing import Any, Final

from kube.resources import Object
from simulator.apiserver import status
from simulator.apiserver.json_patch import apply_json_patch
from simulator.apiserver.strategic import apply_strategic
from simulator.kinds import KindSpec
from simulator.kinds.metadata import object_schema

JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"


def patch_function(content_type: str, kind: KindSpec, body: Any) -> Callable[[Object], Object]:
    """What the patch does to an object. Raises ApiError 400 for a malformed patch, 415 for another type of patch."""
    if content_type == JSON_PATCH:
        if not isinstance(body, list):
            raise status.bad_request("a JSON patch is a list of operations")
        return lambda obj: _checked(apply_json_patch(obj, body))
    if content_type not in (MERGE, STRATEGIC) or (content_type == STRATEGIC and not kind.builtin):
        types = [JSON_PATCH, MERGE, APPLY] + ([STRATEGIC] if kind.builtin else [])
        raise status.unsupported_media_type(types)
    if not isinstance(body, dict):
        raise status.bad_request("a merge patch is an object")
    if content_type == MERGE:
        return lambda obj: _checked(merge_patch(obj, body))
    return lambda obj: _checked(apply_strategic(object_schema(kind), obj, body))


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _checked(obj: Any) -> Object:
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        raise status.bad_request("the patch leaves no object with metadata")
    return obj
