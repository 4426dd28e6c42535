"""Answers that the stream server gives itself: a Kubernetes ``Status`` to kubectl, a problem document to all others."""

import json
from http import HTTPStatus

from hub.core.errors import ERROR_CODES, define
from kube.relay.heads import Headers, render_response_head

define("request.malformed", 400, "The request is no proper HTTP")
define("request.body_broken", 400, "The request's body ended early or is malformed")
define("request.path_ambiguous", 400, "The path could be read in two ways")
define("request.token_in_subprotocol", 400, "Credentials are accepted in the header Authorization only")
define("request.impersonates", 403, "The hub does not act as somebody else on a caller's word")
define("request.two_identities", 400, "The request carries a session and a token")
define("request.expectation_unknown", 417, "The request expects what cannot be met")
define("request.head_too_large", 431, "The request's head is too large")
define("request.method_not_implemented", 501, "The method is none that is carried")
define("request.version_unsupported", 505, "Only HTTP/1.1 is spoken")
define("upstream.failed", 502, "The upstream gave no proper answer")
define("upstream.redirects", 502, "The upstream sends the caller elsewhere, which the hub does not hand on")
define("upstream.unreachable", 503, "The upstream cannot be reached")
define("cluster.account_refused", 503, "The cluster does not accept the hub's own account")

_MALFORMED = {
    417: "request.expectation_unknown",
    431: "request.head_too_large",
    501: "request.method_not_implemented",
    505: "request.version_unsupported",
}
# metav1.StatusReason; the rest is InternalError.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    502: "ServiceUnavailable",
    503: "ServiceUnavailable",
}


class Refusal(Exception):
    """The hub's own no: a code of the error registry and a sentence for the reader.

    ``retry_after`` (seconds) only where trying again soon may help: client-go obeys it ten times before it tells anybody.
    """

    def __init__(self, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = ERROR_CODES[code].status
        self.message = message
        self.retry_after = retry_after


def malformed(status: int, message: str) -> Refusal:
    """The refusal of a head that the strict reader did not take, by the status it gave."""
    return Refusal(_MALFORMED.get(status, "request.malformed"), message)


def render_refusal(refusal: Refusal, *, kubernetes: bool, request_id: str, keep_alive: bool) -> tuple[bytes, bytes]:
    """Head and body; the answer to HEAD is the head alone."""
    body = _status(refusal) if kubernetes else _problem(refusal, request_id)
    content = json.dumps(body).encode()
    headers: Headers = [
        ("Content-Type", "application/json" if kubernetes else "application/problem+json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-Id", request_id),
        ("Connection", "keep-alive" if keep_alive else "close"),
    ]
    if refusal.status == 401:
        headers.append(("WWW-Authenticate", 'Bearer realm="paddock"'))
    if refusal.retry_after is not None:
        headers.append(("Retry-After", str(refusal.retry_after)))
    return render_response_head(refusal.status, HTTPStatus(refusal.status).phrase, headers), content


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
        "title": ERROR_CODES[refusal.code].title,
        "status": refusal.status,
        "detail": refusal.message,
        "code": refusal.code,
        "params": {},
        "errors": [],
        "request_id": request_id,
    }
