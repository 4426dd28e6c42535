"""When tokens were last used, written in batches: a row per request would cost more than the request."""

import asyncio
from uuid import UUID

import structlog
from django.db import Error as DatabaseFailure
from django.utils import timezone

from hub.identity.tokens import mark_used

from .database import DatabaseThread

INTERVAL = 15.0

log = structlog.get_logger(__name__)


class TokenUsage:
    """The tokens used since the last write."""

    def __init__(self) -> None:
        self._used: set[UUID] = set()
        self._thread = DatabaseThread("usage")

    def note(self, token_id: UUID) -> None:
        self._used.add(token_id)

    async def run(self) -> None:
        """Runs until it is cancelled; what a database that is away did not take is offered again."""
        try:
            while True:
                await asyncio.sleep(INTERVAL)
                await self.write()
        finally:
            self._thread.close()

    async def write(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._thread.run(mark_used, used, timezone.now())
        except DatabaseFailure as error:
            self._used |= used
            log.warning("token_usage_not_written", error=type(error).__name__)
