"""The trail is written before the request leaves, many events at a time; what is not written does not happen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest
from django.db import DataError, OperationalError

from hub.audit.models import Outcome
from hub.core.access import Actor
from hub.core.ids import uuid7
from hub.stream import audit_writer as module
from hub.stream.answers import Refusal
from hub.stream.audit_writer import AuditEntry, AuditWriter


def entry(name: str = "p") -> AuditEntry:
    return AuditEntry(
        actor=Actor("user", uuid7(), "maria"),
        verb="create",
        resource="pods",
        object_name=name,
        tenant_id=None,
        project_id=None,
        cluster_id=uuid7(),
        request_id="r",
        source_ip="10.0.0.1",
        detail={"proxied": True},
    )


class Trail:
    """Stands in for the table."""

    def __init__(self) -> None:
        self.batches: list[list[AuditEntry]] = []
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def write(self, batch: Sequence[AuditEntry]) -> None:
        self.began.set()
        self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        if any(one.object_name == "poison" for one in batch):
            raise DataError("value too long")
        self.batches.append(list(batch))

    @property
    def entries(self) -> list[AuditEntry]:
        return [one for batch in self.batches for one in batch]

    @property
    def names(self) -> list[str]:
        return [one.object_name for one in self.entries]


@pytest.fixture
def trail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trail]:
    made = Trail()
    monkeypatch.setattr(module, "_write", made.write)
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.02)
    yield made
    made.gate.set()


@pytest.fixture
async def writer(trail: Trail) -> AsyncIterator[AuditWriter]:
    made = AuditWriter()
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_request_waits_for_the_commit_of_its_event(trail: Trail, writer: AuditWriter) -> None:
    trail.gate.clear()
    writing = asyncio.create_task(writer.write(entry()))
    await asyncio.to_thread(trail.began.wait, 5)
    assert not writing.done()
    trail.gate.set()
    await writing
    assert trail.names == ["p"]


async def test_many_share_a_commit_in_the_order_they_came(trail: Trail, writer: AuditWriter) -> None:
    await asyncio.gather(*(writer.write(entry(str(number))) for number in range(500)))
    assert trail.names == [str(number) for number in range(500)]
    assert len(trail.batches) <= 5
    assert max(len(batch) for batch in trail.batches) <= module.BATCH


async def test_flt42_what_cannot_be_recorded_is_refused(trail: Trail, writer: AuditWriter) -> None:
    trail.failure = OperationalError("disk full")
    with pytest.raises(Refusal) as raised:
        await writer.write(entry())
    assert (raised.value.status, raised.value.code) == (503, "audit.unavailable")
    trail.failure = None
    await writer.write(entry("later"))
    assert trail.names == ["later"]


async def test_flt42_a_table_that_does_not_answer_refuses_in_time_and_the_trail_says_that_nothing_was_done(
    trail: Trail, writer: AuditWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_TIMEOUT", 0.1)
    trail.gate.clear()
    with pytest.raises(Refusal):
        await writer.write(entry("slow"))
    with pytest.raises(Refusal):
        await writer.write(entry("behind it"))  # was not begun: leaves no trace
    trail.gate.set()
    await until(lambda: len(trail.entries) == 2)
    assert [(one.object_name, one.outcome) for one in trail.entries] == [
        ("slow", Outcome.SUCCEEDED),
        ("slow", Outcome.FAILED),
    ]


async def test_an_event_that_the_table_cannot_take_fails_alone(trail: Trail, writer: AuditWriter) -> None:
    trail.gate.clear()
    first = asyncio.create_task(writer.write(entry("first")))  # keeps the writer busy, so that the rest is one batch
    await asyncio.to_thread(trail.began.wait, 5)
    rest = [asyncio.create_task(writer.write(entry(name))) for name in ("a", "poison", "b")]
    await asyncio.sleep(0)
    trail.gate.set()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [isinstance(result, Refusal) for result in results] == [False, False, True, False]
    assert trail.names == ["first", "a", "b"]


async def test_what_happened_already_is_kept_until_it_is_written(trail: Trail, writer: AuditWriter) -> None:
    trail.failure = OperationalError("away")
    writer.write_later(entry("ended"))
    with pytest.raises(Refusal):
        await writer.write(entry("refused"))
    trail.failure = None
    await until(lambda: trail.names == ["ended"])


async def test_what_is_kept_is_bounded(trail: Trail, writer: AuditWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LATER", 3)
    for number in range(10):
        writer.write_later(entry(str(number)))
    await until(lambda: len(trail.entries) >= 3)
    assert trail.names == ["0", "1", "2"]


async def test_an_event_told_afterwards_that_the_table_cannot_take_is_not_tried_for_ever(
    trail: Trail, writer: AuditWriter
) -> None:
    writer.write_later(entry("poison"))
    await writer.write(entry("next"))
    assert trail.names == ["next"]


async def test_a_client_that_leaves_before_the_commit_leaves_no_event(trail: Trail, writer: AuditWriter) -> None:
    trail.gate.clear()
    first = asyncio.create_task(writer.write(entry("first")))
    await asyncio.to_thread(trail.began.wait, 5)
    gone = asyncio.create_task(writer.write(entry("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    trail.gate.set()
    await first
    await writer.write(entry("last"))
    assert trail.names == ["first", "last"]


async def test_at_the_end_what_is_left_is_written(trail: Trail) -> None:
    writer = AuditWriter()
    running = asyncio.create_task(writer.run())
    await asyncio.sleep(0)
    writer.write_later(entry("ended"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert trail.names == ["ended"]


async def test_at_the_end_a_database_that_is_away_is_not_waited_for_long(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_WRITES", 0.1)
    trail.failure = OperationalError("away")
    writer = AuditWriter()
    writer.write_later(entry("ended"))
    running = asyncio.create_task(writer.run())
    await asyncio.sleep(0.05)
    running.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(running, return_exceptions=True)
    assert trail.entries == []
