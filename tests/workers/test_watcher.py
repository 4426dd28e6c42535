"""The watcher: jobs side by side, each started again when it breaks, all ended by one event."""

import asyncio

import pytest

from workers import watcher
from workers.watcher import Job, jobs, watch


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(watcher, "STOP_DEADLINE", 0.2)


async def run_until(event: asyncio.Event, *jobs: Job) -> None:
    stop = asyncio.Event()
    watching = asyncio.create_task(watch(jobs, stop))
    await asyncio.wait_for(event.wait(), 10)
    stop.set()
    await asyncio.wait_for(watching, 10)


async def test_a_job_that_breaks_is_started_again_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    starts, third, steady_starts = [], asyncio.Event(), []

    async def shaky(stop: asyncio.Event) -> None:
        starts.append(1)
        if len(starts) == 3:
            third.set()
        raise ZeroDivisionError

    async def steady(stop: asyncio.Event) -> None:
        steady_starts.append(1)
        await stop.wait()

    await run_until(third, shaky, steady)
    assert len(starts) >= 3
    assert steady_starts == [1]
    assert "ZeroDivisionError" in caplog.text


async def test_a_job_that_does_not_end_is_cancelled() -> None:
    began, cancelled = asyncio.Event(), []

    async def stubborn(stop: asyncio.Event) -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    await run_until(began, stubborn)
    assert cancelled == [1]


def test_the_poller_housekeeping_the_sweeper_and_the_end_of_sessions_are_among_the_jobs() -> None:
    names = {getattr(job, "name", getattr(job, "__name__", "")) for job in jobs()}
    assert {"poller", "housekeeping", "sweeper", "sessions"} < names
