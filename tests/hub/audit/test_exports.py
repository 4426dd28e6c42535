"""The trail as NDJSON and CSV."""

import csv
import io
import json
import tracemalloc
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hub.audit import exports
from hub.audit.documents import event_document
from hub.audit.exports import COLUMNS, csv_lines, ndjson
from hub.audit.models import AuditEvent
from hub.audit.services import build_event, record
from hub.core.access import SYSTEM

pytestmark = pytest.mark.django_db

EVENTS = AuditEvent.objects.all()


def write_many(count: int, **fields: object) -> None:
    now = timezone.now()
    events = [build_event(SYSTEM, "update", "pumps", object_name=f"p{number}") for number in range(count)]
    for number, event in enumerate(events):
        event.at = now - timedelta(seconds=number // 3)  # several at one time
        for name, value in fields.items():
            setattr(event, name, value)
    AuditEvent.objects.bulk_create(events)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_all_come_once_and_the_newest_first_across_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 7)
    write_many(50)
    expected = [event_document(event) for event in EVENTS.order_by("-at", "-id")]
    assert [json.loads(line) for line in b"".join(ndjson(EVENTS)).splitlines()] == expected
    assert [row["id"] for row in rows_of(b"".join(csv_lines(EVENTS)))] == [one["id"] for one in expected]


@pytest.mark.parametrize("count", [0, 7, 14])
def test_a_full_last_page_is_the_end_too(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(exports, "PAGE", 7)
    write_many(count)
    assert len(b"".join(ndjson(EVENTS)).splitlines()) == count
    assert len(rows_of(b"".join(csv_lines(EVENTS)))) == count


def test_what_is_written_meanwhile_is_not_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    write_many(4)
    pages = ndjson(EVENTS)
    first = next(pages)
    record(SYSTEM, "create", "pumps", object_name="late")
    assert b"late" not in first + b"".join(pages)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "\uff1d"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    record(SYSTEM, "update", "pumps", object_name=f'{start}HYPERLINK("http://evil";"x")')
    (row,) = rows_of(b"".join(csv_lines(EVENTS)))
    assert row["object_name"].startswith(f"'{start}HYPERLINK")


def test_quotes_commas_and_line_ends_stay_in_their_cell() -> None:
    record(SYSTEM, "update", "pumps", object_name='a",b\nc', detail={"text": 'x,"y"\n'})
    (row,) = rows_of(b"".join(csv_lines(EVENTS)))
    assert (row["object_name"], json.loads(row["detail"])) == ('a",b\nc', {"text": 'x,"y"\n'})
    assert tuple(row) == COLUMNS


def test_memory_does_not_grow_with_the_trail() -> None:
    write_many(exports.PAGE * 12, detail={"text": "x" * 500})
    with CaptureQueriesContext(connection):  # else Django keeps no queries; either way they are few
        tracemalloc.start()
        pages = ndjson(EVENTS)
        for _ in range(2):
            next(pages)
        _, early = tracemalloc.get_traced_memory()
        for _ in pages:
            pass
        _, late = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert late < early * 1.25
