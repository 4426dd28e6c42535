"""Logging in and out in a browser: name and password, the second factor, the one-time link, and the way to a provider."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from hub.core.environment import environment
from hub.core.errors import HubError
from hub.identity.login_links import find_login_link, use_login_link
from hub.identity.logins import authenticate_password
from hub.identity.models import IdentityProvider, Session, User
from hub.identity.second_factor import check_second_factor, find_user_of_ticket, issue_ticket
from hub.identity.sessions import COOKIE, end_session, start_session

from .base import (
    PASSWORD_PATH,
    address,
    faults_of,
    page,
    peer_of_request,
    render_page,
    safe_return_to,
    see_other,
    session_of,
)
from .forms import delete_cookie, set_cookie
from .languages import language_of
from .provider_logout import logged_out_page, remember_logout
from .texts import text_of

TICKET_COOKIE = "__Host-paddock-ticket"


@page("GET", "POST")
def login(request: HttpRequest) -> HttpResponse:
    """``/login``: the form of local users, and a button for each provider."""
    return_to = safe_return_to(request.POST.get("return_to") or request.GET.get("return_to"))
    if request.method != "POST":
        return see_other(return_to) if session_of(request) else _login_form(request, return_to)
    try:
        user = authenticate_password(
            request.POST.get("username", "").strip(), request.POST.get("password", ""), peer=peer_of_request()
        )
    except HubError as error:
        return _login_form(request, return_to, faults_of(request, error), error.status)
    if user is None:
        fault = text_of(language_of(request), "login.wrong")
        return _login_form(request, return_to, {"password": fault}, 403)
    if user.has_second_factor:
        response = see_other(address("/login/second-factor", return_to=return_to))
        set_cookie(response, TICKET_COOKIE, issue_ticket(user))
        return response
    return let_in(request, user, return_to)


@page("GET", "POST")
def second_factor(request: HttpRequest) -> HttpResponse:
    """``/login/second-factor``: for who has shown his password a moment ago."""
    return_to = safe_return_to(request.POST.get("return_to") or request.GET.get("return_to"))
    user = find_user_of_ticket(request.COOKIES.get(TICKET_COOKIE, ""))
    if user is None or not user.has_second_factor:
        return see_other(address("/login", return_to=return_to))
    faults: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            check_second_factor(user, request.POST.get("code", ""), peer=peer_of_request())
        except HubError as error:
            faults, status = faults_of(request, error), error.status
        else:
            return let_in(request, user, return_to)
    context = {"return_to": return_to, "faults": faults, "username": user.username}
    return render_page(request, "pages/second_factor.html", context, status)


@page("GET", "POST")
def link(request: HttpRequest, text: str) -> HttpResponse:
    """``/login/link/<text>``: asks before it logs in, because addresses are opened by more than people."""
    if request.method != "POST":
        found = find_login_link(text, peer=peer_of_request())
        return render_page(request, "pages/login_link.html", {"username": found.user.username})
    _end_earlier(request)
    used = use_login_link(text, peer=peer_of_request(), user_agent=request.headers.get("User-Agent", ""))
    return _with_session(used.session, used.cookie, safe_return_to(None))


@page("GET", "POST")
def logout(request: HttpRequest) -> HttpResponse:
    """``/logout``: ends the session on the hub, so that its cookie is worth nothing wherever it was copied to (SEC-47)."""
    found = session_of(request)
    if request.method == "POST" and found is not None:
        actor, session = found
        end_session(actor, session, "logged_out")
        response = see_other("/logout")
        remember_logout(response, session)
    elif found is None:
        response = logged_out_page(request)
    else:
        return render_page(request, "pages/logout.html")
    delete_cookie(response, COOKIE)
    delete_cookie(response, TICKET_COOKIE)
    return response


def let_in(request: HttpRequest, user: User, return_to: str, **rest: Any) -> HttpResponse:
    """Logs the user in in this browser: a new session under a new key, whatever the browser had before (SEC-54).

    ``rest`` goes to ``start_session``. Who has to change his password is sent there first.
    """
    _end_earlier(request)
    session, cookie = start_session(
        user, peer=peer_of_request(), user_agent=request.headers.get("User-Agent", ""), **rest
    )
    return _with_session(session, cookie, return_to)


def _login_form(
    request: HttpRequest, return_to: str, faults: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    providers = [
        {
            "title": provider.display_name or provider.name,
            "address": address(f"/login/{provider.name}", return_to=return_to),
        }
        for provider in IdentityProvider.objects.filter(is_enabled=True)
    ]
    context = {
        "return_to": return_to,
        "faults": faults or {},
        "username": request.POST.get("username", "")[:200],
        "providers": sorted(providers, key=lambda provider: provider["title"].casefold()),
        "local": environment().local_login == "shown",
    }
    return render_page(request, "pages/login.html", context, status)


def _end_earlier(request: HttpRequest) -> None:
    found = session_of(request)
    if found is not None:
        actor, session = found
        end_session(actor, session, "replaced")


def _with_session(session: Session, cookie: str, return_to: str) -> HttpResponse:
    must_change = session.user.must_change_password
    response = see_other(address(PASSWORD_PATH, return_to=return_to) if must_change else return_to)
    set_cookie(response, COOKIE, cookie)
    delete_cookie(response, TICKET_COOKIE)
    return response
