"""``metadata.managedFields``: which manager owns which fields, kept current by ordinary writes and by apply."""

from dataclasses import dataclass
from typing import Any

from kube.errors import FieldCause
from kube.resources import Object
from simulator.apiserver.fieldsets import FieldSet, Path, compare, decode, encode, fields_of, shown, with_named_parents
from simulator.apiserver.merging import merge, without
from simulator.apiserver.status import apply_conflict
from simulator.clock import timestamp
from simulator.kinds import KindSpec
from simulator.kinds.metadata import object_schema

_META = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion")

#: Nobody owns these: the API writes them.
_OWNERLESS: FieldSet = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in _META)]
)


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields: its name, ``Apply`` or ``Update``, and the subresource it writes through."""

    name: str
    operation: str
    subresource: str = ""


Owners = dict[Manager, FieldSet]


def track_update(kind: KindSpec, old: Object, new: Object, manager: str, subresource: str) -> None:
    """After an ordinary write: the manager owns what it changed, and nobody owns what is gone. ``new`` is updated."""
    owners, times = _read(_given_or_kept(old, new))
    writer = Manager(manager, "Update", subresource)
    comparison = compare(object_schema(kind), _unmanaged(old), _unmanaged(new))
    changed = comparison.added | comparison.modified
    result = {
        owner: fields - comparison.removed - (set() if owner == writer else changed) for owner, fields in owners.items()
    }
    result[writer] = _ownable(kind, subresource, result.get(writer, frozenset()) | changed)
    _write(kind, new, owners, result, times)


def apply(kind: KindSpec, live: Object, config: Object, manager: str, subresource: str, *, force: bool) -> Object:
    """Merge an applied configuration into the live object and return the result, owners included.

    What the manager applied before and leaves out now is removed unless someone else owns it. Raises ApiError 409 with
    one cause per field that another manager owns with another value, unless ``force``.
    """
    schema = object_schema(kind)
    owners, times = _read(live)
    applier = Manager(manager, "Apply", subresource)
    base = _unmanaged(live)
    wanted = fields_of(schema, config)
    before = owners.get(applier, frozenset())
    others = {owner: fields for owner, fields in owners.items() if owner != applier}
    gone = with_named_parents(schema, before) - with_named_parents(schema, wanted.union(*others.values()))
    merged: Object = without(schema, merge(schema, base, config), gone)

    comparison = compare(schema, base, merged)
    changed = comparison.added | comparison.modified
    conflicts = {owner: fields & changed for owner, fields in others.items()}
    if not force and any(conflicts.values()):
        raise apply_conflict(_causes(kind, conflicts))
    result = {owner: fields - conflicts[owner] - comparison.removed for owner, fields in others.items()}
    result[applier] = _ownable(kind, subresource, wanted)
    _write(kind, merged, owners, result, times)
    return merged


def owners_of(obj: Object) -> Owners:
    """The owners that an object tells of."""
    return _read(obj)[0]


def same_but_times(old: Object, new: Object) -> bool:
    """Whether two objects are equal, the times of their owners aside."""
    return _unmanaged(old) == _unmanaged(new) and owners_of(old) == owners_of(new)


def _ownable(kind: KindSpec, subresource: str, fields: FieldSet) -> FieldSet:
    """Without what the API itself writes, and what only the other one of object and status can set."""
    if kind.status and subresource != "status":
        fields = frozenset(path for path in fields if path[0] != "f:status")
    return fields - _OWNERLESS


def _causes(kind: KindSpec, conflicts: dict[Manager, frozenset[Path]]) -> list[FieldCause]:
    causes = []
    for owner, fields in conflicts.items():
        via = f' with subresource "{owner.subresource}"' if owner.subresource else ""
        message = f'conflict with "{owner.name}"{via} using {kind.resource.api_version}'
        causes += [FieldCause("FieldManagerConflict", shown(path), message) for path in sorted(fields)]
    return causes


def _given_or_kept(old: Object, new: Object) -> Object:
    """Whose managedFields a write starts from: those it carries; an empty list, or one empty entry, resets them."""
    given = new["metadata"].get("managedFields")
    if given is None:
        return old
    if not given or given == [{}]:
        return {"metadata": {}}
    return new


def _unmanaged(obj: Object) -> Object:
    metadata = {
        name: value for name, value in obj["metadata"].items() if name not in ("managedFields", "resourceVersion")
    }
    return obj | {"metadata": metadata}


def _read(obj: Object) -> tuple[Owners, dict[Manager, str]]:
    owners: Owners = {}
    times: dict[Manager, str] = {}
    for entry in obj["metadata"].get("managedFields") or []:
        manager = Manager(entry.get("manager", ""), entry.get("operation", ""), entry.get("subresource", ""))
        owners[manager] = decode(entry.get("fieldsV1") or {})
        times[manager] = entry.get("time") or timestamp()
    return owners, times


def _write(kind: KindSpec, obj: Object, before: Owners, after: Owners, times: dict[Manager, str]) -> None:
    """Set managedFields: applying managers first, then by time; an owner's time moves only with its fields."""
    entries: list[dict[str, Any]] = []
    for manager, fields in after.items():
        if not fields:
            continue
        unchanged = before.get(manager) == fields
        entry: dict[str, Any] = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": kind.resource.api_version,
            "time": times[manager] if unchanged else timestamp(),
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(fields),
        }
        entries.append(entry | {"subresource": manager.subresource} if manager.subresource else entry)
    entries.sort(key=lambda entry: (entry["operation"], entry["time"], entry["manager"]))
    obj["metadata"]["managedFields"] = entries
    if not entries:
        del obj["metadata"]["managedFields"]
