"""Errors become HTTP here: a problem document (RFC 9457) with the registry's code, its parameters and JSON pointers.

Everything a view or a middleware raises passes ``error_of``. What is not meant for the client is logged and answered as
``hub.internal_error`` with nothing but the request id.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from hub.core.errors import ERROR_CODES, HubError, define
from hub.core.requests import request_context

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:paddock:error:"
RETRY_SECONDS = 5

define("request.path_unknown", 404, "There is nothing at this path")
define("request.method_unknown", 405, "This method is not offered here")
define("request.media_type_unknown", 415, "The body's media type is not taken here")
define("hub.internal_error", 500, "The hub failed; its log has more under the request id")

log = logging.getLogger(__name__)


def problem_response(error: HubError) -> HttpResponse:
    """The error as an answer. ``Retry-After`` follows the parameter ``retry_after`` (seconds)."""
    content = json.dumps(problem_document(error), cls=_Encoder).encode()
    response = HttpResponse(content, content_type=PROBLEM_TYPE, status=error.status)
    retry_after = error.params.get("retry_after", RETRY_SECONDS if error.status == 503 else None)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def problem_document(error: HubError) -> dict[str, Any]:
    """``errors`` lists each fault that has a place in the body; the code and parameters at the top are the whole's."""
    return {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "detail": _sentence(error),
        "code": error.code,
        "params": dict(error.params),
        "errors": [
            {"pointer": fault.pointer, "code": fault.code, "params": dict(fault.params), "detail": _sentence(fault)}
            for fault in _faults(error)
        ],
        "request_id": request_context().request_id,
    }


def error_of(failure: BaseException) -> HubError:
    """What an exception says to the client. Logs the ones that tell of a defect."""
    match failure:
        case HubError():
            if failure.status >= 500 and failure.status != 503:
                log.error("%s", failure, exc_info=failure)
            return failure
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return HubError("request.unauthenticated")
        case exceptions.MethodNotAllowed():
            return HubError("request.method_unknown")
        case exceptions.UnsupportedMediaType():
            return HubError("request.media_type_unknown")
        case Http404():
            return HubError("request.path_unknown")
        case BadRequest() | SuspiciousOperation() | exceptions.ParseError():
            return HubError("request.invalid")
        case OperationalError() | InterfaceError():  # away, too busy, or waiting for a lock
            log.error("the database did not do its part", exc_info=failure)
            return HubError("hub.unavailable", missing="database")
    log.error("request failed", exc_info=failure)
    return HubError("hub.internal_error")


def handle_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(error_of(exception))


def handle_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(HubError("request.denied"))


def handle_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(HubError("request.path_unknown"))


def handle_server_error(request: HttpRequest) -> HttpResponse:
    """Django has logged the exception already."""
    return problem_response(HubError("hub.internal_error"))


def _faults(error: HubError) -> Iterator[HubError]:
    if error.pointer is not None:
        yield error
    for cause in error.causes:
        yield from _faults(cause)


def _sentence(error: HubError) -> str:
    """English, for those who read raw answers; clients make their own from code and parameters."""
    words = [str(error.params[name]) for name in ("message", "rule", "fix") if error.params.get(name)]
    if words:
        return f"{ERROR_CODES[error.code].title}: {'. '.join(words)}"
    details = ", ".join(f"{name}: {value}" for name, value in error.params.items())
    return f"{ERROR_CODES[error.code].title} ({details})" if details else ERROR_CODES[error.code].title


class _Encoder(DjangoJSONEncoder):
    """Parameters are mostly plain; sets and the rare other object become lists and text."""

    def default(self, o: Any) -> Any:
        if isinstance(o, frozenset | set):
            return sorted(map(str, o))
        try:
            return super().default(o)
        except TypeError:
            return str(o)
