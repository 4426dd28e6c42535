"""The trail as one long text: an event a line, JSON or CSV, read in small pages so that its length costs no memory.

Each page is a short query of its own: a transaction open as long as a slow reader would keep forwarding and the database's
housekeeping waiting.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db.models import Q, QuerySet

from .documents import event_document
from .models import AuditEvent

PAGE = 500
COLUMNS = (
    "id", "at", "actor_kind", "actor_id", "actor_name", "actor_groups", "token", "session", "verb", "object_kind",
    "object_id", "object_name", "namespace", "tenant", "project", "cluster", "operation", "outcome", "code", "request_id",
    "source_ip", "changes", "detail",
)  # fmt: skip
# What a spreadsheet takes for a formula, also behind blanks that it leaves out.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def newest_first(events: QuerySet[AuditEvent]) -> Iterator[list[AuditEvent]]:
    """Pages of the events; what is written meanwhile is not among them."""
    last: AuditEvent | None = None
    while True:
        rest = events if last is None else events.filter(at__lte=last.at).filter(Q(at__lt=last.at) | Q(id__lt=last.pk))
        page = list(rest.order_by("-at", "-id")[:PAGE])
        if page:
            yield page
            last = page[-1]
        if len(page) < PAGE:
            return


def ndjson(events: QuerySet[AuditEvent]) -> Iterator[bytes]:
    """One JSON document a line, as ``event_document`` makes it."""
    for page in newest_first(events):
        yield b"".join(json.dumps(event_document(event), separators=(",", ":")).encode() + b"\n" for event in page)


def csv_lines(events: QuerySet[AuditEvent]) -> Iterator[bytes]:
    """A header and one line an event (RFC 4180); structured members as JSON, nothing that a spreadsheet would run."""
    yield _csv([COLUMNS])
    for page in newest_first(events):
        yield _csv([_cells(event_document(event)) for event in page])


FORMATS: Mapping[str, tuple[str, Callable[[QuerySet[AuditEvent]], Iterator[bytes]]]] = {
    "ndjson": ("application/x-ndjson", ndjson),
    "csv": ("text/csv; charset=utf-8", csv_lines),
}


def _cells(document: dict[str, Any]) -> list[str]:
    flat = {
        **document,
        **{f"actor_{name}": value for name, value in document["actor"].items()},
        **{f"object_{name}": value for name, value in document["object"].items()},
    }
    return [_cell(flat[name]) for name in COLUMNS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def _csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
