"""Answers that the stream server gives itself: a Kubernetes ``Status`` to kubectl, a problem document to all others."""

import json
from dataclasses import dataclass

from kube.relay.heads import Headers, render_response_head

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "Timeout",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    502: "ServiceUnavailable",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True)
class Refusal(Exception):
    """The hub's own no: a status, a stable code of the error registry, and a sentence for the reader."""

    status: int
    code: str
    message: str
    retry_after: int | None = None


def render_refusal(refusal: Refusal, *, kubernetes: bool, request_id: str, keep_alive: bool) -> bytes:
    body = _status(refusal) if kubernetes else _problem(refusal, request_id)
    content = json.dumps(body).encode()
    headers: Headers = [
        ("Content-Type", "application/json" if kubernetes else "application/problem+json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("X-Request-Id", request_id),
        ("Connection", "keep-alive" if keep_alive else "close"),
    ]
    if refusal.status == 401:
        headers.append(("WWW-Authenticate", 'Bearer realm="paddock"'))
    if refusal.retry_after is not None:
        headers.append(("Retry-After", str(refusal.retry_after)))
    return render_response_head(refusal.status, _PHRASES.get(refusal.status, "Error"), headers) + content


def _status(refusal: Refusal) -> dict[str, object]:
    """metav1.Status, as every Kubernetes client reads it."""
    details: dict[str, object] = {"causes": [{"reason": refusal.code, "message": refusal.message}]}
    if refusal.retry_after is not None:
        details["retryAfterSeconds"] = refusal.retry_after
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refusal.message,
        "reason": _REASONS.get(refusal.status, "InternalError"),
        "details": details,
        "code": refusal.status,
    }


def _problem(refusal: Refusal, request_id: str) -> dict[str, object]:
    return {
        "type": f"urn:paddock:error:{refusal.code}",
        "title": refusal.message,
        "status": refusal.status,
        "code": refusal.code,
        "params": {},
        "errors": [],
        "request_id": request_id,
    }
