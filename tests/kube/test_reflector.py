"""The reflector: what a consumer sees of all that can happen to a list and a watch (FLT-19..21)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kube.aio import AsyncKubeClient
from kube.errors import Conflict, Expired, Forbidden, Garbled, KubeError, NotServed, RequestTimeout, Unavailable
from kube.reflector import reflect
from kube.resources import PODS
from tests.kube.stage import (
    Scene,
    Stage,
    answer,
    chunk,
    event,
    hold,
    raw,
    reset,
    status,
    status_object,
    watch,
)


def pod(name: str, version: str, uid: str = "", **metadata: Any) -> dict[str, Any]:
    fields = {"name": name, "namespace": "prod", "uid": uid or f"uid-{name}", "resourceVersion": version, **metadata}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": fields}


def bookmark(version: str) -> bytes:
    return event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version}})


def listing(*pods: dict[str, Any], version: str = "10", token: str = "") -> Scene:
    return answer(200, {"metadata": {"resourceVersion": version, "continue": token}, "items": list(pods)})


class Journal:
    """What the consumer was told, in order: ("ADDED", name), ("SYNCED", ""), ("error", class name)."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self.objects: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()

    async def on_event(self, kind: str, obj: dict[str, Any]) -> None:
        self.objects.append(obj)
        await self._note(kind, obj["metadata"]["name"])

    async def on_sync(self) -> None:
        await self._note("SYNCED", "")

    async def on_error(self, error: KubeError) -> None:
        await self._note("error", type(error).__name__)

    async def _note(self, kind: str, text: str) -> None:
        async with self._changed:
            self.entries.append((kind, text))
            self._changed.notify_all()

    async def wait(self, *last: tuple[str, str]) -> None:
        """Until the journal ends with these entries."""
        async with self._changed, asyncio.timeout(20):
            await self._changed.wait_for(lambda: self.entries[-len(last) :] == list(last))

    @property
    def events(self) -> list[tuple[str, str]]:
        return [entry for entry in self.entries if entry[0] != "error"]


@asynccontextmanager
async def reflecting(client: AsyncKubeClient, **arguments: Any) -> AsyncIterator[Journal]:
    journal = Journal()
    options = {"min_backoff": 0.01, "max_backoff": 0.02, "on_error": journal.on_error, **arguments}
    async with client:
        task = asyncio.create_task(reflect(client, PODS, on_event=journal.on_event, on_sync=journal.on_sync, **options))
        try:
            yield journal
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def arrived(stage: Stage, count: int) -> None:
    await asyncio.to_thread(stage.wait_for_requests, count)


