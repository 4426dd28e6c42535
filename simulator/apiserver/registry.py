"""Objects under the API's rules: what a write must satisfy and what it does, without HTTP and without access checks.

Requests come through ``endpoints``; the server's own actors (namespace life cycle, garbage collection, seeds) call it
directly.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kube import resources
from kube.errors import FieldCause
from kube.resources import Object
from simulator.apiserver import builtin_rules, ownership, status
from simulator.apiserver.deletion import DeleteOptions, finalizers_for
from simulator.apiserver.fieldsets import is_granular
from simulator.apiserver.intake import receive
from simulator.apiserver.metadata import check_finalizers, check_metadata, keep_system_fields, stamp_new, tidy
from simulator.apiserver.schema import fill_defaults, validate
from simulator.apiserver.storage import Store, Stored, copied
from simulator.clock import timestamp
from simulator.kinds import KindSpec
from simulator.kinds.metadata import object_schema
from simulator.kinds.schema import Schema

Admit = Callable[[Object | None, Object], None]
"""Called with the old and the new object before it is stored; raises ApiError to refuse."""

_IMMORTAL_NAMESPACES = ("default", "kube-system", "kube-public")
_STATUS_KEYS = frozenset({"apiVersion", "kind", "metadata", "status"})


def _admit_all(old: Object | None, new: Object) -> None:
    del old, new


@dataclass(slots=True)
class WriteOptions:
    """How to write: for whom, whether really, and how strict about unknown fields. ``warnings`` is filled."""

    manager: str = "simulator"
    dry_run: bool = False
    field_validation: str = "Warn"
    admit: Admit = _admit_all
    warnings: list[str] = field(default_factory=list)


class Registry:
    """All kinds of one server over one store."""

    def __init__(self, store: Store, kinds: Iterable[KindSpec]) -> None:
        self.store = store
        self.kinds = list(kinds)
        self._by_path = {
            (kind.resource.group, kind.resource.version, kind.resource.plural): kind for kind in self.kinds
        }
        self._by_type = {(kind.resource.api_version, kind.resource.kind): kind for kind in self.kinds}
        store.serve(kind for kind in self.kinds if not kind.transient)

    def find_kind(self, group: str, version: str, plural: str) -> KindSpec | None:
        """The kind served under a path."""
        return self._by_path.get((group, version, plural))

    def find_kind_of(self, api_version: str, kind: str) -> KindSpec | None:
        """The kind of an object."""
        return self._by_type.get((api_version, kind))

    def get(self, kind: KindSpec, namespace: str, name: str) -> Stored:
        """Raises ApiError 404."""
        stored = self.store.collection(kind).find(namespace, name)
        if stored is None:
            raise status.not_found(kind.resource, name)
        return stored

    def create(self, kind: KindSpec, namespace: str, obj: Object, options: WriteOptions) -> Object:
        """Store a new object; returns it as stored. Raises ApiError."""
        new = self._received(kind, namespace, obj, options)
        if kind.status and kind.resource != resources.NODES:
            new.pop("status", None)
        if new["metadata"].get("resourceVersion"):
            raise status.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._check_namespace(kind, namespace)
        fill_defaults(object_schema(kind), new)
        options.admit(None, new)
        stamp_new(kind, new["metadata"], namespace)
        blank = _blank(kind, new)
        self._finish(kind, new, is_new=True)
        ownership.track_update(kind, blank, new, options.manager, "")
        return self._store_new(kind, new, options)

    def replace(
        self, kind: KindSpec, namespace: str, name: str, obj: Object, options: WriteOptions, subresource: str = ""
    ) -> Object:
        """Store a changed object that the caller has whole. Raises ApiError."""
        return self.change(kind, namespace, name, lambda _: obj, options, subresource, unconditional=kind.builtin)

    def change(
        self,
        kind: KindSpec,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        options: WriteOptions,
        subresource: str = "",
        *,
        unconditional: bool = True,
    ) -> Object:
        """Store what ``change`` makes of a copy of the object. Raises ApiError.

        When the result carries another resourceVersion than the stored object, it is a conflict; when it carries none,
        it is refused unless ``unconditional``. A change that changes nothing keeps the resourceVersion.
        """
        old = self.get(kind, namespace, name).object
        new = self._received(kind, namespace, change(copied(old)), options, name)
        self._check_preconditions(kind, old, new, unconditional=unconditional)
        new = self._only_part(kind, old, new, subresource)
        self._complete(kind, old, new, options)
        ownership.track_update(kind, old, new, options.manager, subresource)
        return self._store_changed(kind, old, new, options)

    def apply(
        self,
        kind: KindSpec,
        namespace: str,
        name: str,
        config: Object,
        options: WriteOptions,
        subresource: str = "",
        *,
        force: bool,
    ) -> tuple[Object, bool]:
        """Server-side apply; returns the object and whether it is new. Raises ApiError."""
        _check_configuration(config)
        config = self._received(kind, namespace, config, options, name)
        if config["metadata"].get("managedFields"):
            raise status.bad_request("metadata.managedFields must be nil")
        stored = self.store.collection(kind).find(namespace, name)
        if stored is None and subresource:
            raise status.not_found(kind.resource, name)
        if kind.status:
            _restrict(kind, config, subresource)
        if stored is None and config["metadata"].get("uid"):
            raise status.conflict(kind.resource, name, "uid mismatch: a uid is given, and no existing object was found")
        if stored is None:
            return self._apply_new(kind, namespace, config, options), True
        old = stored.object
        self._check_preconditions(kind, old, config, unconditional=True)
        new = ownership.apply(kind, copied(old), config, options.manager, subresource, force=force)
        self._complete(kind, old, new, options)
        return self._store_changed(kind, old, new, options), False

    def delete(
        self, kind: KindSpec, namespace: str, name: str, options: DeleteOptions, *, dry_run: bool = False
    ) -> tuple[Object, bool]:
        """Delete or, while finalizers hold it, mark an object; returns its last state and whether it is gone."""
        if kind.resource == resources.NAMESPACES and name in _IMMORTAL_NAMESPACES:
            raise status.forbidden(kind.resource, name, "this namespace may not be deleted")
        stored = self.get(kind, namespace, name)
        options.check(kind, stored.object)
        finalizers = finalizers_for(stored.object, options)
        terminating = kind.resource == resources.NAMESPACES and bool(stored.object["spec"].get("finalizers"))
        if not finalizers and not terminating:
            return (stored.object if dry_run else self.store.remove(kind, namespace, name).object), True
        return self._mark_deleted(kind, stored.object, finalizers, dry_run=dry_run), False

    def _received(
        self, kind: KindSpec, namespace: str, obj: Object, options: WriteOptions, name: str | None = None
    ) -> Object:
        """What came in, as ``receive`` leaves it; unknown fields are refused or warned of, as the options say."""
        received, unknown = receive(kind, namespace, obj, name)
        if unknown and options.field_validation == "Strict":
            raise status.bad_request("strict decoding error: " + ", ".join(unknown))
        if options.field_validation == "Warn":
            options.warnings += unknown
        return received

    def _check_namespace(self, kind: KindSpec, namespace: str) -> None:
        """New objects need a namespace that exists and is not going away."""
        if not kind.resource.namespaced:
            return
        namespaces = self.find_kind("", "v1", "namespaces")
        stored = self.store.collection(namespaces).find("", namespace) if namespaces else None
        if stored is None:
            raise status.not_found(resources.NAMESPACES, namespace)
        if "deletionTimestamp" in stored.object["metadata"]:
            cause = FieldCause(
                "NamespaceTerminating", "metadata.namespace", f"namespace {namespace} is being terminated"
            )
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise status.forbidden(kind.resource, "", why, [cause])

    def _check_preconditions(self, kind: KindSpec, old: Object, new: Object, *, unconditional: bool) -> None:
        before, after = old["metadata"], new["metadata"]
        version = after.get("resourceVersion") or ""
        if not version and not unconditional:
            cause = FieldCause(
                "FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0: must be specified for an update"
            )
            raise status.invalid(kind.resource, before["name"], [cause])
        if version and version != before["resourceVersion"]:
            raise status.modified(kind.resource, before["name"])
        if after.get("uid") and after["uid"] != before["uid"]:
            why = f"Precondition failed: UID in precondition: {after['uid']}, UID in object meta: {before['uid']}"
            raise status.conflict(kind.resource, before["name"], why)

    def _only_part(self, kind: KindSpec, old: Object, new: Object, subresource: str) -> Object:
        """Through the status subresource only status changes; past it, everything but status."""
        if subresource == "status":
            metadata = new["metadata"] if kind.builtin else old["metadata"] | _managed(new)
            kept = {name: value for name, value in old.items() if name not in ("status", "metadata")}
            return copied(kept) | {"metadata": metadata} | ({"status": new["status"]} if "status" in new else {})
        if kind.status and subresource != "finalize":
            new.pop("status", None)
            if "status" in old:
                new["status"] = copied(old["status"])
        if kind.resource == resources.NAMESPACES and subresource != "finalize":
            new["spec"] = copied(old["spec"])
        return new

    def _complete(self, kind: KindSpec, old: Object, new: Object, options: WriteOptions) -> None:
        """Defaults, system fields and checks of a changed object, in place."""
        new["apiVersion"], new["kind"] = kind.resource.api_version, kind.resource.kind
        fill_defaults(object_schema(kind), new)
        keep_system_fields(kind, old, new)
        options.admit(old, new)
        self._finish(kind, new, is_new=False)
        causes = check_finalizers(old, new) + builtin_rules.check_change(kind, old, new)
        if causes:
            raise status.invalid(kind.resource, old["metadata"]["name"], causes)

    def _finish(self, kind: KindSpec, obj: Object, *, is_new: bool) -> None:
        builtin_rules.prepare(kind, obj, new=is_new)
        tidy(obj["metadata"])
        causes = (
            check_metadata(kind, obj["metadata"]) + validate(object_schema(kind), obj) + builtin_rules.check(kind, obj)
        )
        if causes:
            raise status.invalid(kind.resource, obj["metadata"].get("name", ""), causes)

    def _apply_new(self, kind: KindSpec, namespace: str, config: Object, options: WriteOptions) -> Object:
        live: Object = {"metadata": {}}
        new = ownership.apply(kind, live, config, options.manager, "", force=True)
        self._check_namespace(kind, namespace)
        fill_defaults(object_schema(kind), new)
        options.admit(None, new)
        stamp_new(kind, new["metadata"], namespace)
        self._finish(kind, new, is_new=True)
        return self._store_new(kind, new, options)

    def _store_new(self, kind: KindSpec, new: Object, options: WriteOptions) -> Object:
        metadata = new["metadata"]
        if self.store.collection(kind).find(metadata.get("namespace", ""), metadata["name"]):
            raise status.already_exists(kind.resource, metadata["name"])
        return new if options.dry_run else self.store.put(kind, new).object

    def _store_changed(self, kind: KindSpec, old: Object, new: Object, options: WriteOptions) -> Object:
        """Store, or remove when the last finalizer of a deleted object went away."""
        metadata = new["metadata"]
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        if ownership.same_but_times(old, new):
            return old
        if options.dry_run:
            return new
        finalized = not metadata.get("finalizers") and not (
            kind.resource == resources.NAMESPACES and new["spec"].get("finalizers")
        )
        if "deletionTimestamp" in metadata and finalized:
            self.store.remove(kind, metadata.get("namespace", ""), metadata["name"])
            return new
        return self.store.put(kind, new).object

    def _mark_deleted(self, kind: KindSpec, old: Object, finalizers: list[str], *, dry_run: bool) -> Object:
        metadata = old["metadata"] | {"finalizers": finalizers}
        if "deletionTimestamp" not in metadata:
            metadata |= {"deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 0}
            if "generation" in metadata:
                metadata["generation"] += 1
        tidy(metadata)
        new = old | {"metadata": metadata}
        if kind.resource == resources.NAMESPACES:
            new["status"] = old.get("status", {}) | {"phase": "Terminating"}
            metadata.pop("deletionGracePeriodSeconds", None)
        if dry_run or new == old:
            return new
        return self.store.put(kind, copied(new)).object


def _check_configuration(config: Object) -> None:
    """An applied configuration tells what it is, even though the path does."""
    metadata = config.get("metadata")
    if not (config.get("apiVersion") and config.get("kind")):
        raise status.bad_request("invalid object type: apiVersion and kind must be given")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise status.bad_request("the name of the object must be provided")


def _blank(kind: KindSpec, new: Object) -> Object:
    """What ownership compares a new object with: typed kinds have their structs from the start."""
    if not kind.builtin:
        return {"metadata": {}}
    return {"metadata": {}} | _empty_structs(object_schema(kind), new)


def _empty_structs(schema: Schema, value: Object) -> Object:
    return {
        name: _empty_structs(child, value[name])
        for name, child in schema.get("properties", {}).items()
        if "properties" in child and isinstance(value.get(name), dict) and is_granular(child, value[name])
    }


def _managed(obj: Object) -> Object:
    given = obj["metadata"].get("managedFields")
    return {} if given is None else {"managedFields": given}


def _restrict(kind: KindSpec, config: Object, subresource: str) -> None:
    """What an applied configuration may say on this path; the rest is not owned and not set."""
    if subresource != "status":
        config.pop("status", None)
        return
    for name in list(config):
        if name not in _STATUS_KEYS:
            del config[name]
    if not kind.builtin:
        config["metadata"] = {
            name: config["metadata"][name]
            for name in ("name", "namespace", "uid", "resourceVersion")
            if name in config["metadata"]
        }
