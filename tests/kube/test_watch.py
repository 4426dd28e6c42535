"""One watch of the asynchronous client: events, ends, cuts and silence (FLT-19, FLT-20)."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import aclosing
from typing import Any

import pytest

from kube import async_transport
from kube.aio import AsyncKubeClient
from kube.errors import (
    AddressRefused,
    Expired,
    Forbidden,
    Garbled,
    KubeError,
    RequestTimeout,
    ResponseTooLarge,
    ServerError,
)
from kube.guard import AddressGuard
from kube.resources import PODS
from tests.kube.stage import (
    WATCH_HEAD,
    Scene,
    Stage,
    answer,
    chunk,
    drip,
    event,
    hold,
    raw,
    reset,
    status,
    status_object,
    watch,
)


def pod(name: str, version: str) -> dict[str, Any]:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "resourceVersion": version}}


async def seen(client: AsyncKubeClient, **arguments: Any) -> list[tuple[str, str]]:
    async with client:
        return [
            (change.type, change.object["metadata"]["resourceVersion"])
            async for change in client.watch(PODS, **arguments)
        ]


async def test_events_and_bookmarks_come_in_order_until_the_server_ends(
    stage: Stage, async_client: AsyncKubeClient
) -> None:
    stage.will(watch(event("ADDED", pod("a", "5")), event("BOOKMARK", pod("", "6")), event("DELETED", pod("a", "7"))))
    changes = await seen(async_client, namespace="prod", resource_version="4", label_selector="a=b", timeout_seconds=60)
    assert changes == [("ADDED", "5"), ("BOOKMARK", "6"), ("DELETED", "7")]
    request = stage.requests[0]
    assert request.path == "/api/v1/namespaces/prod/pods"
    assert request.query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "4",
        "labelSelector": "a=b",
        "timeoutSeconds": "60",
    }


async def test_events_may_be_cut_anywhere_and_joined(stage: Stage, async_client: AsyncKubeClient) -> None:
    lines = b"".join(
        json.dumps({"type": "ADDED", "object": pod(name, str(number))}).encode() + b"\n"
        for number, name in enumerate(("ä", "b", "c" * 200_000, "d"))
    )
    pieces = [chunk(lines[start : start + 70_001]) for start in range(0, len(lines), 70_001)]
    stage.will(watch(chunk(lines[:20]), chunk(lines[20:21]), chunk(lines[21:])), watch(*pieces))
    async with async_client:
        for _ in range(2):
            versions = [change.object["metadata"]["resourceVersion"] async for change in async_client.watch(PODS)]
            assert versions == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (status(410, "Expired"), Expired),
        (watch(event("ERROR", status_object(410, "Expired"))), Expired),
        (watch(event("ERROR", status_object(500, "InternalError"))), ServerError),
        (watch(event("ERROR", {})), ServerError),
        (status(403, "Forbidden"), Forbidden),
        (answer(200, b"<html>login</html>\n"), Garbled),
        (watch(chunk(b"{}\n")), Garbled),
        (watch(chunk(b"[]\n")), Garbled),
        (watch(chunk(b"\n")), Garbled),
        (watch(event("ADDED", None)), Garbled),
        (watch(event("RENAMED", pod("a", "1"))), Garbled),
        (watch(event("ADDED", {"metadata": []})), Garbled),
        (watch(chunk(b'{"type": "ADDED"')), Garbled),
        (watch(then=raw()), Garbled),
        (watch(event("ADDED", pod("a", "1")), then=raw(b"40\r\n{")), Garbled),
        (watch(then=reset()), KubeError),
        (raw(), KubeError),
    ],
)
async def test_flt18_a_watch_that_goes_wrong_ends_with_its_error(
    stage: Stage, async_client: AsyncKubeClient, scene: Scene, kind: type[KubeError]
) -> None:
    stage.will(scene)
    with pytest.raises(kind):
        await seen(async_client)
    assert len(stage.requests) == 1


async def test_an_event_before_the_end_of_the_version_is_delivered(stage: Stage, async_client: AsyncKubeClient) -> None:
    stage.will(watch(event("ADDED", pod("a", "5")), event("ERROR", status_object(410, "Expired"))))
    async with async_client:
        changes = async_client.watch(PODS)
        assert (await anext(changes)).type == "ADDED"
        with pytest.raises(Expired):
            await anext(changes)


@pytest.mark.parametrize("first", [b"", WATCH_HEAD, WATCH_HEAD + event("ADDED", pod("a", "5"))])
async def test_flt20_a_silent_watch_is_given_up(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event, first: bytes
) -> None:
    stage.will(hold(curtain, first))
    with pytest.raises(RequestTimeout):
        await seen(async_client, idle_timeout=0.3)


@pytest.mark.parametrize(
    ("first", "each"),
    [
        (WATCH_HEAD, chunk(b" ")),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["events", "the head", "an error"],
)
async def test_flt20_bytes_that_complete_nothing_do_not_count(
    stage: Stage,
    async_client: AsyncKubeClient,
    curtain: threading.Event,
    first: bytes,
    each: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(async_transport, "CONNECT_SECONDS", 1)
    stage.will(drip(curtain, first, each))
    with pytest.raises(RequestTimeout):
        await seen(async_client, idle_timeout=0.5)


async def test_flt20_bookmarks_keep_a_watch_alive(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(drip(curtain, WATCH_HEAD, event("BOOKMARK", pod("", "9")), seconds=0.1))
    count = 0
    async with async_client, aclosing(async_client.watch(PODS, idle_timeout=0.5)) as changes:
        async for _ in changes:
            count += 1
            if count == 8:  # after some 0.8 s
                break
    assert count == 8


async def test_sec73_an_endless_event_is_not_read(
    stage: Stage, async_client: AsyncKubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_transport, "MAX_EVENT_BYTES", 100_000)
    stage.will(watch(*[chunk(b"x" * 50_000)] * 10))
    with pytest.raises(ResponseTooLarge):
        await seen(async_client)


async def test_leaving_a_watch_early_closes_its_connection(
    stage: Stage, async_client: AsyncKubeClient, curtain: threading.Event
) -> None:
    stage.will(watch(event("ADDED", pod("a", "5")), then=hold(curtain)))
    stage.always(answer(200, pod("a", "5")))
    async with async_client:
        async with aclosing(async_client.watch(PODS)) as changes:
            async for _ in changes:
                break
        await async_client.get(PODS, "a", "prod")
    assert [request.connection for request in stage.requests] == [1, 2], "the first one was not put back"


async def test_a_watch_that_ended_leaves_its_connection_warm(stage: Stage, async_client: AsyncKubeClient) -> None:
    stage.will(watch(event("ADDED", pod("a", "5"))), answer(200, pod("a", "5")))
    async with async_client:
        assert [change.type async for change in async_client.watch(PODS)] == ["ADDED"]
        await async_client.get(PODS, "a", "prod")
    assert stage.connections == 1


async def test_sec57_a_watch_passes_the_guard(stage: Stage, credentials: Any) -> None:
    with pytest.raises(AddressRefused):
        await seen(AsyncKubeClient(credentials, guard=AddressGuard()))
    assert stage.connections == 0


async def test_many_watches_run_beside_each_other(stage: Stage, async_client: AsyncKubeClient) -> None:
    stage.always(watch(event("ADDED", pod("a", "5"))))

    async def one() -> int:
        return len([change async for change in async_client.watch(PODS)])

    async with async_client:
        assert await asyncio.gather(*[one() for _ in range(30)]) == [1] * 30