async def test_what_is_there_comes_before_the_sync_and_what_happens_after_it(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(
        listing(pod("a", "1"), pod("b", "2")),
        watch(
            event("ADDED", pod("c", "11")),
            event("MODIFIED", pod("a", "12")),
            event("DELETED", pod("b", "13")),
            then=hold(curtain),
        ),
    )
    async with reflecting(async_client, namespace="prod", label_selector="x=y") as journal:
        await journal.wait(("DELETED", "b"))
    assert journal.entries == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("SYNCED", ""),
        ("ADDED", "c"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]
    first, second = stage.requests
    assert (first.path, first.query["limit"]) == ("/api/v1/namespaces/prod/pods", "500")
    assert second.query["resourceVersion"] == "10"
    assert second.query["allowWatchBookmarks"] == "true"
    assert first.query["labelSelector"] == second.query["labelSelector"] == "x=y"


async def test_a_list_of_several_pages_is_synced_once(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(listing(pod("a", "1"), token="t"), listing(pod("b", "2")), hold(curtain))
    async with reflecting(async_client) as journal:
        await journal.wait(("SYNCED", ""))
    assert journal.entries == [("ADDED", "a"), ("ADDED", "b"), ("SYNCED", "")]


async def test_flt19_a_watch_that_the_server_ends_is_resumed_after_the_last_bookmark(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(
        listing(version="10"),
        watch(event("ADDED", pod("a", "11")), bookmark("15")),
        watch(event("MODIFIED", pod("a", "16"))),
        watch(then=hold(curtain)),
    )
    async with reflecting(async_client) as journal:
        await arrived(stage, 4)
        await journal.wait(("MODIFIED", "a"))
    assert [request.query.get("resourceVersion") for request in stage.requests] == [None, "10", "15", "16"]
    assert journal.entries == [("SYNCED", ""), ("ADDED", "a"), ("MODIFIED", "a")], "no second list, and no error"


@pytest.mark.parametrize(
    "gone",
    [status(410, "Expired"), watch(event("ERROR", status_object(410, "Expired")))],
    ids=["by HTTP", "within the stream"],
)
async def test_flt19_an_expired_version_leads_to_a_list_and_its_difference(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event, gone: Scene
) -> None:
    owners = [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": True}]
    lost = pod("lost", "2", labels={"paddock.io/owner-id": "7"}, ownerReferences=owners, annotations={"big": "x" * 999})
    stage.will(
        listing(pod("same", "1"), lost, pod("changed", "3"), pod("again", "4")),
        gone,
        listing(
            pod("same", "1"), pod("changed", "30"), pod("again", "31", uid="other"), pod("new", "32"), version="40"
        ),
        watch(then=hold(curtain)),
    )
    async with reflecting(async_client) as journal:
        await arrived(stage, 4)
        await journal.wait(("DELETED", "lost"), ("SYNCED", ""))
    assert journal.entries[5:] == [
        ("error", "Expired"),
        ("MODIFIED", "changed"),
        ("DELETED", "again"),
        ("ADDED", "again"),
        ("ADDED", "new"),
        ("DELETED", "lost"),
        ("SYNCED", ""),
    ]
    assert stage.requests[3].query["resourceVersion"] == "40"
    assert journal.objects[-1] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "lost",
            "namespace": "prod",
            "uid": "uid-lost",
            "labels": {"paddock.io/owner-id": "7"},
            "ownerReferences": owners,
        },
    }


async def test_flt21_a_list_that_expires_half_way_deletes_nothing(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(
        listing(pod("a", "1"), pod("b", "2")),
        status(410, "Expired"),
        listing(pod("a", "1"), token="t"),
        status(410, "Expired"),
        listing(pod("a", "1"), token="t"),
        listing(pod("b", "2")),
        watch(then=hold(curtain)),
    )
    async with reflecting(async_client) as journal:
        await arrived(stage, 7)
    assert journal.events == [("ADDED", "a"), ("ADDED", "b"), ("SYNCED", ""), ("SYNCED", "")]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (reset(), "Unavailable"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), "Garbled"),
        (status(500, "InternalError"), "ServerError"),
        (answer(502, b"<html>"), "ServerError"),
        (answer(200, b"<html>"), "Garbled"),
        (status(429, "TooManyRequests"), "TooManyRequests"),
        (listing(pod("x", "1", labels=7)), "Garbled"),
    ],
)
async def test_flt18_a_list_that_fails_is_asked_again(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event, broken: Scene, error: str
) -> None:
    stage.will(broken, listing(pod("a", "1")), watch(then=hold(curtain)))
    async with reflecting(async_client) as journal:
        await journal.wait(("ADDED", "a"), ("SYNCED", ""))
    assert journal.entries[0] == ("error", error)


@pytest.mark.parametrize(
    "broken",
    [
        watch(then=reset()),
        watch(then=raw()),
        watch(event("ADDED", pod("b", "11")), then=raw(b"50\r\n{")),
        watch(chunk(b"nonsense\n")),
        status(500, "InternalError"),
    ],
)
async def test_flt18_a_watch_that_breaks_is_resumed_without_a_list(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event, broken: Scene
) -> None:
    stage.will(listing(pod("a", "1")), broken, watch(event("DELETED", pod("a", "12")), then=hold(curtain)))
    async with reflecting(async_client) as journal:
        await journal.wait(("DELETED", "a"))
    assert journal.events[-1] == ("DELETED", "a")
    assert journal.events.count(("SYNCED", "")) == 1
    expected = "11" if ("ADDED", "b") in journal.events else "10"
    assert stage.requests[2].query["resourceVersion"] == expected


