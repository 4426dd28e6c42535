"""Sending task hints: a message that says "look at this row", lost without harm.

The hub sends by task name and never imports the workers. A broker that is away costs a request at most a fraction of
a second once, then nothing until ``QUIET_SECONDS`` have passed: the row is due, and the poller finds it.
"""

import logging
import threading
import time
from functools import lru_cache
from typing import Any, TypedDict
from uuid import UUID

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError

from .environment import environment

log = logging.getLogger(__name__)

QUEUE = "paddock"
RECONCILE_TASK = "paddock.reconcile"
PAYLOAD_VERSION = 1
SOCKET_TIMEOUT = 0.4
QUIET_SECONDS = 5.0


class ReconcilePayload(TypedDict):
    """Version 1 of what a reconcile task carries: ids only."""

    v: int
    kind: str
    id: str
    request_id: str


def reconcile_payload(kind: str, id: UUID, request_id: str) -> ReconcilePayload:
    return {"v": PAYLOAD_VERSION, "kind": kind, "id": str(id), "request_id": request_id}


def broker_url() -> str:
    """REDIS_URL in Celery's spelling, which calls a unix socket ``redis+socket``."""
    url = environment().redis_url or "redis://127.0.0.1:6379/0"
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


def broker_transport_options() -> dict[str, Any]:
    """Options that every process on this broker shares.

    A message is gone from the broker as soon as a worker has it. Giving it back after a crash would be a second way to find
    the row again, and keeping track of it is what kills a worker whose broker goes away while a step runs.
    """
    return {"ack_emulation": False}


@lru_cache(maxsize=1)
def _sender() -> Celery:
    sender = Celery("paddock-sender", broker=broker_url(), set_as_current=False)
    sender.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        task_ignore_result=True,
        broker_transport_options={
            **broker_transport_options(),
            "socket_timeout": SOCKET_TIMEOUT,
            "socket_connect_timeout": SOCKET_TIMEOUT,
            # Without these a publish waits for the broker for ever.
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
    )
    return sender


class _Quiet:
    """Until when nothing is sent, because the broker just failed."""

    def __init__(self) -> None:
        self.until = 0.0
        self.lock = threading.Lock()

    def is_on(self) -> bool:
        with self.lock:
            return time.monotonic() < self.until

    def begin(self) -> None:
        with self.lock:
            self.until = time.monotonic() + QUIET_SECONDS

    def end(self) -> None:
        with self.lock:
            self.until = 0.0


_quiet = _Quiet()


def send_hint(payload: ReconcilePayload) -> bool:
    """Sends a reconcile hint. False when the broker did not take it; never raises for that, never blocks for 1 s."""
    if _quiet.is_on():
        return False
    try:
        _sender().send_task(RECONCILE_TASK, args=[payload], retry=False)
    except (BrokerError, OSError) as error:
        _quiet.begin()
        log.warning("the broker takes no messages, the poller will find the row: %s", error)
        return False
    return True


def forget_broker() -> None:
    """Drops what this process knows of the broker, its address and its failures included, as after a start."""
    _sender.cache_clear()
    _quiet.end()
