"""Rights in memory: confirmed each second, looked at again on doubt, and not used when they cannot be confirmed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import InterfaceError, OperationalError

from hub.access.snapshot import Snapshot
from hub.stream import rights as module
from hub.stream.rights import POLL_INTERVAL, STALE_AFTER, Rights


class Database:
    """Stands in for the two queries; counts them."""

    def __init__(self) -> None:
        self.epoch = 1
        self.asked = 0
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def read_if_newer(self, known: int | None) -> Snapshot | None:
        self.asked += 1
        self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        return None if known == self.epoch else Snapshot(self.epoch)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    made = Database()
    monkeypatch.setattr(module, "_read_if_newer", made.read_if_newer)
    monkeypatch.setattr(module, "POLL_INTERVAL", 0.02)
    monkeypatch.setattr(module, "SHORTEST_INTERVAL", 0.0)
    yield made
    made.gate.set()


class Looks:
    """Counts calls of ``on_look``; a test can wait for the next."""

    def __init__(self) -> None:
        self.count = 0
        self.called = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.called.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_the_promised_figures_hold() -> None:
    """Gone for new requests within 2 s; what is open ends within 5 s, also when the database is away."""
    assert POLL_INTERVAL <= 1.0
    assert STALE_AFTER <= 5.0


async def test_sec26_before_the_first_look_there_are_no_rights(database: Database) -> None:
    rights = Rights(Looks())
    assert rights.snapshot is None
    await rights.look_again()
    assert rights.snapshot is not None


async def test_a_new_epoch_is_read_and_told_and_an_old_one_is_kept(database: Database) -> None:
    looks = Looks()
    rights = Rights(looks)
    await rights.look_again()
    first = rights.snapshot
    await rights.look_again()
    assert rights.snapshot is first
    assert looks.count == 1
    database.epoch = 2
    await rights.look_again()
    assert rights.snapshot is not None
    assert rights.snapshot.epoch == 2
    assert looks.count == 2


async def test_polling_finds_what_changed(database: Database) -> None:
    looks = Looks()
    rights = Rights(looks)
    polling = asyncio.create_task(rights.keep_fresh())
    await until(lambda: rights.snapshot is not None)
    database.epoch = 7
    await until(lambda: rights.snapshot is not None and rights.snapshot.epoch == 7)
    polling.cancel()


@pytest.mark.parametrize("failure", [OperationalError("gone"), InterfaceError("connection closed")])
async def test_sec26_rights_that_cannot_be_confirmed_are_not_used_and_that_is_told_at_the_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(module, "STALE_AFTER", 0.3)
    seen_at_stale: list[bool] = []
    rights = Rights(lambda: seen_at_stale.append(rights.snapshot is None))
    polling = asyncio.create_task(rights.keep_fresh())
    await until(lambda: rights.snapshot is not None)
    database.failure = failure
    began = time.monotonic()
    await until(lambda: any(seen_at_stale))
    assert 0.1 < time.monotonic() - began < 2
    assert rights.snapshot is None
    database.failure = None
    await until(lambda: rights.snapshot is not None)
    polling.cancel()


async def test_sec26_a_database_that_does_not_answer_makes_rights_stale_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALE_AFTER", 0.2)
    monkeypatch.setattr(module, "POLL_INTERVAL", 60.0)
    looks = Looks()
    rights = Rights(looks)
    await rights.look_again()
    looks.called.clear()
    database.gate.clear()
    hanging = asyncio.create_task(rights.look_again())
    await asyncio.wait_for(looks.called.wait(), 5)
    assert rights.snapshot is None
    await hanging
    database.gate.set()
    await until(lambda: database.asked == 2)
    await rights.look_again()
    assert rights.snapshot is not None


async def test_what_was_read_is_as_old_as_the_question(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_AFTER", 0.3)
    rights = Rights(Looks())
    database.gate.clear()
    looking = asyncio.create_task(rights.look_again())
    await asyncio.sleep(0.2)
    database.gate.set()
    await looking
    assert rights.snapshot is not None
    await asyncio.sleep(0.15)
    assert rights.snapshot is None


async def test_however_many_ask_at_once_the_database_is_asked_once_or_twice(database: Database) -> None:
    rights = Rights(Looks())
    await rights.look_again()
    database.asked = 0
    await asyncio.gather(*(rights.look_again() for _ in range(200)))
    assert database.asked <= 2


async def test_sec72_however_many_ask_while_the_database_is_away_each_waits_for_one_look(database: Database) -> None:
    rights = Rights(Looks())
    database.failure = OperationalError("gone")
    await asyncio.gather(*(rights.look_again() for _ in range(200)))
    assert database.asked <= 2
    assert rights.snapshot is None


async def test_between_two_looks_there_is_a_pause(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_INTERVAL", 0.1)
    rights = Rights(Looks())
    began = time.monotonic()
    for _ in range(3):
        await rights.look_again()
    assert time.monotonic() - began >= 0.2


async def test_a_look_sees_what_was_committed_before_it_was_asked_for(database: Database) -> None:
    rights = Rights(Looks())
    database.gate.clear()
    earlier = asyncio.create_task(rights.look_again())
    await until(lambda: database.asked == 1)
    later = asyncio.create_task(rights.look_again())  # must not be answered by the look that began before it
    await asyncio.sleep(0)
    database.gate.set()
    await asyncio.gather(earlier, later)
    assert database.asked == 2