async def test_flt20_a_half_open_watch_is_noticed_and_replaced(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(
        listing(pod("a", "1")),
        watch(bookmark("20"), then=hold(curtain)),
        watch(event("DELETED", pod("a", "21")), then=hold(curtain)),
    )
    async with reflecting(async_client, idle_timeout=0.3) as journal:
        await journal.wait(("error", RequestTimeout.__name__), ("DELETED", "a"))
    assert stage.requests[2].query["resourceVersion"] == "20"


async def test_a_resumed_watch_that_repeats_an_event_is_told_once(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(
        listing(pod("a", "1")),
        watch(event("MODIFIED", pod("a", "11"))),
        watch(event("MODIFIED", pod("a", "11")), event("ADDED", pod("b", "12")), then=hold(curtain)),
    )
    async with reflecting(async_client) as journal:
        await journal.wait(("ADDED", "b"))
    assert journal.events.count(("MODIFIED", "a")) == 1


@pytest.mark.parametrize(
    ("answered", "kind"),
    [(status(403, "Forbidden"), Forbidden), (answer(404, b"404 page not found\n"), NotServed)],
)
async def test_what_does_not_pass_by_itself_ends_the_reflection(
    stage: Stage, async_client: AsyncKubeClient, answered: Scene, kind: type[KubeError]
) -> None:
    journal = Journal()
    stage.will(listing(pod("a", "1")), answered)
    async with async_client:
        with pytest.raises(kind):
            await reflect(async_client, PODS, on_event=journal.on_event, on_sync=journal.on_sync)
    assert journal.entries == [("ADDED", "a"), ("SYNCED", "")]


@pytest.mark.parametrize("error", [Conflict("of the consumer"), Expired("of the consumer"), ValueError("bug")])
async def test_what_the_consumer_raises_reaches_the_caller(
    stage: Stage, async_client: AsyncKubeClient, error: Exception
) -> None:
    async def fail(*_: Any) -> None:
        raise error

    async def ignore(*_: Any) -> None:
        """Nothing to do."""

    stage.always(listing(pod("a", "1")))
    async with async_client:
        for on_event, on_sync in ((fail, ignore), (ignore, fail)):
            with pytest.raises(type(error)) as caught:
                await reflect(async_client, PODS, on_event=on_event, on_sync=on_sync)
            assert caught.value is error
    assert len(stage.requests) == 2


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_loop(
    stage: Stage, async_client: AsyncKubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = record_waits(monkeypatch)
    stage.will(listing())
    stage.always(watch())
    async with reflecting(async_client, min_backoff=1, max_backoff=8):
        await arrived(stage, 8)
    assert waits[:6] == [1, 2, 4, 8, 8, 8]


async def test_flt17_a_wait_that_the_server_asks_for_is_kept(
    stage: Stage, async_client: AsyncKubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = record_waits(monkeypatch)
    stage.will(answer(429, b"", headers=[("Retry-After", "7")]))
    stage.always(status(503, "ServiceUnavailable"))
    async with reflecting(async_client, min_backoff=1, max_backoff=8):
        await arrived(stage, 4)
    assert waits[:3] == [8, 2, 4], "seven and one, then without the server's word"


async def test_after_good_events_the_waits_are_short_again(
    stage: Stage, async_client: AsyncKubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = record_waits(monkeypatch)
    bad = status(503, "ServiceUnavailable")
    stage.will(bad, bad, listing(), watch(bookmark("20"), then=reset()), bad)
    stage.always(bad)
    async with reflecting(async_client, min_backoff=1, max_backoff=8):
        await arrived(stage, 7)
    assert waits[:4] == [1, 2, 1, 2]


def record_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Backoff waits, at their longest, instead of being waited for; servers in other threads sleep as ever."""
    waits: list[float] = []
    sleep = asyncio.sleep
    ours = asyncio.get_running_loop()

    async def note(seconds: float) -> None:
        if asyncio.get_running_loop() is not ours:
            await sleep(seconds)
            return
        if seconds:  # others only let the loop run
            waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("kube.reflector.asyncio.sleep", note)
    monkeypatch.setattr("kube.reflector.random.uniform", lambda low, high: high)
    return waits


async def test_a_server_that_dies_and_comes_back_is_found_again(
    make_stage: Callable[[], Stage], credentials: Any, guard: Any, curtain: threading.Event
) -> None:
    first, second = make_stage(), make_stage()
    first.will(listing(pod("a", "1")), watch(then=hold(curtain)))
    second.will(watch(event("DELETED", pod("a", "11")), then=hold(curtain)))
    client = AsyncKubeClient(replace(credentials, servers=(first.url, second.url)), guard=guard)
    async with reflecting(client) as journal:
        await arrived(first, 2)
        first.close()
        await journal.wait(("DELETED", "a"))
    assert second.requests[0].query["resourceVersion"] == "10"


def test_errors_of_the_tree_are_what_the_reflector_decides_by() -> None:
    assert all(kind.retryable for kind in (Unavailable, RequestTimeout, Garbled, Expired, Conflict))
    assert not Forbidden.retryable
    assert not NotServed.retryable
