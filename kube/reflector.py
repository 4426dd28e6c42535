"""List and watch of one kind that goes on for ever, through all that happens to a connection (FLT-19..21).

The consumer gets events, and a moment at which it has seen everything. A list is followed by a watch from its
resourceVersion; a watch that the server ends is resumed after the last event or bookmark; one that falls silent is
given up; a version that is too old leads to a new list, whose difference to what was seen is delivered as events,
deletions among them. Only metadata is kept in memory here; an inventory belongs to the consumer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from kube.aio import AsyncKubeClient
from kube.errors import Expired, Garbled, KubeError
from kube.metadata import ObjectMeta, read_metadata
from kube.resources import Object, Resource
from kube.wire import PAGE_SIZE, WatchEvent

OnEvent = Callable[[str, Object], Awaitable[None]]
OnSync = Callable[[], Awaitable[None]]
OnError = Callable[[KubeError], Awaitable[None]]


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
    know what to change. What a callback raises ends it too.
    """
    reflection = _Reflection(
        client, resource, namespace, label_selector, field_selector, on_event, on_sync, idle_timeout, watch_seconds
    )
    backoff = _Backoff(min_backoff, max_backoff)
    while True:
        try:
            await reflection.advance()
        except Expired as error:
            reflection.version = None
            await _report(on_error, error)
            await backoff.wait(error)
        except KubeError as error:
            if not error.retryable:
                raise
            await _report(on_error, error)
            await backoff.wait(error)
        else:
            # A server that ends every watch at once must not be asked in a loop without a pause.
            if reflection.moved:
                backoff.reset()
            else:
                await backoff.wait(None)


class _Reflection:
    """What has been seen of one kind, and the two ways to see more."""

    def __init__(
        self,
        client: AsyncKubeClient,
        resource: Resource,
        namespace: str | None,
        label_selector: str | None,
        field_selector: str | None,
        on_event: OnEvent,
        on_sync: OnSync,
        idle_timeout: float,
        watch_seconds: int,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._on_event = on_event
        self._on_sync = on_sync
        self._idle_timeout = idle_timeout
        self._watch_seconds = watch_seconds
        self._known: dict[tuple[str, str], ObjectMeta] = {}
        self.version: str | None = None
        """Where the next watch begins; None asks for a list first."""
        self.moved = False
        """Whether the last ``advance`` brought anything."""

    async def advance(self) -> None:
        """One list, or one watch to its end."""
        self.moved = False
        if self.version is None:
            self.version = await self._list()
            self.moved = True
        else:
            await self._watch(self.version)

    async def _list(self) -> str:
        """Delivers the difference to what is known and returns the list's resourceVersion.

        Additions and changes are delivered page by page; deletions only when the list is whole, for an object of a
        page that did not come is not deleted.
        """
        listed: set[tuple[str, str]] = set()
        token: str | None = None
        while True:
            page = await self._client.list_page(
                self._resource,
                self._namespace,
                limit=PAGE_SIZE,
                continue_token=token,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
            )
            for obj in page.items:
                listed.add(await self._observe(obj))
            if page.continue_token is None:
                break
            if page.continue_token == token:
                raise Garbled("The list does not go on")
            token = page.continue_token
        for key in self._known.keys() - listed:
            await self._lose(key)
        await self._on_sync()
        return page.resource_version

    async def _watch(self, version: str) -> None:
        watch = self._client.watch(
            self._resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version=version,
            timeout_seconds=self._watch_seconds,
            idle_timeout=self._idle_timeout,
        )
        async with aclosing(watch) as events:
            async for event in events:
                await self._take(event)
                self.moved = True

    async def _take(self, event: WatchEvent) -> None:
        meta = read_metadata(event.object)
        if event.type == "DELETED":
            self._known.pop(meta.key, None)
            await self._on_event("DELETED", event.object)
        elif event.type != "BOOKMARK":
            await self._observe(event.object)
        # After the delivery: what was not delivered is asked for again.
        if meta.resource_version:
            self.version = meta.resource_version

    async def _observe(self, obj: Object) -> tuple[str, str]:
        """Delivers an object that is there, when it is new or changed; returns its key."""
        meta = read_metadata(obj)
        known = self._known.get(meta.key)
        if known is not None and known.uid != meta.uid:  # deleted and made anew while nobody looked
            await self._lose(meta.key)
            known = None
        if known is None or known.resource_version != meta.resource_version:
            self._known[meta.key] = meta
            await self._on_event("ADDED" if known is None else "MODIFIED", obj)
        return meta.key

    async def _lose(self, key: tuple[str, str]) -> None:
        meta = self._known.pop(key)
        await self._on_event("DELETED", _remembered(self._resource, meta))


class _Backoff:
    """Waits that double, with full jitter, so that a thousand reflectors do not come back at the same moment."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._current = shortest

    def reset(self) -> None:
        self._current = self._shortest

    async def wait(self, error: KubeError | None) -> None:
        asked = error.retry_after if error is not None and error.retry_after is not None else 0.0
        await asyncio.sleep(asked + random.uniform(0, self._current))  # noqa: S311  # spreading, not secrecy
        self._current = min(self._current * 2, self._longest)


async def _report(on_error: OnError | None, error: KubeError) -> None:
    if on_error is not None:
        await on_error(error)


def _remembered(resource: Resource, meta: ObjectMeta) -> Object:
    """A deleted object of which only the metadata is left."""
    metadata: Object = {"name": meta.name, "uid": meta.uid}
    if meta.namespace is not None:
        metadata["namespace"] = meta.namespace
    if meta.labels is not None:
        metadata["labels"] = meta.labels
    if meta.owner_references is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": owner.controller,
            }
            for owner in meta.owner_references
        ]
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
