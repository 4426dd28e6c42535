"""Which objects are to be looked at, and when: each key once at a time, never lost, later on request or after errors.

The rules of client-go's work queue in one small asyncio class. What is done with a key is the controller's part.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kube.errors import KubeError

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

_FIRST_RETRY = 0.1
_LONGEST_RETRY = 5.0
_log = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Looks at one object and does its next step; returns in how many seconds to look again, None for not by itself."""


class WorkQueue:
    """Calls `reconcile` for the keys added, at most `width` at a time and never twice for one key at once."""

    def __init__(self, name: str, reconcile: Reconcile, *, width: int = 8) -> None:
        self._name = name
        self._reconcile = reconcile
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._width = width

    def add(self, key: Key) -> None:
        """Asks for a look at the key, soon."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: Key, seconds: float) -> None:
        """Asks for a look in some time; the latest request counts, and looks asked for meanwhile come all the same."""
        if key in self._timers:
            self._timers.pop(key).cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._width):
                    group.create_task(self._work())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy.add(key)
            try:
                await self._look_at(key)
            finally:
                self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _look_at(self, key: Key) -> None:
        try:
            seconds = await self._reconcile(key)
        except KubeError as error:
            self._failed(key, error)
        except Exception as error:
            # One broken object must not stop the others' life; the trace says what to mend.
            _log.exception("%s: %s/%s", self._name, *key)
            self._failed(key, error)
        else:
            self._failures.pop(key, None)
            if seconds is not None:
                self.add_later(key, seconds)

    def _failed(self, key: Key, error: Exception) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        _log.debug("%s: %s/%s failed %d times: %s", self._name, *key, count, error)
        self.add_later(key, min(_FIRST_RETRY * 2 ** min(count - 1, 10), _LONGEST_RETRY))
