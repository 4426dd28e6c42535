"""JSON read strictly: what two readers could take differently, or what no column could hold, is refused with its place.

Refused are broken syntax (line and column), members that come twice, NaN and infinities, numbers beyond 64 bits, NUL and
lone surrogates, and nesting beyond 64 levels.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rest_framework.parsers import BaseParser

from hub.core.errors import HubError, define

from .middleware import BODY_LIMIT

DEEPEST = 64
LARGEST = 2**63 - 1

define("body.not_json", 400, "The body is not JSON")
define("body.too_deep", 400, "The body is nested too deeply")
define("body.member_twice", 400, "A member comes twice in one object")
define("body.text_invalid", 400, "A text holds characters that cannot be stored")
define("body.number_invalid", 400, "A number is not one that JSON can carry safely")


class StrictJsonParser(BaseParser):
    """DRF's door to ``parse_json``."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        raw = stream.read(BODY_LIMIT + 1)
        if len(raw) > BODY_LIMIT:
            raise HubError("body.too_large", limit=BODY_LIMIT)
        return parse_json(raw)


class MergePatchParser(StrictJsonParser):
    """The same under the media type of RFC 7396."""

    media_type = "application/merge-patch+json"


def parse_json(raw: bytes) -> Any:
    """The document. Raises HubError ``body.*``, for everything but broken syntax with a pointer."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise HubError("body.not_json", message="not UTF-8", offset=error.start) from error
    try:
        document = json.loads(
            text, object_pairs_hook=_Members.of, parse_int=_integer, parse_float=_number, parse_constant=_Unfit
        )
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise HubError("body.not_json", message=message, line=error.lineno, column=error.colno) from error
    except RecursionError:
        raise HubError("body.too_deep", deepest=DEEPEST) from None
    for fault in _faults(document, "", 1):
        raise fault
    return document


def pointer_to(parent: str, member: object) -> str:
    """The JSON pointer (RFC 6901) of a member of what ``parent`` points to."""
    return f"{parent}/{str(member).replace('~', '~0').replace('/', '~1')}"


class _Members(dict[str, Any]):
    """An object, with the name that came twice, if one did."""

    twice: str | None = None

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> "_Members":
        members = cls()
        for name, value in pairs:
            if name in members:
                members.twice = name
            members[name] = value
        return members


class _Unfit:
    """Stands where a number was that is refused, until its place is known."""

    def __init__(self, text: str) -> None:
        self.text = text


def _integer(text: str) -> int | _Unfit:
    return _Unfit(text) if len(text) > 20 or abs(int(text)) > LARGEST else int(text)


def _number(text: str) -> float | _Unfit:
    value = float(text)
    return _Unfit(text) if value in (float("inf"), float("-inf")) else value


def _faults(value: Any, pointer: str, depth: int) -> Iterator[HubError]:
    if depth > DEEPEST:
        yield HubError("body.too_deep", deepest=DEEPEST)
    elif isinstance(value, _Unfit):
        yield HubError("body.number_invalid", pointer=pointer)
    elif isinstance(value, str) and not _is_storable(value):
        yield HubError("body.text_invalid", pointer=pointer)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, _Members):
        if value.twice is not None:
            yield HubError("body.member_twice", pointer=pointer_to(pointer, value.twice))
        for name, member in value.items():
            if not _is_storable(name):
                yield HubError("body.text_invalid", pointer=pointer)
            yield from _faults(member, pointer_to(pointer, name), depth + 1)


def _is_storable(text: str) -> bool:
    """Whether UTF-8 and PostgreSQL can carry it: no NUL, no half of a surrogate pair."""
    return (text.isascii() and "\x00" not in text) or not any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text)
