"""Objects, revisions and a bounded history of changes: what etcd and the watch cache are to a real API server.

Knows nothing of the API's rules; the caller hands over finished objects. One store belongs to one server and one event
loop; every operation is synchronous and therefore atomic. Stored objects are never changed in place: whoever wants to
change one copies it first.
"""

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

import orjson

from kube.resources import Object
from simulator.apiserver.journal import COMPACTION, Journal, Record
from simulator.kinds import KindSpec

Key = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

HISTORY_LIMIT = 2000
"""Changes of one kind that a watch can resume over and a paged list can look back to."""


class Stored:
    """One object at one revision, with its JSON made when it is first asked for."""

    __slots__ = ("_json", "object", "revision")

    def __init__(self, obj: Object, revision: int) -> None:
        self.object = obj
        self.revision = revision
        self._json: bytes | None = None

    @property
    def key(self) -> Key:
        metadata = self.object["metadata"]
        return metadata.get("namespace", ""), metadata["name"]

    @property
    def json(self) -> bytes:
        if self._json is None:
            self._json = orjson.dumps(self.object)
        return self._json


Items = list[Stored]


def copied(obj: Object) -> Object:
    """A deep copy of an object, which is JSON and nothing else; many times faster than ``copy.deepcopy``."""
    copy: Object = orjson.loads(orjson.dumps(obj))
    return copy


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history. For a deletion ``stored`` is the last state under the deletion's revision."""

    type: EventType
    stored: Stored
    previous: Stored | None

    @property
    def revision(self) -> int:
        return self.stored.revision


Changes = list[Change]


