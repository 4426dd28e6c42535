"""The store: revisions, history, snapshots of the past, and the journal that survives a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kube.resources import NAMESPACES, Object
from simulator.apiserver import Store
from simulator.apiserver.journal import Journal, Record
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.apiserver.storage import Collection
from simulator.kinds import BUILTIN_KINDS, KindSpec

NAMESPACE_KIND = next(kind for kind in BUILTIN_KINDS if kind.resource == NAMESPACES)


def obj(name: str, **more: object) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name}, **more}


def open_store(path: Path | None = None, **options: int) -> tuple[Store, Collection]:
    store = Store(Journal(path) if path else None, **options)
    store.serve([NAMESPACE_KIND])
    return store, store.collection(NAMESPACE_KIND)


def names(collection: Collection) -> list[str]:
    return [stored.key[1] for stored in collection.list()]


def test_each_change_has_a_revision_of_its_own() -> None:
    store, _ = open_store()
    first, second = store.put(NAMESPACE_KIND, obj("a")), store.put(NAMESPACE_KIND, obj("b"))
    gone = store.remove(NAMESPACE_KIND, "", "a")
    assert first.revision < second.revision < gone.revision == store.revision
    assert gone.object["metadata"]["resourceVersion"] == str(gone.revision)
    assert first.object["metadata"]["resourceVersion"] == str(first.revision)


def test_a_kind_is_served_once() -> None:
    store, _ = open_store()
    with pytest.raises(ValueError, match="served already"):
        store.serve([NAMESPACE_KIND])


def test_what_is_not_there_cannot_be_removed() -> None:
    store, _ = open_store()
    with pytest.raises(KeyError):
        store.remove(NAMESPACE_KIND, "", "a")


def test_the_past_is_what_it_was() -> None:
    store, collection = open_store()
    store.put(NAMESPACE_KIND, obj("a"))
    store.put(NAMESPACE_KIND, obj("b", data=1))
    then = store.revision
    store.put(NAMESPACE_KIND, obj("b", data=2))
    store.put(NAMESPACE_KIND, obj("c"))
    store.remove(NAMESPACE_KIND, "", "a")
    past = collection.list_at(then)
    assert past is not None
    assert [(item.key[1], item.object.get("data")) for item in past] == [("a", None), ("b", 1)]
    assert names(collection) == ["b", "c"]


def test_changes_are_told_from_any_revision_that_is_remembered() -> None:
    store, collection = open_store()
    start = store.put(NAMESPACE_KIND, obj("a")).revision
    store.put(NAMESPACE_KIND, obj("a", data=1))
    store.remove(NAMESPACE_KIND, "", "a")
    changes = collection.changes_since(start)
    assert changes is not None
    assert [change.type for change in changes] == ["MODIFIED", "DELETED"]
    assert changes[1].previous is not None
    assert changes[1].previous.object["data"] == 1
    assert collection.changes_since(store.revision) == []


def test_flt19_a_bounded_history_forgets_its_beginning() -> None:
    store, collection = open_store(history_limit=3)
    revisions = [store.put(NAMESPACE_KIND, obj("a", data=number)).revision for number in range(5)]
    assert collection.changes_since(revisions[0]) is None
    assert collection.list_at(revisions[0]) is None
    remembered = collection.changes_since(revisions[1])
    assert remembered is not None
    assert len(remembered) == 3


def test_a_compacted_history_is_forgotten_and_goes_on() -> None:
    store, collection = open_store()
    start = store.put(NAMESPACE_KIND, obj("a")).revision
    store.put(NAMESPACE_KIND, obj("b"))
    store.compact()
    assert collection.changes_since(start) is None
    now = store.revision
    store.put(NAMESPACE_KIND, obj("c"))
    changes = collection.changes_since(now)
    assert changes is not None
    assert [change.stored.key[1] for change in changes] == ["c"]


def test_a_journal_brings_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "data" / "objects.journal"
    store, _ = open_store(path)
    store.put(NAMESPACE_KIND, obj("a"))
    start = store.revision
    store.put(NAMESPACE_KIND, obj("b", data=1))
    store.remove(NAMESPACE_KIND, "", "a")
    store.close()
    again, collection = open_store(path)
    assert again.revision == store.revision
    assert names(collection) == ["b"]
    assert collection.list()[0].object == store.collection(NAMESPACE_KIND).list()[0].object
    changes = collection.changes_since(start)
    assert changes is not None
    assert [change.type for change in changes] == ["ADDED", "DELETED"]


def test_a_torn_last_line_is_dropped_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "objects.journal"
    store, _ = open_store(path)
    store.put(NAMESPACE_KIND, obj("a"))
    store.put(NAMESPACE_KIND, obj("b"))
    store.close()
    path.write_bytes(path.read_bytes()[:-5])
    again, collection = open_store(path)
    assert names(collection) == ["a"]
    again.put(NAMESPACE_KIND, obj("c"))
    again.close()
    assert names(open_store(path)[1]) == ["a", "c"]


@pytest.mark.parametrize("line", [b"{}\n", b"[1,2]\n", b"\xff\n", b'[5,"namespaces",false\n'])
def test_a_line_that_is_no_record_ends_the_journal(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "objects.journal"
    store, _ = open_store(path)
    store.put(NAMESPACE_KIND, obj("a"))
    store.close()
    path.write_bytes(path.read_bytes() + line)
    assert names(open_store(path)[1]) == ["a"]


def test_a_journal_of_many_changes_is_rewritten_small(tmp_path: Path) -> None:
    path = tmp_path / "objects.journal"
    store, _ = open_store(path)
    store.put(NAMESPACE_KIND, obj("gone"))
    store.remove(NAMESPACE_KIND, "", "gone")
    for number in range(1200):
        store.put(NAMESPACE_KIND, obj("a", data=number))
    store.close()
    assert len(path.read_bytes().splitlines()) < 500
    again, collection = open_store(path)
    assert again.revision == store.revision
    assert collection.list()[0].object["data"] == 1199
    assert collection.changes_since(3) is None, "what the rewrite dropped is not told as if nothing had happened"


def test_records_of_kinds_that_are_not_served_do_no_harm(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "objects.journal")
    journal.append(Record(7, "unknowns.example.com", False, obj("a")))
    journal.close()
    store, collection = open_store(tmp_path / "objects.journal")
    assert (store.revision, names(collection)) == (7, [])


def test_listeners_hear_of_every_change(
    registry: Registry, create: Callable[[str], Object], config_maps: KindSpec
) -> None:
    heard: list[tuple[str, str]] = []
    registry.store.listeners.append(lambda kind, change: heard.append((kind.key, change.type)))
    create("a")
    registry.change(config_maps, "one", "a", lambda old: old | {"data": {"k": "v"}}, WriteOptions())
    registry.change(config_maps, "one", "a", lambda old: old, WriteOptions())
    assert heard == [("configmaps", "ADDED"), ("configmaps", "MODIFIED")]
