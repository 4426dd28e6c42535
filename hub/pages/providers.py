"""Logging in by an identity provider: where the browser is sent, and what it brings back.

What the answers mean is ``hub.identity.oidc``'s. Logging out is ``provider_logout``'s, the page on which an administrator
tests a provider ``provider_tests``'s.
"""

import logging
import secrets

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from hub.audit.models import Outcome
from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.core.errors import HubError, define
from hub.identity.models import IdentityProvider, SignOn
from hub.identity.oidc.external_users import finish_login
from hub.identity.oidc.flow import LoginRefused, Tokens, redeem_code
from hub.identity.oidc.provider_cache import ProviderUnavailable, metadata_of
from hub.identity.oidc.sign_on import begin_sign_on, remember_session, take_sign_on
from hub.identity.provider_drafts import finish_test_login
from hub.identity.sessions import COOKIE, authenticate_session

from .base import page, safe_return_to, see_other
from .forms import set_cookie
from .login import let_in

log = logging.getLogger(__name__)

BROWSER_COOKIE = "__Host-paddock-sign-on"

define("login.provider_unknown", 404, "There is no such identity provider")
define("login.provider_unavailable", 503, "The identity provider does not answer; who is logged in stays so")
define("login.provider_refused", 403, "The identity provider did not confirm the login")


@page("GET")
def begin(request: HttpRequest, name: str) -> HttpResponse:
    """``/login/<provider>``: sends the browser there."""
    provider = IdentityProvider.objects.filter(name=name, is_enabled=True).first()
    if provider is None:
        raise HubError("login.provider_unknown")
    return send_to_provider(request, provider, safe_return_to(request.GET.get("return_to")))


def send_to_provider(request: HttpRequest, provider: IdentityProvider, return_to: str, **rest: object) -> HttpResponse:
    """Begins a login; ``rest`` goes to ``begin_sign_on``. Raises HubError ``login.provider_unavailable``."""
    browser = request.COOKIES.get(BROWSER_COOKIE) or secrets.token_urlsafe(32)
    try:
        target = begin_sign_on(provider, browser, return_to, **rest)  # type: ignore[arg-type]
    except ProviderUnavailable as error:
        log.warning("login by %s: %s", provider.name, error.reason)
        raise HubError("login.provider_unavailable", retry_after=30) from error
    response = HttpResponseRedirect(target, status=303)
    set_cookie(response, BROWSER_COOKIE, browser, seconds=600)
    return response


@page("GET")
def callback(request: HttpRequest, name: str) -> HttpResponse:
    """``/login/<provider>/callback``: the provider's answer, by way of the browser."""
    sign_on = take_sign_on(request.GET.get("state", ""), request.COOKIES.get(BROWSER_COOKIE, ""), name)
    if sign_on.draft is not None:
        finish_test_login(sign_on, _answered_code(request))
        return see_other(f"/providers/test/{sign_on.draft.pk}")
    provider = sign_on.provider
    assert provider is not None
    tokens = _redeem(request, provider, sign_on)
    try:
        with transaction.atomic():
            user, identity = finish_login(provider, tokens)
            response = let_in(
                request,
                user,
                safe_return_to(sign_on.return_to),
                identity=identity,
                provider_session_id=tokens.id_token.session_id,
                id_token=tokens.id_token_text,
            )
            _remember(sign_on, response)
    except HubError as error:
        _record_refusal(provider, error.code, tokens.id_token.subject)
        raise
    return response


def _answered_code(request: HttpRequest) -> str:
    return "" if "error" in request.GET else request.GET.get("code", "")


def _redeem(request: HttpRequest, provider: IdentityProvider, sign_on: SignOn) -> Tokens:
    """Raises HubError ``login.provider_refused`` or ``login.provider_unavailable``."""
    try:
        _check_issuer(request, provider)
        code = _answered_code(request)
        if not code:
            raise LoginRefused("the provider sent no code")
        return redeem_code(provider, code, nonce=sign_on.nonce, code_verifier=sign_on.code_verifier)
    except LoginRefused as error:
        log.warning("login by %s: %s", provider.name, error.reason)
        _record_refusal(provider, error.reason)
        raise HubError("login.provider_refused") from error
    except ProviderUnavailable as error:
        log.warning("login by %s: %s", provider.name, error.reason)
        raise HubError("login.provider_unavailable", retry_after=30) from error


def _check_issuer(request: HttpRequest, provider: IdentityProvider) -> None:
    """An answer that names its issuer (RFC 9207) names this one. Raises LoginRefused and ProviderUnavailable."""
    named = request.GET.get("iss")
    if named is None and metadata_of(provider.issuer, provider.ca_pem).names_itself:
        raise LoginRefused("the answer does not name its issuer")
    if named is not None and named != provider.issuer:
        raise LoginRefused("the answer is another issuer's")


def _record_refusal(provider: IdentityProvider, reason: str, subject: str = "") -> None:
    detail = {"reason": reason, **({"subject": subject} if subject else {})}
    record(SYSTEM, "login", "identity-providers", provider, outcome=Outcome.DENIED, detail=detail)


def _remember(sign_on: SignOn, response: HttpResponse) -> None:
    found = authenticate_session(response.cookies[COOKIE].value)
    if found is not None:
        remember_session(sign_on, found[1])


urlpatterns: list[URLPattern] = [
    path("login/<str:name>", begin, name="login-provider"),
    path("login/<str:name>/callback", callback, name="login-provider-callback"),
]
