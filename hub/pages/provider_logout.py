"""Logging out of an identity provider: it tells the hub by its back channel, and the hub sends a browser there."""

import logging

from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from hub.core.errors import HubError
from hub.identity.models import IdentityProvider, Session
from hub.identity.oidc.logout import end_sessions_by_token, provider_logout_address
from hub.identity.oidc.provider_cache import ProviderUnavailable

from .base import render_page
from .forms import delete_cookie, set_cookie

log = logging.getLogger(__name__)

LOGOUT_COOKIE = "__Host-paddock-provider-logout"
LOGOUT_SECONDS = 120
_LOGOUT_SALT = "provider-logout"


@csrf_exempt
def back_channel(request: HttpRequest, name: str) -> HttpResponse:
    """``/logout/<provider>/backchannel``: the provider itself says that somebody has logged out there. Believed by its
    signature alone.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    provider = IdentityProvider.objects.filter(name=name).first()
    if provider is None:
        return JsonResponse({"error": "invalid_request"}, status=404)
    try:
        ended = end_sessions_by_token(provider, request.POST.get("logout_token", ""))
    except HubError as error:
        log.warning("back channel of %s: %s", name, error)
        return JsonResponse({"error": "invalid_request", "error_description": error.title}, status=error.status)
    log.info("back channel of %s: %s sessions ended", name, ended)
    return HttpResponse(status=200)


back_channel.methods = ("POST",)  # type: ignore[attr-defined]  # read by the test of all routes


def remember_logout(response: HttpResponse, session: Session) -> None:
    """After a logout on the hub: this browser may go on to the provider of that session, within two minutes."""
    if session.identity is not None:
        set_cookie(response, LOGOUT_COOKIE, signing.dumps(str(session.pk), salt=_LOGOUT_SALT), seconds=LOGOUT_SECONDS)


def logged_out_page(request: HttpRequest) -> HttpResponse:
    """Says that the hub's session is over and, if it came of a provider, goes on there.

    By a header and a link: an answer to the form itself must not lead to another origin (the page's own policy).
    """
    session = _logged_out_session(request)
    try:
        target = provider_logout_address(session) if session is not None else None
    except ProviderUnavailable as error:
        log.warning("logout at the provider: %s", error.reason)
        target = None
    provider = session.identity.provider if session is not None and session.identity is not None else None
    response = render_page(request, "pages/logged_out.html", {"target": target, "provider": provider})
    if target is not None:
        response["Refresh"] = f"0; url={target}"
    delete_cookie(response, LOGOUT_COOKIE)
    return response


def _logged_out_session(request: HttpRequest) -> Session | None:
    try:
        id = signing.loads(request.COOKIES.get(LOGOUT_COOKIE, ""), salt=_LOGOUT_SALT, max_age=LOGOUT_SECONDS)
    except signing.BadSignature:
        return None
    ended = Session.objects.filter(pk=id, ended_at__isnull=False)
    return ended.select_related("identity__provider").first()


urlpatterns: list[URLPattern] = [
    path("logout/<str:name>/backchannel", back_channel, name="logout-provider-back-channel"),
]
