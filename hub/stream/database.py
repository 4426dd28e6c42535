"""Queries of the stream server: each purpose has a thread and a connection of its own, so that none waits for another.

Nothing here runs for a request's decision; a slow batch of audit rows must not keep the rights from being confirmed.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThread:
    """One thread with one connection; calls run one after the other."""

    def __init__(self, purpose: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"database-{purpose}")

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the function returns; it goes on to its end also when the caller no longer waits."""

        def call() -> T:
            close_old_connections()
            return function(*arguments, **named)

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Ends connection and thread, after what is under way."""
        self._executor.submit(connections.close_all)
        self._executor.shutdown(wait=False)
