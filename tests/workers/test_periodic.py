"""Periodic work under a lease."""

import asyncio
import threading

import pytest
from django.db import OperationalError, connection

from hub.core.leases import acquire_lease
from hub.core.models import Lease
from workers.periodic import Periodic
from workers.runtime import holder_name


class TestOnce:
    pytestmark = pytest.mark.django_db

    def test_the_work_is_done_under_the_lease(self) -> None:
        done: list[str] = []
        assert Periodic("job", 10, lambda: done.append(Lease.objects.get().holder)).run_once() is True
        assert done == [holder_name()]

    def test_flt09_a_process_without_the_lease_does_nothing(self) -> None:
        acquire_lease("job", "another", 60)
        done: list[int] = []
        assert Periodic("job", 10, lambda: done.append(1)).run_once() is False
        assert done == []

    def test_a_database_that_is_away_is_no_end(self) -> None:
        def away() -> None:
            raise OperationalError("gone")

        assert Periodic("job", 10, away).run_once() is False

    def test_another_error_is_not_hidden(self) -> None:
        with pytest.raises(ZeroDivisionError):
            Periodic("job", 10, lambda: 1 / 0).run_once()


@pytest.mark.django_db(transaction=True)
class TestRepeating:
    async def test_it_works_again_and_again_until_it_is_stopped_and_gives_the_lease_back(self) -> None:
        stop, thrice, times = asyncio.Event(), asyncio.Event(), []
        loop = asyncio.get_running_loop()

        def work() -> None:
            times.append(threading.current_thread().name)
            if len(times) == 3:
                loop.call_soon_threadsafe(thrice.set)

        job = asyncio.create_task(Periodic("again", 0.01, work)(stop))
        await asyncio.wait_for(thrice.wait(), 10)
        stop.set()
        await asyncio.wait_for(job, 10)
        assert set(times) == {"again_0"}
        assert await asyncio.to_thread(_is_free, "again")

    async def test_a_slow_job_does_not_hold_up_another(self) -> None:
        stop, quick_done, release_slow = asyncio.Event(), asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()
        slow = asyncio.create_task(Periodic("slow", 60, lambda: release_slow.wait(20))(stop))
        quick = asyncio.create_task(Periodic("quick", 60, lambda: loop.call_soon_threadsafe(quick_done.set))(stop))
        await asyncio.wait_for(quick_done.wait(), 10)
        release_slow.set()
        stop.set()
        await asyncio.wait_for(asyncio.gather(slow, quick), 20)


def _is_free(name: str) -> bool:
    """Whether another holder gets the lease; asked in a thread, whose connection is closed again."""
    try:
        return acquire_lease(name, "test", 1) is not None
    finally:
        connection.close()
