"""How to delete: preconditions, grace, and what becomes of the dependents."""

from dataclasses import dataclass
from typing import Any

from kube.resources import Object
from simulator.apiserver import status
from simulator.kinds import KindSpec

FOREGROUND_FINALIZER = "foregroundDeletion"
ORPHAN_FINALIZER = "orphan"

_POLICY_FINALIZERS = {"Foreground": FOREGROUND_FINALIZER, "Orphan": ORPHAN_FINALIZER}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """``propagation`` None leaves the policy that earlier requests set."""

    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None

    @classmethod
    def parse(cls, body: Any, query: Any) -> "DeleteOptions":
        """From a ``DeleteOptions`` body ({} when there is none) and the query. Raises ApiError 400 and 422."""
        if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
            raise status.bad_request("the body of a DELETE must be a DeleteOptions object")
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or None
        orphans = body.get("orphanDependents")
        if orphans is not None and propagation:
            message = "Invalid value: orphanDependents and deletionPropagation cannot be both set"
            raise status.invalid_option("DELETE", "propagationPolicy", "FieldValueInvalid", message)
        if orphans is not None:
            propagation = "Orphan" if orphans else "Background"
        if propagation not in (None, "Background", *_POLICY_FINALIZERS):
            message = f'Unsupported value: "{propagation}": supported values: "Background", "Foreground", "Orphan"'
            raise status.invalid_option("DELETE", "propagationPolicy", "FieldValueNotSupported", message)
        preconditions = body.get("preconditions") or {}
        return cls(propagation, preconditions.get("uid"), preconditions.get("resourceVersion"))

    def check(self, kind: KindSpec, obj: Object) -> None:
        """Raises ApiError 409 when a precondition does not hold."""
        metadata = obj["metadata"]
        for label, wanted, found in (
            ("UID", self.uid, metadata["uid"]),
            ("ResourceVersion", self.resource_version, metadata["resourceVersion"]),
        ):
            if wanted is not None and wanted != found:
                why = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}"
                raise status.conflict(kind.resource, metadata["name"], why)


def finalizers_for(obj: Object, options: DeleteOptions) -> list[str]:
    """The object's finalizers once the deletion's propagation policy is written into them."""
    finalizers: list[str] = list(obj["metadata"].get("finalizers") or [])
    if options.propagation is None:
        return finalizers
    kept = [name for name in finalizers if name not in _POLICY_FINALIZERS.values()]
    wanted = _POLICY_FINALIZERS.get(options.propagation)
    return [*kept, wanted] if wanted else kept
