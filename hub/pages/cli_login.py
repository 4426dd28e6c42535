"""The pages that let a program in: ``/device``, where its code is typed, and ``/cli-login``, where a browser is sent by it.

Both end at the same question, which shows who asks, for how long and for what; the answer belongs to the session that gives
it. A login by device code is named in each form by its typed code, never by an id, so that no link can bring somebody to
the question (SEC-54).
"""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from hub.core.access import Actor
from hub.core.errors import HubError
from hub.identity.cli_logins import approve, deny, find_browser_login, find_typed_login
from hub.identity.models import CliLogin, Session
from hub.identity.token_scope import parse_scope

from .base import page, peer_of_request, render_page, require_session
from .languages import language_of
from .texts import error_text, text_of

CODE_LIMIT = 40


@page("GET", "POST")
@require_session
def device(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/device``: the code is typed, the question is shown, and the answer comes back with the code."""
    if request.method != "POST":
        return render_page(request, "pages/device.html")
    typed = request.POST.get("user_code", "")[:CODE_LIMIT]
    try:
        login = find_typed_login(session, typed, peer_of_request())
    except HubError as error:
        return _ask_again(request, typed, error)
    answer = request.POST.get("answer")
    if answer is None:
        return _ask(request, login, {"user_code": login.user_code})
    return _answer(request, actor, session, login, answer)


@page("GET", "POST")
@require_session
def cli_login(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/cli-login?id=``: the question to the browser that the program on this machine has opened."""
    values = request.POST if request.method == "POST" else request.GET
    login = _find(values.get("id", ""))
    if request.method != "POST":
        return _ask(request, login, {"id": str(login.pk)})
    return _answer(request, actor, session, login, request.POST.get("answer", ""))


def _find(text: str) -> CliLogin:
    try:
        login = find_browser_login(UUID(text))
    except ValueError:
        login = None
    if login is None:
        raise HubError("cli_login.unknown")
    return login


def _ask_again(request: HttpRequest, typed: str, error: HubError) -> HttpResponse:
    context = {"typed": typed, "fault": error_text(language_of(request), error)}
    response = render_page(request, "pages/device.html", context, status=error.status)
    if "retry_after" in error.params:
        response["Retry-After"] = str(error.params["retry_after"])
    return response


def _ask(request: HttpRequest, login: CliLogin, named_by: dict[str, str | None]) -> HttpResponse:
    hours, minutes = divmod(login.lifetime_seconds // 60, 60)
    context = {
        "login": login,
        "named_by": named_by,
        "is_here": login.peer == peer_of_request(),
        "hours": hours,
        "minutes": minutes,
        "scope": _scope_lines(language_of(request), login),
    }
    targets = [login.redirect_uri[: login.redirect_uri.index("/", len("http://"))]] if login.redirect_uri else []
    return render_page(request, "pages/cli_confirm.html", context, form_targets=targets)


def _answer(request: HttpRequest, actor: Actor, session: Session, login: CliLogin, answer: str) -> HttpResponse:
    """Anything but a yes is a no."""
    approved = answer == "approve"
    target = approve(actor, session, login) if approved else deny(actor, login)
    if target is not None:
        return _Loopback(target)
    return render_page(request, "pages/cli_answered.html", {"approved": approved})


def _scope_lines(language: str, login: CliLogin) -> list[str]:
    scope = parse_scope(login.scope)
    lines = [text_of(language, "cli.scope_read_only" if scope.read_only else "cli.scope_all")]
    if scope.verbs is not None:
        lines.append(text_of(language, "cli.scope_verbs", verbs=", ".join(sorted(scope.verbs)) or "–"))
    if scope.projects is not None:
        lines.append(text_of(language, "cli.scope_projects", count=len(scope.projects)))
    if scope.clusters is not None:
        lines.append(text_of(language, "cli.scope_clusters", count=len(scope.clusters)))
    return lines


class _Loopback(HttpResponseRedirect):
    """To the program on this machine; its address was checked when the login began."""

    allowed_schemes = ["http"]
    status_code = 303
