"""Optimistic concurrency over HTTP: an object's version is its entity tag, and changing it needs ``If-Match``."""

import re

from hub.core.errors import HubError, define
from hub.core.models import Record

define("request.if_match_missing", 428, "Say with If-Match which version you have read")
define("request.if_match_invalid", 400, "The header If-Match is not a list of entity tags")

_TAGS = re.compile(r'(?:W/)?"[^"\x00-\x20\x7f]*"(?:[ \t]*,[ \t]*(?:W/)?"[^"\x00-\x20\x7f]*")*')
_TAG = re.compile(r'(?:W/)?"[^"]*"')


def entity_tag(version: int) -> str:
    return f'"{version}"'


def check_if_match(header: str | None, row: Record) -> int | None:
    """The version that the change must find; None for ``*``, which takes any.

    Raises HubError ``request.if_match_missing``, ``request.if_match_invalid`` or ``object.stale``. A weak tag matches
    nothing, because the comparison is the strong one (RFC 9110, section 13.1.1).
    """
    if header is None:
        raise HubError("request.if_match_missing")
    header = header.strip()
    if header == "*":
        return None
    if not _TAGS.fullmatch(header):
        raise HubError("request.if_match_invalid")
    if entity_tag(row.version) not in _TAG.findall(header):
        raise HubError("object.stale", version=row.version)
    return row.version
