"""Blocking work done again and again by one watcher of all, under a database lease of its own.

Two watchers doing it at once, after one slept longer than its lease, must be harmless. Each job has a thread of its
own, so a slow one does not hold up the others, and a database connection that lives as long.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from django.db import DatabaseError, connection

from hub.core.leases import acquire_lease, release_lease
from hub.core.transactions import drop_broken_connection

from .reconcilers.contract import jittered
from .runtime import holder_name

log = logging.getLogger(__name__)

LEASE_MARGIN = 15.0


@dataclass(frozen=True)
class Periodic:
    """Calls ``work`` every ``seconds`` while this process holds the lease ``name``; a job for ``workers.watcher``."""

    name: str
    seconds: float
    work: Callable[[], object]

    async def __call__(self, stop: asyncio.Event) -> None:
        """Runs until ``stop``. A database that is away is asked again next time; other errors end the job."""
        executor = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        loop = asyncio.get_running_loop()
        try:
            while not stop.is_set():
                await loop.run_in_executor(executor, self.run_once)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), jittered(self.seconds))
            await loop.run_in_executor(executor, self._leave)
        finally:
            executor.shutdown(wait=False)

    def run_once(self) -> bool:
        """Does the work if the lease can be had; whether it was done."""
        drop_broken_connection()
        try:
            if acquire_lease(self.name, holder_name(), self.seconds + LEASE_MARGIN) is None:
                return False
            self.work()
        except DatabaseError as error:
            log.warning("%s: the database does not answer: %s", self.name, error)
            return False
        return True

    def _leave(self) -> None:
        """The last that runs in the job's thread: gives back the lease and the connection."""
        try:
            release_lease(self.name, holder_name())
        except DatabaseError as error:
            log.info("%s: the lease was not given back, it will end: %s", self.name, error)
        finally:
            connection.close()
