"""An event loop in a thread of its own, for servers of this process that blocking tests talk to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

DEADLINE = 60.0
"""Seconds that one piece of work in the loop may take."""

T = TypeVar("T")


class LoopThread:
    """Runs from the start until ``close``."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop-of-servers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the loop and waits for it. Raises TimeoutError after ``DEADLINE``."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    @contextmanager
    def entered(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """The context, entered and left in the loop."""
        entered = self.run(context.__aenter__())
        try:
            yield entered
        finally:
            self.run(context.__aexit__(None, None, None))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()
