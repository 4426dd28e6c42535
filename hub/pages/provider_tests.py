"""The pages on which an administrator tries a provider before anybody depends on it: settings, then the steps one by one."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from hub.core.access import HUB_SCOPE, Actor, can
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.identity.models import ProviderDraft, ProviderKind, Session
from hub.identity.oidc.flow import redirect_uri
from hub.identity.oidc.logout import back_channel_uri, post_logout_redirect_uri
from hub.identity.provider_drafts import (
    NEEDED,
    RESULTS,
    create_draft,
    find_draft,
    provider_of,
    save_draft,
    take_first_steps,
)
from hub.identity.providers import ProviderSettings

from .base import faults_of, page, render_page, require_session, see_other
from .languages import language_of
from .providers import send_to_provider
from .texts import text_of

FIELDS = ("kind", "name", "display_name", "issuer", "client_id", "groups_claim", "group_key", "ca_pem")


@page("GET", "POST")
@require_session
def start(request: HttpRequest, actor: Actor, session: Session) -> HttpResponse:
    """``/providers/test``: the settings of a new provider."""
    _check_right(actor, "create")
    if request.method != "POST":
        return _form(request, {"kind": "keycloak", "group_key": "path", "groups_claim": "groups"}, {}, 200)
    try:
        draft = create_draft(actor, _settings(request))
    except HubError as error:
        return _form(request, request.POST.dict(), faults_of(request, error), error.status)
    return see_other(f"/providers/test/{draft.pk}")


@page("GET", "POST")
@require_session
def show(request: HttpRequest, actor: Actor, session: Session, id: UUID) -> HttpResponse:
    """``/providers/test/<id>``: what was found so far, and what can be done next."""
    _check_right(actor, "create")
    draft = find_draft(id)
    wanted = request.POST.get("action", "") if request.method == "POST" else ""
    if wanted == "login":
        return send_to_provider(request, provider_of(draft), "/", draft=draft)
    if wanted == "check":
        take_first_steps(draft)
        return see_other(request.path)
    if wanted == "save":
        _check_right(actor, "update")
        provider = save_draft(actor, draft)
        return render_page(request, "pages/provider_saved.html", {"provider": provider})
    return _steps(request, draft)


def _check_right(actor: Actor, verb: str) -> None:
    if not can(actor, verb, "provider-tests", HUB_SCOPE).allowed:
        raise HubError("request.denied", verb=verb, resource="provider-tests")


def _settings(request: HttpRequest) -> ProviderSettings:
    sent: dict[str, Any] = {name: request.POST.get(name, "").strip() for name in FIELDS}
    return ProviderSettings(**sent, client_secret=request.POST.get("client_secret", ""))


def _form(request: HttpRequest, values: dict[str, str], faults: dict[str, str], status: int) -> HttpResponse:
    context = {"values": values, "faults": faults, "kinds": ProviderKind.choices, "url": environment().url}
    return render_page(request, "pages/provider_test.html", context, status)


def _steps(request: HttpRequest, draft: ProviderDraft) -> HttpResponse:
    language = language_of(request)
    steps = [
        {
            **step,
            "title": text_of(language, f"provider_test.step_{step['name']}"),
            "state_text": text_of(language, f"provider_test.state_{step['state']}"),
            "message": text_of(language, f"provider_test.{step['code']}", detail=step["detail"]),
            "fix": text_of(language, f"provider_test.{step['code']}.fix") if RESULTS[step["code"]][2] else "",
        }
        for step in draft.steps
    ]
    states = {step["name"]: step["state"] for step in draft.steps}
    name = draft.settings["name"]
    context = {
        "name": draft.settings["display_name"] or name,
        "steps": steps,
        "can_log_in": states.get("discovery") == "passed",
        "can_save": all(states.get(step) == "passed" for step in NEEDED),
        "redirect_uri": redirect_uri(name),
        "back_channel_uri": back_channel_uri(name),
        "post_logout_redirect_uri": post_logout_redirect_uri(),
    }
    # The button to log in leads to the provider, whose own pages may send the browser on.
    return render_page(request, "pages/provider_test_steps.html", context, form_targets=["https:"])


urlpatterns: list[URLPattern] = [
    path("providers/test", start, name="provider-test-start"),
    path("providers/test/<uuid:id>", show, name="provider-test"),
]
