"""The work queue: one key once at a time, nothing lost, errors tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kube.errors import Conflict
from simulator.controllers.work_queue import Key, WorkQueue
from tests.simulator.guests.stage import eventually

WEB: Key = ("default", "web")


@asynccontextmanager
async def at_work(queue: WorkQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_added_many_times_is_looked_at_once() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> float | None:
        seen.append(key)
        return None

    queue = WorkQueue("test", reconcile)
    for _ in range(5):
        queue.add(WEB)
    async with at_work(queue):
        queue.add(("default", "last"))
        await eventually(lambda: len(seen) == 2, "both keys were seen")

    assert sorted(seen) == [("default", "last"), WEB]


async def test_a_key_added_while_it_is_looked_at_is_looked_at_again_and_never_twice_at_once() -> None:
    running = most = looks = 0
    begun = asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        nonlocal running, most, looks
        running += 1
        looks += 1
        most = max(most, running)
        begun.set()
        await asyncio.sleep(0.05)
        running -= 1
        return None

    queue = WorkQueue("test", reconcile)
    queue.add(WEB)
    async with at_work(queue):
        await begun.wait()
        queue.add(WEB)
        queue.add(WEB)
        await eventually(lambda: looks == 2 and running == 0, "the second look is over")

    assert most == 1


async def test_an_error_of_the_api_and_one_of_ours_are_both_tried_again() -> None:
    errors: list[Exception] = [Conflict("changed"), KeyError("a bug")]
    done = asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        if errors:
            raise errors.pop(0)
        done.set()
        return None

    queue = WorkQueue("test", reconcile)
    queue.add(WEB)
    async with at_work(queue):
        await asyncio.wait_for(done.wait(), 10)

    assert errors == []


async def test_the_seconds_that_a_look_returns_are_waited_for() -> None:
    times: list[float] = []

    async def reconcile(key: Key) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 0.1 if len(times) == 1 else None

    queue = WorkQueue("test", reconcile)
    queue.add(WEB)
    async with at_work(queue):
        await eventually(lambda: len(times) == 2, "the second look")

    assert times[1] - times[0] >= 0.1
