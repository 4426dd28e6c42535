"""Refusals as the Kubernetes API tells them: one exception that carries a ``Status`` object."""

from collections.abc import Mapping, Sequence
from typing import Any

from kube.errors import FieldCause
from kube.resources import Object, Resource


class ApiError(Exception):
    """A request is refused with HTTP ``code``; ``body()`` is the ``Status`` that the client gets.

    ``reason`` is "" for the few errors that a real server tells without one.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def body(self) -> Object:
        """The ``Status`` object (meta/v1)."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            body["reason"] = self.reason
        return body | {"details": self.details} if self.details else body


def _about(resource: Resource, name: str) -> Object:
    details: Object = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return details | {"kind": resource.plural}


def qualified(resource: Resource) -> str:
    """``plural.group`` as messages write it."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[FieldCause] = ()) -> ApiError:
    """403 about an object or, without a name, about the collection."""
    subject = f'{qualified(resource)} "{name}"' if name else qualified(resource)
    details = _about(resource, name)
    if causes:
        details["causes"] = [_cause(cause) for cause in causes]
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=details)


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{qualified(resource)} "{name}" not found', details=_about(resource, name))


def not_served() -> ApiError:
    """404 for a resource that does not exist in a group that does."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(verb: str) -> ApiError:
    return ApiError(405, "MethodNotAllowed", f"{verb} is not supported on this resource")


def not_acceptable(types: Sequence[str]) -> ApiError:
    accepted = ", ".join(types)
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {accepted}")


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{qualified(resource)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_about(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(resource)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_about(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    """The usual conflict: the resourceVersion that came along is not the newest."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def apply_conflict(causes: Sequence[FieldCause]) -> ApiError:
    """Server-side apply met fields of other managers; each cause names one field."""
    listed = ", ".join(f"{cause.message}: {cause.field}" for cause in causes)
    noun = "conflict" if len(causes) == 1 else "conflicts"
    return ApiError(
        409,
        "Conflict",
        f"Apply failed with {len(causes)} {noun}: {listed}",
        details={"causes": [_cause(cause) for cause in causes]},
    )


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def too_large(limit: int) -> ApiError:
    message = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(types: Sequence[str]) -> ApiError:
    accepted = ", ".join(types)
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(resource: Resource, name: str, causes: Sequence[FieldCause]) -> ApiError:
    """422 with one cause per field."""
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    details: Object = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.kind, "causes": [_cause(cause) for cause in causes]}
    subject = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    return ApiError(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details=details)


def not_simulated(what: str) -> ApiError:
    """501: a real API server may do this, the simulated one does not."""
    return ApiError(501, "NotImplemented", f"The simulated API server does not do this: {what}")


def invalid_option(method: str, field: str, reason: str, message: str) -> ApiError:
    """422 about a query parameter or an option in the body."""
    kind = _OPTIONS.get(method, "ListOptions")
    details = {"group": "meta.k8s.io", "kind": kind, "causes": [_cause(FieldCause(reason, field, message))]}
    return ApiError(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {field}: {message}', details=details)


_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


def _cause(cause: FieldCause) -> Object:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}
