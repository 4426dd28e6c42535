"""Forms prove that they come from a page of the hub (SEC-54, SEC-71).

With a session the proof is the session's own (``hub.identity.sessions``); before there is one, it belongs to a random
cookie that this browser alone has, so that nobody can log a browser in as somebody else.
"""

import hashlib
import hmac
import secrets

from django.http import HttpRequest, HttpResponse

from hub.core.errors import HubError
from hub.core.keys import key_ring
from hub.identity.sessions import COOKIE as SESSION_COOKIE
from hub.identity.sessions import authenticate_session, check_csrf, check_origin, csrf_token

FIELD = "csrf"
BROWSER_COOKIE = "__Host-paddock-browser"
_NEW_BROWSER = "_paddock_new_browser"


def form_proof(request: HttpRequest, *, has_session: bool) -> str:
    """The value of the hidden field ``csrf`` of a form on the page that answers this request."""
    if has_session:
        return csrf_token(request.COOKIES[SESSION_COOKIE])
    return _proof_of(_browser(request))


def remember_browser(request: HttpRequest, response: HttpResponse) -> None:
    """Sets the cookie to which ``form_proof`` has bound the page's forms, if this browser did not have it."""
    browser = getattr(request, _NEW_BROWSER, None)
    if browser is not None:
        set_cookie(response, BROWSER_COOKIE, browser)


def check_form(request: HttpRequest) -> None:
    """For each POST of a form. Raises HubError ``request.origin_foreign`` or ``session.csrf``."""
    headers = request.headers
    check_origin(headers.get("Origin"), headers.get("Sec-Fetch-Site"), request.get_host())
    offered = request.POST.get(FIELD, "")
    text = request.COOKIES.get(SESSION_COOKIE, "")
    if authenticate_session(text) is not None:
        check_csrf(text, offered)
        return
    browser = request.COOKIES.get(BROWSER_COOKIE, "")
    if not browser or not hmac.compare_digest(_proof_of(browser).encode(), offered.encode()):
        raise HubError("session.csrf")


def set_cookie(response: HttpResponse, name: str, value: str, *, seconds: int | None = None) -> None:
    """A cookie that only the hub gets, only by HTTPS, and no script reads; gone with the browser unless ``seconds`` say
    otherwise.
    """
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def delete_cookie(response: HttpResponse, name: str) -> None:
    """Takes a cookie back. ``__Host-`` cookies are only taken back as they were set: by HTTPS and for all paths."""
    set_cookie(response, name, "", seconds=0)


def _browser(request: HttpRequest) -> str:
    known = request.COOKIES.get(BROWSER_COOKIE) or getattr(request, _NEW_BROWSER, None)
    if known is None:
        known = secrets.token_urlsafe(32)
        setattr(request, _NEW_BROWSER, known)
    return known


def _proof_of(browser: str) -> str:
    return hmac.new(key_ring().signing, b"form\0" + browser.encode(), hashlib.sha256).hexdigest()
