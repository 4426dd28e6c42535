"""What a real API server's code does for single built-in kinds, beyond what their schemas say.

Each rule is a small function from a table by kind; custom kinds have none.
"""

import base64
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Any

from kube import resources
from kube.errors import FieldCause
from kube.quantity import parse_quantity
from kube.resources import Object, Resource
from simulator.kinds import KindSpec

Prepare = Callable[[Object], None]
CheckChange = Callable[[Object, Object], list[FieldCause]]

NAMESPACE_FINALIZER = "kubernetes"


def prepare(kind: KindSpec, obj: Object, *, new: bool) -> None:
    """Fill in, in place, what the kind's own code derives from other fields."""
    if kind.builtin:
        for part in ("spec", "status"):  # structs of typed code: there, if only empty
            if part in kind.schema.get("properties", {}):
                obj.setdefault(part, {})
    rule = _PREPARE.get(kind.resource)
    if rule is not None:
        rule(obj)
    if new and kind.resource == resources.NAMESPACES:
        _prepare_new_namespace(obj)


def check(kind: KindSpec, obj: Object) -> list[FieldCause]:
    """What is wrong with an object by its kind's own rules."""
    rule = _CHECK.get(kind.resource)
    return rule(obj) if rule else []


def check_change(kind: KindSpec, old: Object, new: Object) -> list[FieldCause]:
    """What must not change."""
    rule = _CHECK_CHANGE.get(kind.resource)
    return rule(old, new) if rule else []


def _prepare_new_namespace(obj: Object) -> None:
    obj["spec"] = {"finalizers": [NAMESPACE_FINALIZER]}
    obj["status"] = {"phase": "Active"}


def _prepare_namespace(obj: Object) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")


def _prepare_secret(obj: Object) -> None:
    plain: dict[str, str] = obj.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = (obj.get("data") or {}) | encoded


def _prepare_status(obj: Object) -> None:
    obj["status"].setdefault("phase", "Pending")


def _prepare_service_port(obj: Object) -> None:
    for port in obj["spec"].get("ports") or []:
        port.setdefault("targetPort", port["port"])


def _prepare_binding(obj: Object) -> None:
    obj["roleRef"].setdefault("apiGroup", resources.ROLES.group)
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", resources.ROLES.group)


def _check_data_keys(obj: Object) -> list[FieldCause]:
    causes = []
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not key or len(key) > 253 or not all(char.isalnum() or char in "-_." for char in key):
                message = f'Invalid value: "{key[:100]}": a valid config key has letters, digits, "-", "_" and "." only'
                causes.append(FieldCause("FieldValueInvalid", f"{field}[{key}]", message))
    return causes


def undecodable(kind: KindSpec, obj: Object) -> str | None:
    """What a typed decoder would refuse although its JSON type is right: bytes that are not base64."""
    for field in ("data", "binaryData") if kind.resource in (resources.SECRETS, resources.CONFIG_MAPS) else ():
        if field == "data" and kind.resource == resources.CONFIG_MAPS:
            continue
        for key, value in (obj.get(field) or {}).items():
            try:
                base64.b64decode(value, validate=True)
            except (Base64Error, ValueError):
                return f"illegal base64 data in {field}[{key}]"
    return None


def _check_role_rules(obj: Object) -> list[FieldCause]:
    causes = []
    namespaced = bool(obj["metadata"].get("namespace"))
    for index, rule in enumerate(obj.get("rules") or []):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            causes.append(
                FieldCause("FieldValueRequired", f"{path}.verbs", "Required value: verbs must contain one value")
            )
        if rule.get("nonResourceURLs"):
            if namespaced:
                message = "Invalid value: namespaced rules cannot apply to non-resource URLs"
                causes.append(FieldCause("FieldValueInvalid", f"{path}.nonResourceURLs", message))
            continue
        for field in ("apiGroups", "resources"):
            if not rule.get(field):
                message = f"Required value: resource rules must supply at least one of {field}"
                causes.append(FieldCause("FieldValueRequired", f"{path}.{field}", message))
    return causes


def _check_service(service: Object) -> list[FieldCause]:
    spec = service.get("spec") or {}
    if spec.get("ports") or spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
        return []
    return [FieldCause("FieldValueRequired", "spec.ports", "Required value")]


def _check_event(event: Object) -> list[FieldCause]:
    about = (event.get("involvedObject") or {}).get("namespace") or "default"
    if about == event["metadata"].get("namespace"):
        return []
    message = "Invalid value: does not match event.namespace"
    return [FieldCause("FieldValueInvalid", "involvedObject.namespace", message)]


_SUBJECTS = ("ServiceAccount", "User", "Group")


def _check_binding(binding: Object) -> list[FieldCause]:
    namespaced = bool(binding["metadata"].get("namespace"))
    roles = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    causes = [] if binding["roleRef"]["kind"] in roles else [_unsupported("roleRef.kind", roles)]
    for index, subject in enumerate(binding.get("subjects") or []):
        if subject["kind"] not in _SUBJECTS:
            causes.append(_unsupported(f"subjects[{index}].kind", _SUBJECTS))
        elif subject["kind"] == "ServiceAccount" and not namespaced and not subject.get("namespace"):
            causes.append(FieldCause("FieldValueRequired", f"subjects[{index}].namespace", "Required value"))
    return causes


