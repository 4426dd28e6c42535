"""When tokens were last used, written in batches: a row per request would cost more than the request."""

import asyncio
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from hub.identity.services import mark_used

INTERVAL = 15.0

log = structlog.get_logger(__name__)


class TokenUsage:
    """The tokens used since the last write."""

    def __init__(self) -> None:
        self._used: set[UUID] = set()

    def note(self, token_id: UUID) -> None:
        self._used.add(token_id)

    async def run(self) -> None:
        """Runs until it is cancelled; what a database that is away did not take is offered again."""
        while True:
            await asyncio.sleep(INTERVAL)
            used, self._used = self._used, set()
            try:
                await sync_to_async(_write)(used)
            except DatabaseError as error:
                self._used |= used
                log.warning("token_usage_not_written", error=type(error).__name__)


def _write(used: set[UUID]) -> None:
    close_old_connections()
    if used:
        mark_used(used, timezone.now())
