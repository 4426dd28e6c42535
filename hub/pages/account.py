"""One's own account: name, password, second factor, and the browsers one is logged in with.

What a stranger at a browser left open must not do asks for the password or a code again; only a login by a one-time link is
taken as it is for some minutes, because whoever uses one has nothing else left.
"""

from collections.abc import Callable
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from hub.core.access import Actor
from hub.core.errors import HubError, define
from hub.identity.models import LoginMethod, Session, User
from hub.identity.second_factor import (
    begin_enrolment,
    check_second_factor,
    confirm_enrolment,
    count_recovery_codes,
    pending_enrolment,
    remove_second_factor,
    replace_recovery_codes,
)
from hub.identity.services import change_own_password, check_own_password, set_display_name, set_password
from hub.identity.sessions import end_sessions, idle_limit, is_fresh

from .base import faults_of, page, peer_of_request, render_page, require_session, safe_return_to, see_other
from .browsers import browser_name
from .languages import language_of
from .texts import text_of

ACCOUNT = "/account"
SECOND_FACTOR = "/account/second-factor"
NAME_LIMIT = 200

define("password.not_repeated", 400, "The two new passwords are not the same")


@page("GET")
@require_session
def account(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account``"""
    user = session.user
    live = Session.objects.live(idle_limit()).filter(user=user).order_by("-last_seen_at")
    context = {
        "user": user,
        "is_local": _is_local(user),
        "may_rename": not user.identities.exists(),
        "codes_left": count_recovery_codes(user),
        "sessions": [
            {"row": row, "browser": browser_name(row.user_agent), "current": row.pk == session.pk} for row in live
        ],
        "done": _done(request),
    }
    return render_page(request, "pages/account.html", context)


@page("POST")
@require_session
def name(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account/name``: how one is called; the provider's to say for who comes by one."""
    user = session.user
    wanted = " ".join(request.POST.get("display_name", "").split())[:NAME_LIMIT]
    if user.identities.exists():
        raise HubError("request.denied")
    if wanted != user.display_name and wanted.isprintable():
        set_display_name(actor, user, wanted)
    return see_other(f"{ACCOUNT}?done=name")


@page("GET", "POST")
@require_session
def password(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account/password``: the one page of somebody whose password was set by another."""
    user = session.user
    return_to = safe_return_to(
        request.POST.get("return_to") or request.GET.get("return_to"), f"{ACCOUNT}?done=password"
    )
    asks_current = not (_comes_by_link(session) or (user.must_change_password and is_fresh(session)))
    faults: dict[str, str] = {}
    status = 200
    if not _is_local(user) and not _comes_by_link(session):
        raise HubError("password.none")
    if request.method == "POST":
        try:
            _change_password(request, actor, user, asks_current)
        except HubError as error:
            faults, status = faults_of(request, error), error.status
        else:
            return see_other(return_to)
    context = {
        "user": user,
        "asks_current": asks_current,
        "asks_new_first": not asks_current,
        "return_to": return_to,
        "faults": faults,
    }
    return render_page(request, "pages/password.html", context, status)


@page("GET", "POST")
@require_session
def second_factor(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account/second-factor``: a POST with ``code`` confirms what one without it has begun."""
    user = session.user
    if not _is_local(user):
        raise HubError("password.none")
    faults: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            if "code" in request.POST:
                codes = confirm_enrolment(actor, user, request.POST["code"], peer=peer_of_request())
                return _show_codes(request, codes)
            if not _comes_by_link(session):
                check_own_password(user, request.POST.get("current", ""), peer=peer_of_request())
            begin_enrolment(actor, user)
            return see_other(SECOND_FACTOR)
        except HubError as error:
            faults, status = faults_of(request, error), error.status
    context = {
        "user": user,
        "enrolment": pending_enrolment(user),
        "codes_left": count_recovery_codes(user),
        "asks_proof": not _comes_by_link(session),
        "faults": faults,
    }
    return render_page(request, "pages/own_second_factor.html", context, status)


@page("GET", "POST")
@require_session
def remove(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account/second-factor/remove``"""

    def act() -> HttpResponse:
        remove_second_factor(actor, session.user)
        return see_other(f"{ACCOUNT}?done=second_factor_removed")

    return _after_code(request, session, "pages/remove_second_factor.html", act)


@page("GET", "POST")
@require_session
def recovery_codes(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account/recovery-codes``: new ones; the old ones end."""
    return _after_code(
        request,
        session,
        "pages/replace_codes.html",
        lambda: _show_codes(request, replace_recovery_codes(actor, session.user)),
    )


@page("POST")
@require_session
def end(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/account/sessions/end``: the session ``id``, or all others without one."""
    own = Session.objects.filter(user=session.user)
    chosen = request.POST.get("id", "")
    if chosen:
        try:
            end_sessions(actor, own.filter(pk=UUID(chosen)), "logged_out")
        except ValueError:
            raise HubError("object.not_found", resource="sessions") from None
    else:
        end_sessions(actor, own.besides(session.pk), "logged_out")
    return see_other(f"{ACCOUNT}?done=sessions")


def _change_password(request: HttpRequest, actor: Actor, user: User, asks_current: bool) -> None:
    new = request.POST.get("new", "")
    if new != request.POST.get("again", ""):
        raise HubError("password.not_repeated", pointer="/again")
    if asks_current:
        change_own_password(actor, user, request.POST.get("current", ""), new, peer=peer_of_request())
    else:
        set_password(actor, user, new, pointer="/new")


def _after_code(request: HttpRequest, session: Session, template: str, act: Callable[[], HttpResponse]) -> HttpResponse:
    """Asks for a code of the second factor, then acts."""
    user = session.user
    if not user.has_second_factor:
        return see_other(SECOND_FACTOR)
    asks_proof = not _comes_by_link(session)
    faults: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        try:
            if asks_proof:
                check_second_factor(user, request.POST.get("code", ""), peer=peer_of_request())
            return act()
        except HubError as error:
            faults, status = faults_of(request, error), error.status
    return render_page(request, template, {"user": user, "asks_proof": asks_proof, "faults": faults}, status)


def _show_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return render_page(request, "pages/recovery_codes.html", {"codes": codes})


def _is_local(user: User) -> bool:
    return bool(user.password_hash)


def _comes_by_link(session: Session) -> bool:
    return session.method == LoginMethod.LINK and is_fresh(session)


def _done(request: HttpRequest) -> str:
    """What a form that has led here has done, in words."""
    what = request.GET.get("done", "")
    known = {"name", "password", "sessions", "second_factor_removed"}
    return text_of(language_of(request), f"account.done.{what}") if what in known else ""
