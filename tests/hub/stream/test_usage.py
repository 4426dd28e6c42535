"""When tokens and sessions were used is noted in memory and written now and then."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Collection
from uuid import UUID

import pytest
from django.db import OperationalError

from hub.access.grants import FULL_SCOPE
from hub.access.snapshot import Principal
from hub.core.ids import uuid7
from hub.stream import usage as module
from hub.stream.usage import Usage

IN_A_DAY = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)


class Tables:
    """Stand in for tokens and sessions."""

    def __init__(self) -> None:
        self.writes: list[tuple[set[UUID], set[UUID]]] = []
        self.away = False

    def write(self, tokens: Collection[UUID], sessions: Collection[UUID]) -> None:
        if self.away:
            raise OperationalError("away")
        self.writes.append((set(tokens), set(sessions)))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    made = Tables()
    monkeypatch.setattr(module, "_write", made.write)
    return made


def by_token(token_id: UUID) -> Principal:
    return Principal(uuid7(), "maria", token_id, FULL_SCOPE, IN_A_DAY)


def by_session(session_id: UUID) -> Principal:
    return Principal(uuid7(), "maria", None, FULL_SCOPE, IN_A_DAY, session_id=session_id)


async def test_tokens_and_sessions_are_written_once_however_often_they_were_used(tables: Tables) -> None:
    usage, a, b, session = Usage(), uuid7(), uuid7(), uuid7()
    for principal in (by_token(a), by_token(b), by_session(session), by_token(a), by_session(session)):
        usage.note(principal)
    await usage.write()
    await usage.write()
    assert tables.writes == [({a, b}, {session})]


async def test_what_a_database_that_is_away_did_not_take_is_offered_again(tables: Tables) -> None:
    usage, a, b, session = Usage(), uuid7(), uuid7(), uuid7()
    tables.away = True
    usage.note(by_token(a))
    usage.note(by_session(session))
    await usage.write()
    tables.away = False
    usage.note(by_token(b))
    await usage.write()
    assert tables.writes == [({a, b}, {session})]


async def test_it_writes_by_itself(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    usage, token = Usage(), uuid7()
    running = asyncio.create_task(usage.run())
    usage.note(by_token(token))
    async with asyncio.timeout(5):
        while not tables.writes:
            await asyncio.sleep(0.01)
    running.cancel()
    assert tables.writes == [({token}, set())]
