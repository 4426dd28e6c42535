"""The asyncio process beside the workers: everything that runs all the time rather than per row.

A job is a coroutine function that runs until the event it is given is set. One that breaks is logged and started again
with growing pauses; the others go on.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from hub.core.environment import environment
from hub.core.heartbeat import beat
from hub.identity.provider_sync import ProviderSync
from hub.identity.sessions import end_lapsed_sessions

from .audit_forwarding import audit_forwarding
from .housekeeping import clean_once
from .machine_watch import run_machine_watch
from .periodic import Periodic
from .poller import poll_once
from .reconcilers.contract import jittered
from .sweeper import Sweeper

log = logging.getLogger(__name__)

Job = Callable[[asyncio.Event], Awaitable[None]]

HOUSEKEEPING_SECONDS = 900.0
SWEEP_SECONDS = 300.0
SESSIONS_SECONDS = 30.0
HEARTBEAT_SECONDS = 10.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
STOP_DEADLINE = 8.0


def jobs() -> Sequence[Job]:
    """All that a watcher does."""
    return (
        Periodic("poller", environment().poll_interval, poll_once),
        Periodic("housekeeping", HOUSEKEEPING_SECONDS, clean_once),
        Periodic("sessions", SESSIONS_SECONDS, end_lapsed_sessions),
        Periodic("identity sync", environment().identity_sync_seconds, ProviderSync().run_once),
        Periodic("sweeper", SWEEP_SECONDS, Sweeper().sweep),
        audit_forwarding,
        run_machine_watch,
        run_heartbeat,
    )


async def run_heartbeat(stop: asyncio.Event) -> None:
    """Shows that this loop turns (``manage.py health watcher``)."""
    while not stop.is_set():
        beat("watcher")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), HEARTBEAT_SECONDS)


async def watch(jobs: Sequence[Job], stop: asyncio.Event) -> None:
    """Runs all jobs until ``stop``, then gives them ``STOP_DEADLINE`` seconds to end before they are cancelled."""
    tasks = [asyncio.create_task(_supervise(job, stop)) for job in jobs]
    await stop.wait()
    _, slow = await asyncio.wait(tasks, timeout=STOP_DEADLINE)
    for task in slow:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _supervise(job: Job, stop: asyncio.Event) -> None:
    pause = FIRST_PAUSE
    while not stop.is_set():
        try:
            await job(stop)
        except Exception:
            log.exception("%r broke and starts again in about %s s", job, pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), jittered(pause))
        pause = min(LONGEST_PAUSE, pause * 2)


async def run_until_signalled() -> None:
    """Does ``jobs`` until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await watch(jobs(), stop)
