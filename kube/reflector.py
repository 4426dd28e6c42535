"""List and watch of one kind that goes on for ever, through all that happens to a connection (FLT-19..21).

The consumer gets events, and a moment at which it has seen everything. A list is followed by a watch from its
resourceVersion; a watch that the server ends is resumed after the last event or bookmark; one that falls silent is
given up; a version that is too old leads to a new list, whose difference to what was seen is delivered as events,
deletions among them. Only metadata is kept in memory here; an inventory belongs to the consumer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from kube.aio import AsyncKubeClient
from kube.errors import Expired, Garbled, KubeError
from kube.metadata import ObjectMeta, read_metadata
from kube.resources import Object, Resource
from kube.wire import PAGE_SIZE

QUIET_SECONDS = 5.0
"""A watch without events that held at least so long was a good one."""

OnEvent = Callable[[str, Object], Awaitable[None]]
OnSync = Callable[[], Awaitable[None]]
OnError = Callable[[KubeError], Awaitable[None]]

_Change = tuple[str, Object]
_SYNCED: _Change = ("SYNCED", {})


async def reflect(
    client: AsyncKubeClient,
    resource: Resource,
    *,
    on_event: OnEvent,
    on_sync: OnSync,
    on_error: OnError | None = None,
    namespace: str | None = None,
    label_selector: str | None = None,
    field_selector: str | None = None,
    idle_timeout: float = 90.0,
    watch_seconds: int = 300,
    min_backoff: float = 0.5,
    max_backoff: float = 30.0,
) -> None:
    """Runs until it is cancelled. Times are in seconds.

    ``on_event("ADDED" | "MODIFIED" | "DELETED", object)`` is awaited once for each change, in order. An object is
    ADDED when it is new to this call. A DELETED that only a list has shown carries apiVersion, kind and the last known
    name, namespace, uid, labels and owners, and no more. ``on_sync()`` follows each whole list: all that was there has
    been delivered. ``on_error`` hears of each failure that is retried, with backoff and jitter.

    Raises the first KubeError that is not retryable (revoked rights, a kind that is not served): only the caller can
    know what to change. What a callback raises ends it too, whatever it is.
    """
    source = _Source(client, resource, namespace, label_selector, field_selector, watch_seconds, idle_timeout)
    reflection = _Reflection(source, on_error, _Backoff(min_backoff, max_backoff))
    async with aclosing(reflection.changes()) as changes:
        async for change in changes:
            if change is _SYNCED:
                await on_sync()
            else:
                await on_event(*change)


@dataclass(frozen=True, slots=True)
class _Source:
    """What is listed and watched."""

    client: AsyncKubeClient
    resource: Resource
    namespace: str | None
    label_selector: str | None
    field_selector: str | None
    watch_seconds: int
    idle_timeout: float


class _Reflection:
    """What has been seen of a source, and how to see more of it.

    A change counts as seen when the consumer comes back for the next one.
    """

    def __init__(self, source: _Source, on_error: OnError | None, backoff: _Backoff) -> None:
        self._source = source
        self._on_error = on_error
        self._backoff = backoff
        self._known: dict[tuple[str, str], ObjectMeta] = {}
        self._version: str | None = None  # where the next watch begins; None asks for a list first

    async def changes(self) -> AsyncGenerator[_Change, None]:
        """Lists and watches in turn, for ever."""
        while True:
            failure: KubeError | None = None
            try:
                async with aclosing(self._list() if self._version is None else self._watch()) as changes:
                    async for change in changes:
                        yield change
            except KubeError as error:
                if not error.retryable:
                    raise
                failure = error
            if failure is not None:
                if isinstance(failure, Expired):
                    self._version = None
                if self._on_error is not None:
                    await self._on_error(failure)
                await self._backoff.wait(failure.retry_after)

    async def _list(self) -> AsyncGenerator[_Change, None]:
        """The difference to what is known.

        Additions and changes are told page by page; deletions only when the list is whole, for an object of a page
        that did not come is not deleted.
        """
        listed: set[tuple[str, str]] = set()
        token: str | None = None
        while True:
            page = await self._source.client.list_page(
                self._source.resource,
                self._source.namespace,
                limit=PAGE_SIZE,
                continue_token=token,
                label_selector=self._source.label_selector,
                field_selector=self._source.field_selector,
            )
            for obj in page.items:
                meta = read_metadata(obj)
                listed.add(meta.key)
                for change in self._differences(meta, obj):
                    yield change
                self._remember(meta)
            if page.continue_token is None:
                break
            if page.continue_token == token:
                raise Garbled("The list does not go on")
            token = page.continue_token
        for key in self._known.keys() - listed:
            yield self._deletion(key)
            del self._known[key]
        yield _SYNCED
        self._version = page.resource_version

    async def _watch(self) -> AsyncGenerator[_Change, None]:
        """Changes until the server ends the watch."""
        began = time.monotonic()
        quiet = True
        watch = self._source.client.watch(
            self._source.resource,
            self._source.namespace,
            label_selector=self._source.label_selector,
            field_selector=self._source.field_selector,
            resource_version=self._version,
            timeout_seconds=self._source.watch_seconds,
            idle_timeout=self._source.idle_timeout,
        )
        async with aclosing(watch) as events:
            async for event in events:
                quiet = False
                self._backoff.reset()
                meta = read_metadata(event.object)
                if event.type == "DELETED":
                    yield ("DELETED", event.object)
                    self._known.pop(meta.key, None)
                elif event.type != "BOOKMARK":
                    for change in self._differences(meta, event.object):
                        yield change
                    self._remember(meta)
                self._version = meta.resource_version or self._version
        if quiet and time.monotonic() - began < QUIET_SECONDS:
            await self._backoff.wait(None)  # a server that ends every watch at once is not asked without a pause

    def _differences(self, meta: ObjectMeta, obj: Object) -> list[_Change]:
        """What an object that is there changes: nothing, one thing, or two when it was deleted and made anew."""
        known = self._known.get(meta.key)
        if known is None:
            return [("ADDED", obj)]
        if known.uid != meta.uid:
            return [self._deletion(meta.key), ("ADDED", obj)]
        return [("MODIFIED", obj)] if known.resource_version != meta.resource_version else []

    def _remember(self, meta: ObjectMeta) -> None:
        self._known[meta.key] = msgspec.structs.replace(meta, annotations=None)  # may be large, and are not told

    def _deletion(self, key: tuple[str, str]) -> _Change:
        """Of an object of which only the metadata is left."""
        meta, resource = self._known[key], self._source.resource
        owners = [msgspec.to_builtins(reference) for reference in meta.owner_references or ()]
        fields = {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "labels": meta.labels,
            "ownerReferences": owners or None,
        }
        metadata = {name: value for name, value in fields.items() if value is not None}
        return ("DELETED", {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata})


class _Backoff:
    """Waits that double, with full jitter, so that a thousand reflectors do not come back at the same moment."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._current = shortest

    def reset(self) -> None:
        self._current = self._shortest

    async def wait(self, asked: float | None) -> None:
        """At least ``asked`` seconds, when the server asked for some."""
        await asyncio.sleep((asked or 0.0) + random.uniform(0, self._current))  # noqa: S311  # spreading, not secrecy
        self._current = min(self._current * 2, self._longest)
