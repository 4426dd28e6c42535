"""The entrance of every request: whose it is in logs and audit, and what is refused before anything is read.

Only the stream server can reach the unix socket, so only there are ``X-Request-Id`` and ``X-Forwarded-For`` believed.
"""

import ipaddress
from collections.abc import Callable, Iterable

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from hub.core.errors import HubError, define
from hub.core.requests import bind_request
from hub.identity.token_format import API_TOKEN, SESSION

from .problems import error_of, problem_response

BODY_LIMIT = 1024 * 1024
TOKEN_PARAMETERS = frozenset({"access_token", "api_key", "apikey", "auth", "authorization", "bearer", "token"})
TOKEN_STARTS = (f"{API_TOKEN}_", f"{SESSION}_")

define("body.too_large", 413, "The body is too large")
define("body.length_missing", 411, "The length of the body must be told")

Handler = Callable[[HttpRequest], HttpResponse | StreamingHttpResponse]


class EntranceMiddleware:
    """Binds the request context, refuses oversized bodies unread, and marks every answer with the request id."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        relayed = came_by_socket(request)
        offered = request.headers.get("X-Request-Id") if relayed else None
        with bind_request(offered, _source_ip(request, relayed)) as context:
            try:
                _check_length(request)
                _check_query(request)
                response = self._get_response(request)
            except HubError as error:
                response = problem_response(error_of(error))
            response["X-Request-Id"] = context.request_id
            response["X-Content-Type-Options"] = "nosniff"
            response.setdefault("Cache-Control", "no-store")
            _frame(response, request.method == "HEAD")
            return response


def _frame(response: HttpResponse | StreamingHttpResponse, head_only: bool) -> None:
    """What is whole says its length, or the server would send it in chunks; what is made while it is sent comes in those.
    To HEAD the server would send whatever it is given.
    """
    if isinstance(response, StreamingHttpResponse):
        if head_only:
            response.streaming_content = iter(())
        return
    response["Content-Length"] = str(len(response.content))
    if head_only:
        response.content = b""


def came_by_socket(request: HttpRequest) -> bool:
    """Whether the peer is a process of this machine that may open the hub's unix socket (it has no address then)."""
    return not request.META.get("REMOTE_ADDR")


def _source_ip(request: HttpRequest, relayed: bool) -> str:
    address = request.headers.get("X-Forwarded-For", "") if relayed else request.META["REMOTE_ADDR"]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""


def _check_length(request: HttpRequest) -> None:
    """Raises HubError. A body without length would be read as empty, so it is refused."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise HubError("body.length_missing")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise HubError("body.length_missing")
    if len(length) > 9 or int(length) > BODY_LIMIT:
        raise HubError("body.too_large", limit=BODY_LIMIT)


def _check_query(request: HttpRequest) -> None:
    """URLs end in logs, histories and referers (SEC-11)."""
    for name, values in request.GET.lists():
        if name.lower() in TOKEN_PARAMETERS or _holds_token(values):
            raise HubError("request.token_in_query")


def _holds_token(values: Iterable[str]) -> bool:
    return any(start in value for value in values for start in TOKEN_STARTS)
