"""Garbage collection by ``ownerReferences``: what goes when its owners are gone, and in which order."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from kube.resources import Object
from simulator.apiserver.deletion import FOREGROUND_FINALIZER, ORPHAN_FINALIZER, DeleteOptions
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.apiserver.status import ApiError
from simulator.apiserver.storage import Change, Key, Stored
from simulator.kinds import KindSpec

_MANAGER = "kube-controller-manager"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is."""

    kind: KindSpec
    key: Key


@dataclass(slots=True)
class Owners:
    """The references of one object by what became of the owner."""

    solid: list[Object] = field(default_factory=list)
    waiting: list[Object] = field(default_factory=list)
    absent: list[Object] = field(default_factory=list)


class GarbageCollector:
    """Keeps a graph of owners by uid; ``heard`` notes a change, ``work`` does what follows from the noted ones."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._dependents: dict[str, dict[Place, None]] = {}
        self._dirty: dict[Place, None] = {}
        for collection in registry.store:
            for stored in collection.list():
                self._note(Place(collection.kind, stored.key), stored.object)

    @property
    def has_work(self) -> bool:
        return bool(self._dirty)

    def heard(self, kind: KindSpec, change: Change) -> None:
        """Note a change of the store."""
        place = Place(kind, change.stored.key)
        if change.previous:
            self._forget(place, change.previous.object)
        obj = change.stored.object
        if change.type != "DELETED":
            self._note(place, obj)
            return
        self._dirty.pop(place, None)
        self._dirty |= self._dependents.get(obj["metadata"]["uid"], {})
        for reference in obj["metadata"].get("ownerReferences") or []:
            owner = self._find_owner(place, reference)
            if owner:
                self._dirty[owner[0]] = None

    def work(self) -> None:
        """Look at every noted object once; the writes this makes are noted in turn."""
        for place in list(self._dirty):
            self._dirty.pop(place, None)
            stored = self._find(place)
            if stored is None:
                continue
            try:
                self._look_at(place, stored.object)
            except ApiError as error:
                _log.warning("garbage collection of %s %s: %s", place.kind.key, place.key, error)

    def _note(self, place: Place, obj: Object) -> None:
        metadata = obj["metadata"]
        for reference in metadata.get("ownerReferences") or []:
            self._dependents.setdefault(reference["uid"], {})[place] = None
            self._dirty[place] = None
        if "deletionTimestamp" in metadata:
            self._dirty[place] = None

    def _forget(self, place: Place, obj: Object) -> None:
        for reference in obj["metadata"].get("ownerReferences") or []:
            places = self._dependents.get(reference["uid"], {})
            places.pop(place, None)
            if not places:
                self._dependents.pop(reference["uid"], None)

    def _look_at(self, place: Place, obj: Object) -> None:
        metadata = obj["metadata"]
        if "deletionTimestamp" in metadata:
            finalizers = metadata.get("finalizers") or []
            if ORPHAN_FINALIZER in finalizers:
                self._orphan(place, obj)
            elif FOREGROUND_FINALIZER in finalizers:
                self._delete_dependents(place, obj)
            return
        owners = self._owners(place, obj)
        if owners.solid:
            gone = [reference["uid"] for reference in owners.absent + owners.waiting]
            if gone:
                self._drop_references(place, gone)
        elif owners.absent or owners.waiting:
            blocks = owners.waiting and self._dependents.get(metadata["uid"])
            self._delete(place, "Foreground" if blocks else "Background")

    def _owners(self, place: Place, obj: Object) -> Owners:
        owners = Owners()
        for reference in obj["metadata"].get("ownerReferences") or []:
            kind = self._registry.find_kind_of(reference["apiVersion"], reference["kind"])
            unreachable = kind is None or (kind.resource.namespaced and not place.kind.resource.namespaced)
            found = self._find_owner(place, reference)
            if unreachable:
                owners.solid.append(reference)
            elif found is None:
                owners.absent.append(reference)
            elif FOREGROUND_FINALIZER in (found[1]["metadata"].get("finalizers") or []) and (
                "deletionTimestamp" in found[1]["metadata"]
            ):
                owners.waiting.append(reference)
            else:
                owners.solid.append(reference)
        return owners

    def _find_owner(self, place: Place, reference: Object) -> tuple[Place, Object] | None:
        kind = self._registry.find_kind_of(reference["apiVersion"], reference["kind"])
        if kind is None or kind.transient:
            return None
        owner = Place(kind, (place.key[0] if kind.resource.namespaced else "", reference["name"]))
        stored = self._find(owner)
        if stored is None or stored.object["metadata"]["uid"] != reference["uid"]:
            return None
        return owner, stored.object

    def _delete_dependents(self, place: Place, obj: Object) -> None:
        """Foreground: first the dependents, then, when none of those that block is left, the owner."""
        uid = obj["metadata"]["uid"]
        places = list(self._dependents.get(uid, {}))
        for dependent in places:
            self._dirty[dependent] = None
        if not any(self._blocks(dependent, uid) for dependent in places):
            self._drop_finalizer(place, FOREGROUND_FINALIZER)

    def _blocks(self, place: Place, uid: str) -> bool:
        stored = self._find(place)
        references = stored.object["metadata"].get("ownerReferences") or [] if stored else []
        return any(reference["uid"] == uid and reference.get("blockOwnerDeletion") for reference in references)

    def _orphan(self, place: Place, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for dependent in list(self._dependents.get(uid, {})):
            self._drop_references(dependent, [uid])
        self._drop_finalizer(place, ORPHAN_FINALIZER)

    def _drop_references(self, place: Place, uids: Iterable[str]) -> None:
        gone = set(uids)

        def change(obj: Object) -> Object:
            references = obj["metadata"].get("ownerReferences") or []
            obj["metadata"]["ownerReferences"] = [item for item in references if item["uid"] not in gone]
            return obj

        self._registry.change(place.kind, *place.key, change, WriteOptions(_MANAGER))

    def _drop_finalizer(self, place: Place, finalizer: str) -> None:
        def change(obj: Object) -> Object:
            obj["metadata"]["finalizers"] = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
            return obj

        self._registry.change(place.kind, *place.key, change, WriteOptions(_MANAGER))

    def _delete(self, place: Place, propagation: str) -> None:
        self._registry.delete(place.kind, *place.key, DeleteOptions(propagation))

    def _find(self, place: Place) -> Stored | None:
        return self._registry.store.collection(place.kind).find(*place.key)
