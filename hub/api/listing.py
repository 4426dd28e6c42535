"""Lists: allow-listed filters and sort orders, and pages that continue after the last row seen (keyset).

A query parameter that nobody declared is refused rather than ignored (SEC-41, SEC-75). ``continue`` is opaque, signed, and
bound to the list, its order and its filters; it is good for an hour.
"""

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.http import QueryDict

from hub.core.errors import HubError, define
from hub.core.keys import key_ring

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 500
CONTINUE_SECONDS = 3600
TEXT_LIMIT = 253
PAGING = ("limit", "continue", "sort")

define("query.unknown", 400, "There is no such query parameter")
define("query.invalid", 400, "The value of a query parameter is not valid")
define("query.repeated", 400, "A query parameter comes more than once")
define("list.continue_invalid", 400, "The value of continue does not belong to this list")
define("list.continue_expired", 410, "The value of continue is too old; start the list again")

ModelT = TypeVar("ModelT", bound=Model)
_MAC_BYTES = 16


@dataclass(frozen=True)
class Filter(ABC):
    """One query parameter that narrows a list; ``lookup`` is ours, never the client's."""

    name: str
    lookup: str = ""

    @abstractmethod
    def condition(self, text: str) -> Q:
        """Raises HubError ``query.invalid``."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]: ...

    def _refuse(self, **params: Any) -> HubError:
        return HubError("query.invalid", parameter=self.name, **params)


class TextFilter(Filter):
    """Exactly this text."""

    def condition(self, text: str) -> Q:
        if "\x00" in text or len(text) > TEXT_LIMIT or not text.isprintable():
            raise self._refuse(limit=TEXT_LIMIT)
        return Q(**{self.lookup or self.name: text})

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": TEXT_LIMIT}


class IdFilter(Filter):
    """The id of another object."""

    def condition(self, text: str) -> Q:
        try:
            return Q(**{self.lookup or f"{self.name}_id": UUID(text)})
        except ValueError:
            raise self._refuse(wanted="id") from None

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "uuid"}


class TimeFilter(Filter):
    """A time with its offset, RFC 3339; ``lookup`` compares with it."""

    def condition(self, text: str) -> Q:
        try:
            # In a query "+" is a blank; nobody means one here.
            at = datetime.datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            raise self._refuse(wanted="time") from None
        if at.tzinfo is None or len(text) > 40:
            raise self._refuse(wanted="time with offset")
        return Q(**{self.lookup: at})

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


@dataclass(frozen=True)
class ChoiceFilter(Filter):
    """One of a fixed set of words."""

    choices: tuple[str, ...] = ()

    def condition(self, text: str) -> Q:
        if text not in self.choices:
            raise self._refuse(known=self.choices)
        return Q(**{self.lookup or self.name: text})

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}


class LabelFilter(Filter):
    """``key=value``, or ``key`` alone for any value."""

    def condition(self, text: str) -> Q:
        key, equals, value = text.partition("=")
        if not key or len(text) > 2 * TEXT_LIMIT or not text.isprintable():
            raise self._refuse(wanted="key=value or key")
        column = self.lookup or "labels"
        return Q(**{f"{column}__contains": {key: value}}) if equals else Q(**{f"{column}__has_key": key})

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "examples": ["site=berlin"]}


@dataclass(frozen=True)
class Page(Generic[ModelT]):
    """``next`` is the value of ``continue`` for the page after this one; None at the end."""

    rows: Sequence[ModelT]
    next: str | None


@dataclass(frozen=True)
class Listing:
    """What one list takes. ``sorts`` are columns that are never null, the default order first ("-at": newest first)."""

    filters: tuple[Filter, ...] = ()
    sorts: tuple[str, ...] = ("-created_at",)
    paged: bool = True

    @property
    def parameters(self) -> tuple[str, ...]:
        return (*(PAGING if self.paged else ()), *(wanted.name for wanted in self.filters))

    @property
    def sort_names(self) -> tuple[str, ...]:
        """The columns that ``sort`` takes; each also with a "-" before it."""
        return tuple(sorted({name.removeprefix("-") for name in self.sorts}))

    def page(self, rows: QuerySet[ModelT], query: QueryDict) -> Page[ModelT]:
        """One page of ``rows``. Raises HubError ``query.*`` and ``list.*``."""
        values = read_parameters(query, self.parameters)
        limit, sort = _limit(values), self._sort(values)
        rows = self.narrow(rows, values)
        cursor = _Cursor(rows.model, sort, self._fingerprint(rows.model, values, sort))
        if "continue" in values:
            rows = rows.filter(cursor.after(values["continue"]))
        found = list(rows.order_by(*cursor.order)[: limit + 1])
        page = found[:limit]
        return Page(page, cursor.mark(page[-1]) if len(found) > limit else None)

    def narrow(self, rows: QuerySet[ModelT], values: Mapping[str, str]) -> QuerySet[ModelT]:
        """The rows that the filters among ``values`` leave. Raises HubError ``query.invalid``."""
        for wanted in self.filters:
            if wanted.name in values:
                rows = rows.filter(wanted.condition(values[wanted.name]))
        return rows

    def _sort(self, values: Mapping[str, str]) -> str:
        sort = values.get("sort", self.sorts[0])
        if sort.removeprefix("-") not in self.sort_names:
            raise HubError("query.invalid", parameter="sort", known=self.sort_names)
        return sort

    def _fingerprint(self, model: type[Model], values: Mapping[str, str], sort: str) -> str:
        filters = [(wanted.name, values[wanted.name]) for wanted in self.filters if wanted.name in values]
        return hashlib.sha256(json.dumps([model._meta.label, sort, filters]).encode()).hexdigest()[:16]


def read_parameters(query: QueryDict, known: Collection[str]) -> dict[str, str]:
    """The parameters by name. Raises HubError for one that is not known, or that comes twice."""
    found = {}
    for name, values in query.lists():
        if name not in known:
            raise HubError("query.unknown", parameter=name, known=sorted(known))
        if len(values) > 1:
            raise HubError("query.repeated", parameter=name)
        found[name] = str(values[0])
    return found


def _limit(values: Mapping[str, str]) -> int:
    text = values.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= LARGEST_LIMIT):
        raise HubError("query.invalid", parameter="limit", least=1, most=LARGEST_LIMIT)
    return int(text)


class _Cursor:
    """Where a page ended: the sort column's value and the id of its last row."""

    def __init__(self, model: type[Model], sort: str, fingerprint: str) -> None:
        self._name = sort.removeprefix("-")
        self._descending = sort.startswith("-")
        self._field: Field[Any, Any] = model._meta.get_field(self._name)  # type: ignore[assignment]  # a column of ours
        self._fingerprint = fingerprint

    @property
    def order(self) -> tuple[str, str]:
        sign = "-" if self._descending else ""
        return f"{sign}{self._name}", f"{sign}id"

    def mark(self, row: Model) -> str:
        content = [int(time.time()), self._fingerprint, self._field.value_to_string(row), str(row.pk)]
        payload = json.dumps(content).encode()
        return base64.urlsafe_b64encode(_sign(payload) + payload).decode().rstrip("=")

    def after(self, token: str) -> Q:
        value, id = self._open(token)
        beyond = "lt" if self._descending else "gt"
        # The first condition is what the index can use; the second makes it exact.
        return Q(**{f"{self._name}__{beyond}e": value}) & (
            Q(**{f"{self._name}__{beyond}": value}) | Q(**{self._name: value, f"id__{beyond}": id})
        )

    def _open(self, token: str) -> tuple[Any, UUID]:
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
            if not hmac.compare_digest(mac, _sign(payload)):
                raise ValueError("not signed by this hub")
            issued, fingerprint, value, id = json.loads(payload)
            if fingerprint != self._fingerprint:
                raise ValueError("of another list")
            place = self._field.to_python(value), UUID(id)
        except (ValueError, TypeError, binascii.Error, ValidationError) as error:
            raise HubError("list.continue_invalid") from error
        if time.time() - issued > CONTINUE_SECONDS:
            raise HubError("list.continue_expired")
        return place


def _sign(payload: bytes) -> bytes:
    return hmac.digest(key_ring().signing, b"list-continue\0" + payload, hashlib.sha256)[:_MAC_BYTES]


def envelope(items: Sequence[Mapping[str, Any]], next_page: str | None = None) -> dict[str, Any]:
    """What every list answers."""
    return {"items": list(items), "continue": next_page}
