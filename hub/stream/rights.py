"""The rights this process decides by: a snapshot in memory, kept fresh by a poll twice a second.

A snapshot that could not be confirmed for ``STALE_AFTER`` seconds is not used: the server then refuses, and cuts what is
open. So a revoked right is gone for new requests in about a second and ends open streams within five, also when the
database is away (SEC-26).
"""

import asyncio
import time
from collections.abc import Callable

import structlog
from django.db import Error as DatabaseFailure

from hub.access.snapshot import Snapshot, current_epoch, load_snapshot

from .database import DatabaseThread

POLL_INTERVAL = 0.5
LONGEST_REST = 2.0  # after a look that took long: reading all of a large hub's rights must not be all that is done here
SHORTEST_INTERVAL = 0.2  # between two looks, whoever asks for them
STALE_AFTER = 5.0

log = structlog.get_logger(__name__)


class Rights:
    """Holds the current snapshot; ``on_look`` is called after each poll, after each new snapshot, and at the moment one goes
    stale.
    """

    def __init__(self, on_look: Callable[[], None]) -> None:
        self._on_look = on_look
        self._snapshot: Snapshot | None = None
        self._confirmed_at = self._looked_at = -STALE_AFTER
        self._looking = asyncio.Lock()
        self._going_stale: asyncio.TimerHandle | None = None
        self._thread = DatabaseThread("rights")

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
            if self._looked_at >= asked_at:
                return  # somebody else's look has answered this one, or has shown that there is no answer now
            await asyncio.sleep(self._looked_at + SHORTEST_INTERVAL - time.monotonic())
            self._looked_at = time.monotonic()
            try:
                async with asyncio.timeout(STALE_AFTER):
                    await self._refresh(self._looked_at)
            except (DatabaseFailure, TimeoutError) as error:
                log.warning("rights_not_confirmed", error=type(error).__name__)

    async def keep_fresh(self) -> None:
        """Polls until it is cancelled. The database may be away for any time."""
        try:
            while True:
                began = time.monotonic()
                await self.look_again()
                self._on_look()
                took = time.monotonic() - began
                await asyncio.sleep(max(POLL_INTERVAL, min(took, LONGEST_REST)))
        finally:
            if self._going_stale is not None:
                self._going_stale.cancel()
            self._thread.close()

    async def _refresh(self, began: float) -> None:
        known = self._snapshot.epoch if self._snapshot else None
        fresh = await self._thread.run(_read_if_newer, known)
        self._confirmed_at = began  # what was read is as old as the question
        if self._going_stale is not None:
            self._going_stale.cancel()
        remaining = began + STALE_AFTER - time.monotonic()
        self._going_stale = asyncio.get_running_loop().call_later(max(0.0, remaining), self._on_look)
        if fresh is not None:
            self._snapshot = fresh
            self._on_look()


def _read_if_newer(known: int | None) -> Snapshot | None:
    return None if known is not None and current_epoch() == known else load_snapshot()
