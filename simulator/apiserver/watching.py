"""Watches: one stream of events from a revision on, with bookmarks, an end in time, and 410 when the past is gone."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from kube.resources import Object
from simulator.apiserver import status
from simulator.apiserver.paging import matchers
from simulator.apiserver.requests import is_true, whole_number
from simulator.apiserver.storage import Change, Collection, Store, Stored

BOOKMARK_SECONDS = 60.0
_BOOKMARK_BEFORE_END = 2.0
_DEFAULT_TIMEOUT = (1800.0, 3600.0)
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

Present = Callable[[Stored], bytes]
"""An object as the client wants it: itself, or a table of one row."""


class Watch:
    """One client's watch over a collection, in one namespace or ("") in all.

    Raises ApiError 400 when the query makes no sense. ``stopping`` ends it early.
    """

    def __init__(
        self,
        store: Store,
        collection: Collection,
        namespace: str,
        query: Mapping[str, str],
        present: Present,
        stopping: asyncio.Event,
    ) -> None:
        self._store = store
        self._collection = collection
        self._namespace = namespace
        self._present = present
        self._stopping = stopping
        self._tests = matchers(collection, query)
        self._bookmarks = is_true(query, "allowWatchBookmarks")
        self._cursor = whole_number(query, "resourceVersion") or 0
        self._sends_state = self._cursor == 0
        self._marks_state = is_true(query, "sendInitialEvents")
        if self._marks_state:
            if query.get("resourceVersionMatch") != "NotOlderThan":
                message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                raise status.invalid_option("GET", "resourceVersionMatch", "FieldValueForbidden", message)
            self._sends_state = True
        seconds = whole_number(query, "timeoutSeconds")
        self._timeout = float(seconds) if seconds else random.uniform(*_DEFAULT_TIMEOUT)  # noqa: S311

    async def lines(self) -> AsyncIterator[bytes]:
        """The events as JSON lines, until the watch is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        for line in self._initial():
            yield line
        bookmark_at = self._next_bookmark(loop.time(), end)
        wake = asyncio.Event()
        while not self._stopping.is_set():
            wake.clear()
            changes = self._collection.changes_since(self._cursor)
            if changes is None:
                yield self._too_old()
                return
            for change in changes:
                self._cursor = change.revision
                event = self._event(change)
                if event:
                    yield event
            if loop.time() >= end:
                return
            if changes:
                continue  # while they were sent, more may have come
            self._cursor = max(self._cursor, self._store.revision)
            if loop.time() >= bookmark_at:
                bookmark_at = self._next_bookmark(loop.time(), end)
                yield self._bookmark()
            else:
                await self._collection.wait(wake, min(bookmark_at, end) - loop.time())

    def _initial(self) -> list[bytes]:
        """The state as ADDED events where the watch starts with it."""
        if not self._sends_state:
            return []
        self._cursor = self._store.revision
        state = self._collection.list(self._namespace)
        lines = [_line("ADDED", self._present(item)) for item in state if self._selects(item.object)]
        if self._marks_state and self._bookmarks:
            lines.append(self._bookmark({INITIAL_EVENTS_END: "true"}))
        return lines

    def _selects(self, obj: Object) -> bool:
        return all(test(obj) for test in self._tests)

    def _event(self, change: Change) -> bytes | None:
        """The change as this watch sees it: objects enter and leave it when their labels change."""
        if self._namespace and change.stored.key[0] != self._namespace:
            return None
        was = change.previous is not None and self._selects(change.previous.object)
        now = change.type != "DELETED" and self._selects(change.stored.object)
        if now:
            return _line("MODIFIED" if was else "ADDED", self._present(change.stored))
        if not was or change.previous is None:
            return None
        if change.type == "DELETED":
            return _line("DELETED", self._present(change.stored))
        metadata = change.previous.object["metadata"] | {"resourceVersion": str(change.revision)}
        return _line("DELETED", self._present(Stored(change.previous.object | {"metadata": metadata}, change.revision)))

    def _next_bookmark(self, now: float, end: float) -> float:
        """Every minute, and shortly before the end, so that the client can resume from a recent revision."""
        if not self._bookmarks:
            return float("inf")
        before_end = end - _BOOKMARK_BEFORE_END
        return min(now + BOOKMARK_SECONDS, before_end) if before_end > now else now + BOOKMARK_SECONDS

    def _bookmark(self, annotations: Mapping[str, str] | None = None) -> bytes:
        self._cursor = self._store.revision
        metadata: dict[str, Any] = {"resourceVersion": str(self._cursor), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = dict(annotations)
        resource = self._collection.kind.resource
        body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return _line("BOOKMARK", orjson.dumps(body))

    def _too_old(self) -> bytes:
        error = status.expired(f"too old resource version: {self._cursor} ({self._collection.compacted})")
        return error_line(error)


def error_line(error: status.ApiError) -> bytes:
    """A refusal as the last event of a watch."""
    return _line("ERROR", orjson.dumps(error.body()))


def _line(event: str, obj: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event.encode(), obj)
