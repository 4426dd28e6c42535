"""What comes in: an object of the right kind for the right place, decoded the way its kind is.

Unknown fields and nulls are taken off here; defaults and all further checks are the registry's.
"""

from functools import cache

from kube.resources import Object
from simulator.apiserver import builtin_rules, status
from simulator.apiserver.schema import drop_nulls, prune, types_alone, validate
from simulator.apiserver.storage import copied
from simulator.kinds import KindSpec
from simulator.kinds.metadata import OBJECT_META, object_schema
from simulator.kinds.schema import Schema


@cache
def _decoder_schema(kind: KindSpec) -> Schema:
    """What must hold for the object to be decoded; of a custom kind that is about its metadata alone."""
    metadata = types_alone(OBJECT_META)
    return types_alone(object_schema(kind)) if kind.builtin else {"properties": {"metadata": metadata}}


def receive(kind: KindSpec, namespace: str, obj: Object, name: str | None) -> tuple[Object, list[str]]:
    """A private copy, and what it had of unknown fields in the words of warnings.

    ``name`` is the one in the path, None where there is none. Raises ApiError 400 for an object that belongs elsewhere
    or cannot be decoded: built-in kinds are decoded by their types, of custom ones the metadata alone.
    """
    received = copied(obj)
    schema = object_schema(kind)
    _check_envelope(kind, namespace, received, name)
    unknown = [f'unknown field "{path}"' for path in prune(schema, received)]
    drop_nulls(schema, received)
    wrong = validate(_decoder_schema(kind), received)
    if wrong:
        raise status.bad_request(f"{kind.resource.kind} cannot be decoded: {wrong[0].field}: {wrong[0].message}")
    undecodable = builtin_rules.undecodable(kind, received)
    if undecodable:
        raise status.bad_request(f"{kind.resource.kind} cannot be decoded: {undecodable}")
    return received, unknown


def _check_envelope(kind: KindSpec, namespace: str, obj: Object, name: str | None) -> None:
    """apiVersion, kind, namespace and name of a body must be those of the path."""
    resource = kind.resource
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise status.bad_request("metadata must be an object")
    if not kind.builtin and not (obj.get("apiVersion") and obj.get("kind")):
        raise status.bad_request("Object 'Kind' or 'apiVersion' is missing")
    obj["apiVersion"] = obj.get("apiVersion") or resource.api_version
    obj["kind"] = obj.get("kind") or resource.kind
    if (obj["apiVersion"], obj["kind"]) != (resource.api_version, resource.kind):
        told = f"{obj['apiVersion']}, Kind={obj['kind']}"
        raise status.bad_request(
            f"the object provided is of {told}; this path takes {resource.api_version}, Kind={resource.kind}"
        )
    if resource.namespaced:
        given = metadata.get("namespace") or namespace
        if given != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace
    elif metadata.get("namespace"):
        raise status.bad_request("the object provided is not namespaced")
    if name is not None:
        given = metadata.get("name") or name
        if given != name:
            raise status.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        metadata["name"] = name
