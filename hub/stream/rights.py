"""The rights this process decides by: a snapshot in memory, kept fresh by a poll each second.

A snapshot that could not be confirmed for ``STALE_AFTER`` seconds is not used: the server then refuses, and cuts what is
open. So a revoked right is gone for new requests within two seconds and ends open streams within five, also when the
database is away (SEC-26).
"""

import asyncio
import time
from collections.abc import Callable

import structlog
from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from hub.access.snapshot import Snapshot, current_epoch, load_snapshot

POLL_INTERVAL = 1.0
SHORTEST_INTERVAL = 0.2  # between two looks, whoever asks for them
STALE_AFTER = 5.0

log = structlog.get_logger(__name__)


class Rights:
    """Holds the current snapshot; ``on_change`` is called after each new one and once when it goes stale."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._snapshot: Snapshot | None = None
        self._confirmed_at = 0.0
        self._looking = asyncio.Lock()

    @property
    def snapshot(self) -> Snapshot | None:
        """What to decide by; None: nothing may be allowed now."""
        return self._snapshot if time.monotonic() - self._confirmed_at < STALE_AFTER else None

    async def look_again(self) -> None:
        """Confirms the snapshot now: somebody was refused, and his right may be younger than what we know.

        However many ask, the database is asked a few times a second. Never raises; an unconfirmed snapshot stays.
        """
        asked_at = time.monotonic()
        async with self._looking:
            if self._confirmed_at >= asked_at:
                return  # somebody else's look has answered this one
            await asyncio.sleep(max(0.0, self._confirmed_at + SHORTEST_INTERVAL - time.monotonic()))
            try:
                await asyncio.wait_for(self._refresh(), STALE_AFTER)
            except (DatabaseError, TimeoutError) as error:
                log.warning("rights_not_confirmed", error=type(error).__name__)

    async def keep_fresh(self) -> None:
        """Polls until it is cancelled. The database may be away for any time."""
        was_usable = False
        while True:
            await self.look_again()
            usable = self.snapshot is not None
            if was_usable and not usable:
                self._on_change()
            was_usable = usable
            await asyncio.sleep(POLL_INTERVAL)

    async def _refresh(self) -> None:
        began = time.monotonic()
        known = self._snapshot.epoch if self._snapshot else None
        fresh = await sync_to_async(_read_if_newer)(known)
        self._confirmed_at = began  # what was read is as old as the question
        if fresh is not None:
            self._snapshot = fresh
            self._on_change()


def _read_if_newer(known: int | None) -> Snapshot | None:
    close_old_connections()
    return None if known is not None and current_epoch() == known else load_snapshot()
