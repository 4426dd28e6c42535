"""When tokens and sessions were last used, written in batches: a row per request would cost more than the request."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import structlog
from django.db import Error as DatabaseFailure
from django.utils import timezone

from hub.access.snapshot import Principal
from hub.identity.models import Session
from hub.identity.sessions import SEEN_INTERVAL
from hub.identity.tokens import mark_used

from .database import DatabaseThread

INTERVAL = 15.0

log = structlog.get_logger(__name__)


class Usage:
    """The tokens and sessions used since the last write."""

    def __init__(self) -> None:
        self._tokens: set[UUID] = set()
        self._sessions: set[UUID] = set()
        self._thread = DatabaseThread("usage")

    def note(self, principal: Principal) -> None:
        if principal.token_id is not None:
            self._tokens.add(principal.token_id)
        if principal.session_id is not None:
            self._sessions.add(principal.session_id)

    async def run(self) -> None:
        """Runs until it is cancelled; what a database that is away did not take is offered again."""
        try:
            while True:
                await asyncio.sleep(INTERVAL)
                await self.write()
        finally:
            self._thread.close()

    async def write(self) -> None:
        tokens, self._tokens = self._tokens, set()
        sessions, self._sessions = self._sessions, set()
        if not tokens and not sessions:
            return
        try:
            await self._thread.run(_write, tokens, sessions)
        except DatabaseFailure as error:
            self._tokens |= tokens
            self._sessions |= sessions
            log.warning("usage_not_written", error=type(error).__name__)


def _write(tokens: Collection[UUID], sessions: Collection[UUID]) -> None:
    """An observation and no change of the row: no new version, no hint to listeners. May be repeated."""
    now = timezone.now()
    mark_used(tokens, now)
    Session.objects.filter(pk__in=sessions, last_seen_at__lt=now - SEEN_INTERVAL).update(last_seen_at=now)