def _unsupported(field: str, supported: tuple[str, ...]) -> FieldCause:
    listed = ", ".join(f'"{word}"' for word in supported)
    return FieldCause("FieldValueNotSupported", field, f"Unsupported value: supported values: {listed}")


def _check_secret_change(old: Object, new: Object) -> list[FieldCause]:
    causes = _check_immutable(old, new)
    if old.get("type") != new.get("type"):
        message = f'Invalid value: "{new.get("type")}": field is immutable'
        causes.append(FieldCause("FieldValueInvalid", "type", message))
    return causes


def _check_immutable(old: Object, new: Object) -> list[FieldCause]:
    if not old.get("immutable"):
        return []
    causes = []
    if not new.get("immutable"):
        causes.append(_frozen("immutable", "field is immutable when `immutable` is set"))
    for field in ("data", "binaryData"):
        if old.get(field) != new.get(field):
            causes.append(_frozen(field, "field is immutable when `immutable` is set"))
    return causes


def _check_claim_change(old: Object, new: Object) -> list[FieldCause]:
    """Only the size of a bound claim may change, upwards, and the volume of an unbound one; a claim without a class may
    be given one."""
    bound = (old.get("status") or {}).get("phase") == "Bound"
    before, after = _frozen_claim(old, bound=bound), _frozen_claim(new, bound=bound)
    if before.get("storageClassName") is None:
        after.pop("storageClassName", None)
    if before == after:
        return _check_size(new) if bound else []
    message = (
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    )
    return [_frozen("spec", message)]


def _check_claim(claim: Object) -> list[FieldCause]:
    causes = []
    if not claim["spec"].get("accessModes"):
        message = "Required value: at least 1 access mode is required"
        causes.append(FieldCause("FieldValueRequired", "spec.accessModes", message))
    if not (claim["spec"].get("resources") or {}).get("requests", {}).get("storage"):
        causes.append(FieldCause("FieldValueRequired", "spec.resources[storage]", "Required value"))
    return causes


def _frozen_claim(claim: Object, *, bound: bool) -> dict[str, Any]:
    free = "resources" if bound else "volumeName"
    return {name: value for name, value in claim["spec"].items() if name != free}


def _check_size(claim: Object) -> list[FieldCause]:
    held = (claim["status"].get("capacity") or {}).get("storage", "0")
    if parse_quantity(claim["spec"]["resources"]["requests"]["storage"]) >= parse_quantity(held):
        return []
    return [_frozen("spec.resources.requests.storage", "field can not be less than status.capacity")]


def _check_role_reference(old: Object, new: Object) -> list[FieldCause]:
    if old["roleRef"] == new["roleRef"]:
        return []
    return [FieldCause("FieldValueInvalid", "roleRef", "Invalid value: cannot change roleRef")]


def _check_class_change(old: Object, new: Object) -> list[FieldCause]:
    fields = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
    return [
        _frozen(field, f"updates to {field} are forbidden.") for field in fields if old.get(field) != new.get(field)
    ]


def _frozen(field: str, message: str) -> FieldCause:
    return FieldCause("FieldValueForbidden", field, f"Forbidden: {message}")


_PREPARE: dict[Resource, Prepare] = {
    resources.NAMESPACES: _prepare_namespace,
    resources.SECRETS: _prepare_secret,
    resources.PERSISTENT_VOLUME_CLAIMS: _prepare_status,
    resources.PODS: _prepare_status,
    resources.SERVICES: _prepare_service_port,
    resources.ROLE_BINDINGS: _prepare_binding,
    resources.CLUSTER_ROLE_BINDINGS: _prepare_binding,
}

_CHECK: dict[Resource, Callable[[Object], list[FieldCause]]] = {
    resources.SECRETS: _check_data_keys,
    resources.CONFIG_MAPS: _check_data_keys,
    resources.ROLES: _check_role_rules,
    resources.CLUSTER_ROLES: _check_role_rules,
    resources.PERSISTENT_VOLUME_CLAIMS: _check_claim,
    resources.SERVICES: _check_service,
    resources.EVENTS: _check_event,
    resources.ROLE_BINDINGS: _check_binding,
    resources.CLUSTER_ROLE_BINDINGS: _check_binding,
}

_CHECK_CHANGE: dict[Resource, CheckChange] = {
    resources.SECRETS: _check_secret_change,
    resources.CONFIG_MAPS: _check_immutable,
    resources.PERSISTENT_VOLUME_CLAIMS: _check_claim_change,
    resources.ROLE_BINDINGS: _check_role_reference,
    resources.CLUSTER_ROLE_BINDINGS: _check_role_reference,
    resources.STORAGE_CLASSES: _check_class_change,
}