class Collection:
    """All objects of one kind."""

    def __init__(self, kind: KindSpec, history_limit: int) -> None:
        self.kind = kind
        self.revision = 0
        self.compacted = 0
        self._items: dict[Key, Stored] = {}
        self._keys: list[Key] = []
        self._history: deque[Change] = deque()
        self._history_limit = history_limit
        self._waiters: set[asyncio.Event] = set()

    def __len__(self) -> int:
        return len(self._items)

    def find(self, namespace: str, name: str) -> Stored | None:
        return self._items.get((namespace, name))

    def list(self, namespace: str = "") -> Items:
        """All objects, or those of one namespace, ordered by namespace and name."""
        if not namespace:
            return [self._items[key] for key in self._keys]
        start = bisect_left(self._keys, (namespace, ""))
        keys = takewhile(lambda key: key[0] == namespace, (self._keys[i] for i in range(start, len(self._keys))))
        return [self._items[key] for key in keys]

    def list_at(self, revision: int, namespace: str = "") -> Items | None:
        """The same as it was at an earlier revision; None when the history does not reach back that far."""
        if revision < self.compacted:
            return None
        past = {stored.key: stored for stored in self.list(namespace)}
        for change in reversed(self._history):
            if change.revision <= revision:
                break
            key = change.stored.key
            if namespace and key[0] != namespace:
                continue
            if change.previous is None:
                past.pop(key, None)
            else:
                past[key] = change.previous
        return [past[key] for key in sorted(past)]

    def changes_since(self, revision: int) -> Changes | None:
        """Changes after ``revision``, oldest first; None when some of them are no longer known."""
        if revision < self.compacted:
            return None
        newer = list(takewhile(lambda change: change.revision > revision, reversed(self._history)))
        newer.reverse()
        return newer

    def compact(self, revision: int) -> None:
        """Forget the history up to ``revision``: watches and pages of earlier revisions get 410 from now on."""
        self.compacted = max(self.compacted, revision)
        while self._history and self._history[0].revision <= revision:
            self._history.popleft()

    async def wait(self, wake: asyncio.Event, seconds: float) -> None:
        """Return after a change, when ``wake`` is set by someone else, or after ``seconds``."""
        self._waiters.add(wake)
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(wake)

    def record(self, change: Change) -> None:
        """Take a change in; the store calls this."""
        key = change.stored.key
        if change.type == "DELETED":
            del self._items[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            if key not in self._items:
                insort(self._keys, key)
            self._items[key] = change.stored
        self.revision = change.revision
        self._history.append(change)
        while len(self._history) > self._history_limit:
            self.compacted = self._history.popleft().revision
        self.wake()

    def wake(self) -> None:
        """Let everyone who waits look again."""
        for waiter in self._waiters:
            waiter.set()


class Store:
    """Collections under one revision counter, optionally kept in a journal file.

    ``listeners`` are called after every change with its kind; they must not write.
    """

    def __init__(self, journal: Journal | None = None, *, history_limit: int = HISTORY_LIMIT) -> None:
        self.revision = 1
        self.listeners: list[Callable[[KindSpec, Change], None]] = []
        self._collections: dict[str, Collection] = {}
        self._journal = journal
        self._history_limit = history_limit
        self._pending: dict[str, list[Record]] = {}
        self._compacted = 0
        for record in journal.read() if journal else ():
            self.revision = max(self.revision, record.revision)
            if record.kind == COMPACTION:
                self._compacted = record.revision
            else:
                self._pending.setdefault(record.kind, []).append(record)

    def serve(self, kinds: Iterable[KindSpec]) -> None:
        """Make collections for the kinds and fill them with what the journal has of them."""
        for kind in kinds:
            if kind.key in self._collections:
                raise ValueError(f"{kind.key} is served already")
            collection = self._collections[kind.key] = Collection(kind, self._history_limit)
            for record in self._pending.pop(kind.key, ()):
                collection.record(self._change_of(collection, record))
            collection.compact(self._compacted)

    @property
    def kinds(self) -> list[KindSpec]:
        return [collection.kind for collection in self._collections.values()]

    def collection(self, kind: KindSpec) -> Collection:
        return self._collections[kind.key]

    def __iter__(self) -> Iterator[Collection]:
        return iter(self._collections.values())

    def put(self, kind: KindSpec, obj: Object) -> Stored:
        """Store a finished object, new or changed, under the next revision, which it gets as resourceVersion.

        The store owns ``obj`` from now on.
        """
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        stored = Stored(obj, self.revision)
        previous = self.collection(kind).find(*stored.key)
        self._commit(kind, Change("MODIFIED" if previous else "ADDED", stored, previous))
        return stored

    def remove(self, kind: KindSpec, namespace: str, name: str) -> Stored:
        """Remove an object and return its last state under the deletion's revision. KeyError when it is not there."""
        previous = self.collection(kind).find(namespace, name)
        if previous is None:
            raise KeyError((namespace, name))
        self.revision += 1
        metadata = previous.object["metadata"] | {"resourceVersion": str(self.revision)}
        stored = Stored(previous.object | {"metadata": metadata}, self.revision)
        self._commit(kind, Change("DELETED", stored, previous))
        return stored

    def compact(self) -> None:
        """Forget the history of every kind."""
        for collection in self:
            collection.compact(self.revision)

    def close(self) -> None:
        """Write what is not written yet; the store may be opened again from the same journal."""
        if self._journal:
            self._journal.close()

    def _commit(self, kind: KindSpec, change: Change) -> None:
        self.collection(kind).record(change)
        if self._journal:
            self._journal.append(Record(change.revision, kind.key, change.type == "DELETED", change.stored.object))
            if self._journal.wants_compaction(sum(len(collection) for collection in self)):
                self._journal.rewrite(self.revision, self._records())
        for listener in self.listeners:
            listener(kind, change)

    def _records(self) -> list[Record]:
        live = [
            Record(stored.revision, collection.kind.key, False, stored.object)
            for collection in self
            for stored in collection.list()
        ]
        return sorted(live, key=lambda record: record.revision)

    @staticmethod
    def _change_of(collection: Collection, record: Record) -> Change:
        stored = Stored(record.object, record.revision)
        previous = collection.find(*stored.key)
        if record.deleted:
            return Change("DELETED", stored, previous)
        return Change("MODIFIED" if previous else "ADDED", stored, previous)
