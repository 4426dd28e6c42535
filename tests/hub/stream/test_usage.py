"""When tokens were used is noted in memory and written now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import UUID

import pytest
from django.db import OperationalError

from hub.core.ids import uuid7
from hub.stream import usage as module
from hub.stream.usage import TokenUsage


class Table:
    """Stands in for the tokens."""

    def __init__(self) -> None:
        self.writes: list[set[UUID]] = []
        self.away = False

    def mark_used(self, token_ids: Iterable[UUID], at: object) -> None:
        if self.away:
            raise OperationalError("away")
        self.writes.append(set(token_ids))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    made = Table()
    monkeypatch.setattr(module, "mark_used", made.mark_used)
    return made


async def test_tokens_are_written_once_however_often_they_were_used(table: Table) -> None:
    usage, a, b = TokenUsage(), uuid7(), uuid7()
    for token in (a, b, a, a):
        usage.note(token)
    await usage.write()
    await usage.write()
    assert table.writes == [{a, b}]


async def test_what_a_database_that_is_away_did_not_take_is_offered_again(table: Table) -> None:
    usage, a, b = TokenUsage(), uuid7(), uuid7()
    table.away = True
    usage.note(a)
    await usage.write()
    table.away = False
    usage.note(b)
    await usage.write()
    assert table.writes == [{a, b}]


async def test_it_writes_by_itself(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    usage, token = TokenUsage(), uuid7()
    running = asyncio.create_task(usage.run())
    usage.note(token)
    async with asyncio.timeout(5):
        while not table.writes:
            await asyncio.sleep(0.01)
    running.cancel()
    assert table.writes == [{token}]
