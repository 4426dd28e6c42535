"""What every page stands on: who looks at it, how it is rendered, and the headers that keep it from harm.

A view is marked with ``page``, which takes the methods it has and shows a failure as a page; one that needs a login also
with ``require_session``.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string

from hub.core.access import Actor
from hub.core.errors import HubError
from hub.core.requests import request_context
from hub.identity.models import Session
from hub.identity.sessions import COOKIE, authenticate_session

from . import languages
from .forms import check_form, form_proof, remember_browser
from .texts import TEXTS, error_text

__all__ = [
    "address",
    "check_form",
    "faults_of",
    "page",
    "peer_of_request",
    "render_page",
    "require_session",
    "safe_return_to",
    "see_other",
    "session_of",
]

DEFAULT_TARGET = "/account"
PASSWORD_PATH = "/account/password"  # noqa: S105  # a path
TARGET_LIMIT = 500
SEE_OTHER = 303
# What cannot lead away: a path of one's own, without what browsers read as a slash, and without control characters.
_OWN_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*", re.ASCII)
_ENCODED_TRAP = re.compile(r"%(?:2f|5c|0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)
_ALL_SOURCES = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_SAFETY = {
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SESSION = "_paddock_session"
_UNKNOWN = object()

View = Callable[..., HttpResponse]


def session_of(request: HttpRequest) -> tuple[Actor, Session] | None:
    """Who is logged in in this browser; asked once per request."""
    found: Any = getattr(request, _SESSION, _UNKNOWN)
    if found is _UNKNOWN:
        found = authenticate_session(request.COOKIES.get(COOKIE, ""))
        setattr(request, _SESSION, found)
    return found  # type: ignore[no-any-return]


def page(*methods: str) -> Callable[[View], View]:
    """Marks a view with the methods it has. A POST has passed ``check_form``; a HubError becomes a page that explains it."""

    allowed = (*methods, "HEAD") if "GET" in methods else methods

    def mark(view: View) -> View:
        @functools.wraps(view)
        def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            try:
                if request.method == "POST":
                    check_form(request)
                return view(request, **kwargs)
            except HubError as error:
                return render_error(request, error)

        answer.methods = methods  # type: ignore[attr-defined]  # read by the test of all routes
        return answer

    return mark


def require_session(view: View) -> View:
    """For views of somebody who is logged in: ``view(request, actor, session)``. Others are sent to the login first, and
    who has to change his password is sent there.
    """

    @functools.wraps(view)
    def answer(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        found = session_of(request)
        if found is None:
            wanted = request.get_full_path() if request.method == "GET" else request.path
            return see_other(address("/login", return_to=wanted))
        actor, session = found
        if session.user.must_change_password and request.path != PASSWORD_PATH:
            return see_other(PASSWORD_PATH)
        return view(request, actor, session, **kwargs)

    return answer


def safe_return_to(text: str | None, default: str = DEFAULT_TARGET) -> str:
    """``text`` when it is a path of the hub, else ``default``: nobody is led elsewhere by a link to the hub (SEC-55)."""
    if not text or len(text) > TARGET_LIMIT or not _OWN_PATH.fullmatch(text) or _ENCODED_TRAP.search(text):
        return default
    return text


def address(path: str, *, return_to: str = DEFAULT_TARGET) -> str:
    """A path of the hub that leads on to ``return_to`` when it is done."""
    return path if return_to == DEFAULT_TARGET else f"{path}?{urlencode({'return_to': return_to})}"


def see_other(target: str) -> HttpResponse:
    """Goes on with a GET, so that going back or reloading sends no form again. ``target`` is the hub's own."""
    return HttpResponseRedirect(target, status=SEE_OTHER)


def peer_of_request() -> str:
    """The client's address."""
    return request_context().source_ip


def render_page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    status: int = 200,
    *,
    form_targets: Iterable[str] = (),
) -> HttpResponse:
    """The template (``pages/login.html``) in the language of the one who looks at it.

    ``form_targets`` are origins to which the answer to a form on this page may redirect, beside the hub itself: browsers
    hold that against the policy of the page with the form.
    """
    language = languages.language_of(request)
    found = session_of(request)
    content = render_to_string(
        template,
        {
            **(context or {}),
            "language": language,
            "html_language": {"zh": "zh-Hans"}.get(language, language),
            "other_languages": _other_languages(request, language),
            "csrf": form_proof(request, has_session=found is not None),
            "viewer": found[1].user if found else None,
        },
    )
    response = HttpResponse(content, status=status)
    for name, value in _SAFETY.items():
        response[name] = value
    response["Content-Security-Policy"] = _policy(form_targets)
    response["Content-Language"] = language
    remember_browser(request, response)
    chosen = languages.chosen_language(request)
    if chosen is not None:
        response.set_cookie(
            languages.COOKIE, chosen, max_age=languages.COOKIE_SECONDS, secure=True, httponly=True, samesite="Lax"
        )
    return response


def render_error(request: HttpRequest, error: HubError) -> HttpResponse:
    """What failed, why, and the request id to ask about."""
    language = languages.language_of(request)
    context = {"message": error_text(language, error), "request_id": request_context().request_id}
    response = render_page(request, "pages/error.html", context, status=error.status)
    if "retry_after" in error.params:
        response["Retry-After"] = str(error.params["retry_after"])
    return response


def faults_of(request: HttpRequest, error: HubError) -> dict[str, str]:
    """What to say beside which field of the form that was sent; under "" what concerns the form as a whole."""
    return {(error.pointer or "").removeprefix("/"): error_text(languages.language_of(request), error)}


def _policy(form_targets: Iterable[str]) -> str:
    sources = {**_ALL_SOURCES, "form-action": " ".join(["'self'", *form_targets])}
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def _other_languages(request: HttpRequest, current: str) -> list[tuple[str, str, str]]:
    """(language, its own name, this page in it); a page that answers a form is asked for again by its address."""
    found = []
    for language in TEXTS:
        if language != current:
            query = request.GET.copy()
            query[languages.PARAMETER] = language
            found.append((language, TEXTS[language]["language.name"], f"{request.path}?{query.urlencode()}"))
    return found
