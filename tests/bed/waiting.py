"""Waiting for something outside to become true, with a deadline and a name for what was waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class DeadlinePassed(TimeoutError):
    """What was waited for did not happen in time; the message names it."""


def wait_for(what: str, probe: Callable[[], Found | None], *, seconds: float, interval: float = 0.05) -> Found:
    """Call ``probe`` until it returns something true, and return that.

    ``probe`` says "not yet" by None or False; what it raises ends the wait. Raises DeadlinePassed after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise DeadlinePassed(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(interval)
