"""What the API itself keeps in ``metadata``: system fields of new and changed objects, and the rules for the others."""

import re
import uuid
from typing import Any

from kube.errors import FieldCause
from kube.names import (
    LABEL_LIMIT,
    check_dns_label,
    check_dns_subdomain,
    check_label_key,
    check_label_value,
    is_dns_label,
    random_suffix,
)
from kube.resources import Object
from simulator.clock import timestamp
from simulator.kinds import KindSpec

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotation keys and values together."""

_SUFFIX_LENGTH = 5
_GENERATED_LIMIT = LABEL_LIMIT - _SUFFIX_LENGTH

_EMPTY_IS_ABSENT = ("labels", "annotations", "finalizers", "ownerReferences")
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def stamp_new(kind: KindSpec, metadata: dict[str, Any], namespace: str) -> None:
    """Give a new object its system fields and, where only ``generateName`` is given, its name."""
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:_GENERATED_LIMIT] + random_suffix(_SUFFIX_LENGTH)
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"):
        metadata.pop(name, None)
    if kind.resource.namespaced:
        metadata["namespace"] = namespace
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp()
    if kind.counts_generation:
        metadata["generation"] = 1


def keep_system_fields(kind: KindSpec, old: Object, new: Object) -> None:
    """System fields of a changed object are those of the old one; the generation counts changes of what is wanted."""
    before, after = old["metadata"], new["metadata"]
    for name in (
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "generateName",
    ):
        if name in before:
            after[name] = before[name]
        else:
            after.pop(name, None)
    if kind.counts_generation and _wanted(kind, old) != _wanted(kind, new):
        after["generation"] = before.get("generation", 0) + 1


def tidy(metadata: dict[str, Any]) -> None:
    """Leave out what is empty, as the API does."""
    for name in _EMPTY_IS_ABSENT:
        if name in metadata and not metadata[name]:
            del metadata[name]


def _wanted(kind: KindSpec, obj: Object) -> Object:
    """The part of an object whose change counts as a new generation."""
    ignored = {"metadata", "status"} if kind.status else {"metadata"}
    return {name: value for name, value in obj.items() if name not in ignored}


def check_metadata(kind: KindSpec, metadata: dict[str, Any]) -> list[FieldCause]:
    """Causes for a name, label, annotation, finalizer or owner that the API does not take."""
    causes = _check_name(kind, metadata)
    for key, value in (metadata.get("labels") or {}).items():
        causes += _told("metadata.labels", key, check_label_key) + _told("metadata.labels", value, check_label_value)
    causes += _check_annotations(metadata.get("annotations") or {})
    causes += _check_finalizers(kind, metadata.get("finalizers") or [])
    return causes + _check_owners(metadata.get("ownerReferences") or [])


def _check_finalizers(kind: KindSpec, finalizers: list[str]) -> list[FieldCause]:
    causes: list[FieldCause] = []
    for index, name in enumerate(finalizers):
        causes += _told("metadata.finalizers", name, check_label_key)
        if kind.builtin and "/" not in name and name not in _STANDARD_FINALIZERS:
            message = (
                f'Invalid value: "{name[:100]}": name is neither a standard finalizer name nor is it fully qualified'
            )
            causes.append(FieldCause("FieldValueInvalid", f"metadata.finalizers[{index}]", message))
    return causes


def check_finalizers(old: Object, new: Object) -> list[FieldCause]:
    """An object that is being deleted takes no new finalizers."""
    if "deletionTimestamp" not in old["metadata"]:
        return []
    added = set(new["metadata"].get("finalizers") or []) - set(old["metadata"].get("finalizers") or [])
    if not added:
        return []
    message = f"Forbidden: no new finalizers can be added if the object is being deleted, found {sorted(added)}"
    return [FieldCause("FieldValueForbidden", "metadata.finalizers", message)]


def _check_name(kind: KindSpec, metadata: dict[str, Any]) -> list[FieldCause]:
    name = metadata.get("name") or ""
    if not name:
        required = "Required value: name or generateName is required"
        return [FieldCause("FieldValueRequired", "metadata.name", required)]
    return _told("metadata.name", name, _NAME_CHECKS[kind.name_rule])


def _check_service_name(name: str) -> str:
    if not is_dns_label(name) or not name[0].isalpha():
        raise ValueError("Use a DNS label that starts with a letter")
    return name


def _check_path_segment(name: str) -> str:
    if name in (".", "..") or re.search(r"[/%]", name):
        raise ValueError("Use a name without '/' and '%' that is not '.' or '..'")
    return name


_NAME_CHECKS = {
    "subdomain": check_dns_subdomain,
    "label": check_dns_label,
    "service": _check_service_name,
    "path": _check_path_segment,
}


def _told(field: str, value: str, check: Any) -> list[FieldCause]:
    try:
        check(value)
    except ValueError as error:
        return [FieldCause("FieldValueInvalid", field, f'Invalid value: "{value[:100]}": {error}')]
    return []


def _check_annotations(annotations: dict[str, str]) -> list[FieldCause]:
    causes: list[FieldCause] = []
    for key in annotations:
        causes += _told("metadata.annotations", key.lower(), check_label_key)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        message = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        causes.append(FieldCause("FieldValueTooLong", "metadata.annotations", message))
    return causes


def _check_owners(owners: list[dict[str, Any]]) -> list[FieldCause]:
    causes: list[FieldCause] = []
    for owner in owners:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                field = f"metadata.ownerReferences.{name}"
                causes.append(FieldCause("FieldValueInvalid", field, 'Invalid value: "": must not be empty'))
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        message = "Invalid value: Only one reference can have Controller set to true"
        causes.append(FieldCause("FieldValueInvalid", "metadata.ownerReferences", message))
    return causes
