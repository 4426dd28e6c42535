"""What supervisors and monitoring ask, outside ``/api``: is the process alive, can it serve, how is the hub doing.

``/livez`` and ``/readyz`` are open and tell nothing of what the hub holds. ``/metrics`` names clusters, so it is for
administrators, and for whoever is on this machine and may open the unix socket.
"""

from django.db import DatabaseError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.request import Request

from hub.core.access import HUB_SCOPE, can
from hub.core.errors import HubError
from hub.core.startup import keys_open

from .authentication import BearerAuthentication
from .metrics import CONTENT_TYPE, render_metrics
from .middleware import came_by_socket
from .openapi import openapi_of_process
from .problems import error_of, problem_response

READ_METHODS = ("GET", "HEAD")


def livez(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return _refuse_method(request) or JsonResponse({"alive": True})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when requests can be served, else 503 naming what is missing."""
    refusal = _refuse_method(request)
    if refusal is not None:
        return refusal
    missing = find_missing()
    return JsonResponse({"ready": not missing, "missing": missing}, status=503 if missing else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text form."""
    refusal = _refuse_method(request)
    if refusal is not None:
        return refusal
    try:
        _check_scraper(request)
        return HttpResponse(render_metrics(), content_type=CONTENT_TYPE)
    except Exception as failure:
        return _problem(failure)


def openapi(request: HttpRequest) -> HttpResponse:
    """The description of the API, open to all: it is the same for everybody."""
    return _refuse_method(request) or JsonResponse(openapi_of_process())


def find_missing() -> list[str]:
    """What keeps this process from serving: ``database``, ``schema`` (not migrated), ``keys``."""
    try:
        return [] if keys_open() else ["keys"]
    except OperationalError:
        return ["database"]
    except DatabaseError:
        return ["schema"]
    except HubError:
        return ["keys"]


def _check_scraper(request: HttpRequest) -> None:
    """Raises HubError or AuthenticationFailed. What the stream server relays carries its client's address."""
    if came_by_socket(request) and "X-Forwarded-For" not in request.headers:
        return
    found = BearerAuthentication().authenticate(Request(request))
    if found is None:
        raise HubError("request.unauthenticated")
    if not can(found[0], "list", "audit-events", HUB_SCOPE).allowed:
        raise HubError("request.denied")


def _refuse_method(request: HttpRequest) -> HttpResponse | None:
    if request.method in READ_METHODS:
        return None
    response = problem_response(HubError("request.method_unknown"))
    response["Allow"] = ", ".join(READ_METHODS)
    return response


def _problem(failure: Exception) -> HttpResponse:
    response = problem_response(error_of(failure))
    if response.status_code == 401:
        response["WWW-Authenticate"] = BearerAuthentication.challenge
    return response
