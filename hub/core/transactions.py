"""Whole transactions again when PostgreSQL asks for it.

Deadlocks and serialisation failures are answered by running all of the transaction once more, never a part of it.
Rows are locked in one order everywhere: tenant, project, cluster, guest cluster, pool, machine.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, transaction

ResultT = TypeVar("ResultT")

RETRIED = ("40001", "40P01")  # serialization_failure, deadlock_detected
ATTEMPTS = 5
FIRST_PAUSE = 0.02


def run_transaction(body: Callable[[], ResultT]) -> ResultT:
    """Runs ``body`` in a transaction of its own, up to five times. ``body`` must read afresh what it decides by.

    Raises RuntimeError inside another transaction, where a retry would repeat only a part.
    """
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("run_transaction starts the outermost transaction")
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return body()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in RETRIED or attempt == ATTEMPTS - 1:
                raise
        time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311  (spreads retries, guards nothing)
    raise AssertionError("unreachable: the last attempt returns or raises")


def join_transaction(body: Callable[[], ResultT]) -> ResultT:
    """Runs ``body`` as a part of the transaction that is open, whose owner retries it; without one, as ``run_transaction``."""
    if not transaction.get_connection().in_atomic_block:
        return run_transaction(body)
    with transaction.atomic():
        return body()


def drop_broken_connection() -> None:
    """Closes this thread's connection if it is broken or too old, so that the next statement opens another.

    Long-running processes call it where a request would begin. Inside a transaction it does nothing.
    """
    connection = transaction.get_connection()
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
