"""What can go wrong when a Kubernetes API is asked, as one tree in which the class says whether to ask again.

A caller decides by class: ``error.retryable`` is true when the same call may succeed later without anybody changing
anything. Nothing here retries; that belongs to the reconcilers. ``InvalidKubeconfig`` stands beside the tree, because
it is about a document that somebody pasted and not about an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

import orjson

MESSAGE_LIMIT = 2000
"""Characters of a server's own message that are kept: enough for an admission webhook's reason, not for a flood."""

CAUSE_LIMIT = 50
RETRY_AFTER_LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class FieldCause:
    """One entry of ``Status.details.causes``: which field was refused, and why."""

    reason: str
    field: str
    message: str


class KubeError(Exception):
    """A call to a Kubernetes API failed.

    ``code`` is the HTTP status, or None when no answer came. ``reason`` is the API's own word (``Status.reason``).
    ``retry_after`` is in seconds, as the server asked.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        reason: str | None = None,
        causes: tuple[FieldCause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


class BadRequest(KubeError):
    """400 and the other 4xx that mean the request itself is wrong."""


class Unauthorized(KubeError):
    """401: the credentials are unknown or have expired."""


class Forbidden(KubeError):
    """403: known, but not allowed; also a quota that is used up, and most refusals of admission webhooks."""


class NotFound(KubeError):
    """404 in a ``Status`` that names the object: proof that it does not exist."""


class NotServed(KubeError):
    """404 that names no object, or 501: the API does not have this path (as when a CRD or an aggregated API is away), or
    it is no Kubernetes API at all. It proves nothing about an object."""


class MethodNotAllowed(KubeError):
    """405: the resource does not have this verb."""


class AlreadyExists(KubeError):
    """409 with reason AlreadyExists: the name is taken."""


class Invalid(KubeError):
    """422: the object is not valid; ``causes`` name the fields."""


class Redirected(KubeError):
    """3xx: redirects are never followed, because the new address would not have been chosen by anybody."""


class AddressRefused(KubeError):
    """The guard does not let this process connect to the address."""


class TlsRefused(KubeError):
    """The server's certificate is not the expected one, or it does not take ours."""


class ResponseTooLarge(KubeError):
    """The answer is beyond the size that is read."""


class Conflict(KubeError):
    """409: somebody else changed the object, a precondition does not hold, or another manager owns a field."""

    retryable = True


class Expired(KubeError):
    """410: the resourceVersion or continue token is too old; list again."""

    retryable = True


class TooManyRequests(KubeError):
    """429: the server sheds load; ``retry_after`` when it said for how long."""

    retryable = True


class ServerError(KubeError):
    """5xx other than 501, 503 and 504."""

    retryable = True


class Unavailable(KubeError):
    """503, or no connection, or one that broke. The request may have arrived."""

    retryable = True


class RequestTimeout(KubeError):
    """504, 408, or no answer in time. The request may have arrived."""

    retryable = True


class Garbled(KubeError):
    """The answer is not what a Kubernetes API sends: truncated, not JSON, an HTML page, the wrong shape."""

    retryable = True


class InvalidKubeconfig(ValueError):
    """A kubeconfig that Paddock does not take.

    ``code`` is stable (``kubeconfig.*``) and is what clients translate; ``fix`` says what to do about it.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(code, message, fix)
        self.code = code
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}. {self.fix}"


_BY_STATUS: dict[int, type[KubeError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    408: RequestTimeout,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
    501: NotServed,
    503: Unavailable,
    504: RequestTimeout,
}


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> KubeError:
    """The error of an answer outside 2xx.

    Only the message of a Kubernetes ``Status`` is taken over. Any other text stays out, so that a caller cannot use
    the hub to read what an address of the inner network answers.
    """
    parsed = _parse_status(body)
    retry_after = parse_retry_after(headers.get("Retry-After"))
    if parsed is None:
        message = f"HTTP {status} without a Kubernetes Status"
        return _error_class(status, None, {})(message, code=status, retry_after=retry_after)
    return error_from_status(parsed, code=status, retry_after=retry_after)


def error_from_status(
    status: Mapping[str, Any], *, code: int | None = None, retry_after: float | None = None
) -> KubeError:
    """The error that a ``Status`` object tells of: an answer's body, or the object of a watch's ERROR event."""
    if code is None:
        told = status.get("code")
        code = told if isinstance(told, int) else 500
    reason = _clean(status.get("reason")) or None
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    if retry_after is None:
        retry_after = parse_retry_after(details.get("retryAfterSeconds"))
    message = _clean(status.get("message")) or reason or f"HTTP {code}"
    return _error_class(code, reason, details)(
        message, code=code, reason=reason, causes=_parse_causes(details.get("causes")), retry_after=retry_after
    )


def summary_error(failures: Sequence[KubeError]) -> KubeError:
    """One error for several servers that were all not reached: one that may pass when any of theirs may."""
    told = next((failure for failure in failures if failure.retryable), failures[0])
    messages = dict.fromkeys(failure.message for failure in failures)
    return told if len(messages) == 1 else type(told)("; ".join(messages))


def parse_retry_after(value: object) -> float | None:
    """Seconds to wait from a Retry-After value (seconds or an HTTP date), never negative, at most an hour."""
    if isinstance(value, int | float):
        seconds = float(value)
    elif isinstance(value, str) and value.strip():
        try:
            seconds = float(value)
        except ValueError:
            try:
                when = parsedate_to_datetime(value)
            except ValueError:
                return None
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            seconds = (when - datetime.now(UTC)).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT) if math.isfinite(seconds) else None


def _error_class(status: int, reason: str | None, details: Mapping[str, Any]) -> type[KubeError]:
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists
    if status == 404 and not details.get("name"):
        return NotServed
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return Redirected
    return ServerError if status >= 500 else BadRequest


def _parse_status(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(parsed, dict) and parsed.get("kind") == "Status" and parsed.get("apiVersion") == "v1":
        return parsed
    return None


def _parse_causes(causes: object) -> tuple[FieldCause, ...]:
    if not isinstance(causes, list):
        return ()
    return tuple(
        FieldCause(_clean(cause.get("reason")), _clean(cause.get("field")), _clean(cause.get("message")))
        for cause in causes[:CAUSE_LIMIT]
        if isinstance(cause, dict)
    )


def _clean(text: object) -> str:
    """Text of a server as one that may be logged and shown: without control characters, of bounded length."""
    if not isinstance(text, str):
        return ""
    shortened = text if len(text) <= MESSAGE_LIMIT else text[:MESSAGE_LIMIT] + "…"
    return "".join(character if character.isprintable() else " " for character in shortened).strip()
