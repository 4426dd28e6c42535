"""Logging out on both sides: the provider tells the hub by its back channel, and the hub sends a browser to the provider.

OpenID Connect Back-Channel Logout 1.0 and RP-Initiated Logout 1.0 (SEC-47, SEC-53).
"""

import datetime
import hashlib
import time
from urllib.parse import urlencode

from django.db import transaction
from django.utils import timezone

from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.core.errors import HubError, define
from hub.identity.models import IdentityProvider, SeenLogoutToken, Session
from hub.identity.sessions import end_sessions

from .flow import audience_of
from .provider_cache import ProviderUnavailable, keys_of, metadata_of
from .token_checks import LogoutToken, TokenRefused, check_logout_token

define("logout.token_refused", 400, "The logout token is not to be believed")
define("logout.repeated", 400, "The logout token has been taken already")
define("logout.unavailable", 503, "The provider's keys cannot be had now; send the logout token again")


def end_sessions_by_token(provider: IdentityProvider, text: str) -> int:
    """Ends the sessions that a logout token names, with the tokens derived from them; how many.

    With a ``sid`` those of that login there, else all of the subject. Raises HubError ``logout.token_refused``,
    ``logout.repeated`` or ``logout.unavailable``.
    """
    try:
        keys = keys_of(provider.issuer, provider.ca_pem)
        token = check_logout_token(text, keys, audience_of(provider), now=time.time())
    except TokenRefused as error:
        raise HubError("logout.token_refused", reason=error.reason) from error
    except ProviderUnavailable as error:
        raise HubError("logout.unavailable", retry_after=10) from error
    named = Session.objects.filter(identity__provider=provider)
    if token.subject:
        named = named.filter(identity__subject=token.subject)
    if token.session_id:
        named = named.filter(provider_session_id=token.session_id)
    with transaction.atomic():
        _take_once(provider, token)
        return end_sessions(SYSTEM, named, "provider_logout")


def provider_logout_address(session: Session) -> str | None:
    """Where the session's browser is sent so that the provider logs the user out too; None when there is no such place.

    Raises ProviderUnavailable.
    """
    if session.identity is None or not session.identity.provider.is_enabled:
        return None
    provider = session.identity.provider
    endpoint = metadata_of(provider.issuer, provider.ca_pem).end_session_endpoint
    if not endpoint:
        return None
    query = {"client_id": provider.client_id, "post_logout_redirect_uri": post_logout_redirect_uri()}
    hint = session.id_token.reveal()
    if hint:
        query["id_token_hint"] = hint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def post_logout_redirect_uri() -> str:
    """The one address to which a provider sends browsers back after a logout there; nothing of a request is in it."""
    return f"{environment().url}/logout"


def back_channel_uri(provider_name: str) -> str:
    """Where the provider tells the hub of a logout."""
    return f"{environment().url}/logout/{provider_name}/backchannel"


def delete_expired_logout_tokens(age: datetime.timedelta, *, batch: int = 1000) -> int:
    """Retention: forgets one batch of logout tokens that have been refused by their age alone for ``age``; how many."""
    old = SeenLogoutToken.objects.filter(expires_at__lt=timezone.now() - age).values("pk")[:batch]
    deleted, _ = SeenLogoutToken.objects.filter(pk__in=old).delete()
    return deleted


def _take_once(provider: IdentityProvider, token: LogoutToken) -> None:
    id = hashlib.sha256(f"{provider.issuer}\0{token.jti}".encode()).digest()
    expires_at = datetime.datetime.fromtimestamp(token.expires_at, datetime.UTC)
    _, is_new = SeenLogoutToken.objects.get_or_create(pk=id, defaults={"expires_at": expires_at})
    if not is_new:
        raise HubError("logout.repeated")
