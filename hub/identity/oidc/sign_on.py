"""A login at a provider that is under way: begun in a browser, answered once and in that browser alone (SEC-54).

Nothing about it is in the browser but a random cookie and the state that travels through the provider. The row remembers
which provider was asked, so an answer that comes by another's address is none; and what the nonce and the PKCE verifier are.
"""

import datetime
import hashlib
import hmac
import secrets

from django.db import transaction
from django.utils import timezone

from hub.core.access import SYSTEM
from hub.core.errors import HubError, define
from hub.identity.models import IdentityProvider, ProviderDraft, Session, SignOn
from hub.identity.sessions import end_session

from .flow import authorization_address

LIFETIME = datetime.timedelta(minutes=10)

define("sign_on.unknown", 400, "The login is not known, has taken too long, or was begun in another browser")
define("sign_on.repeated", 400, "The login has been answered already")


def begin_sign_on(
    provider: IdentityProvider, browser: str, return_to: str, *, draft: ProviderDraft | None = None
) -> str:
    """The provider's address to send the browser to; ``browser`` is the secret of its cookie.

    ``provider`` is not saved when it is tested (``draft``). Raises ProviderUnavailable.
    """
    state, nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    address = authorization_address(provider, state=state, nonce=nonce, code_verifier=verifier)
    SignOn.objects.create(
        id=_hash(state),
        provider=None if draft else provider,
        draft=draft,
        browser_hash=_hash(browser),
        nonce=nonce,
        code_verifier=verifier,
        return_to=return_to,
        expires_at=timezone.now() + LIFETIME,
    )
    return address


def take_sign_on(state: str, browser: str, provider_name: str) -> SignOn:
    """The login that this answer belongs to; nobody can take it again.

    Raises HubError ``sign_on.unknown``, or ``sign_on.repeated`` for one that was taken: then the session that came of it
    ends, because somebody else may have got hold of the answer.
    """
    with transaction.atomic():
        row = (
            SignOn.objects.select_for_update(of=("self",))
            .select_related("provider", "draft", "session")
            .filter(pk=_hash(state))
            .first()
        )
        if row is None or row.expires_at <= timezone.now() or _name(row) != provider_name:
            raise HubError("sign_on.unknown")
        is_repeated = row.used_at is not None
        if is_repeated:
            if row.session is not None:
                end_session(SYSTEM, row.session, "sign_on_repeated")
        elif not hmac.compare_digest(bytes(row.browser_hash), _hash(browser)):
            raise HubError("sign_on.unknown")
        else:
            row.used_at = timezone.now()
            row.save(update_fields=["used_at"])
    if is_repeated:  # after the commit, or the session would live on
        raise HubError("sign_on.repeated")
    return row


def remember_session(row: SignOn, session: Session) -> None:
    """Notes which session came of the login."""
    SignOn.objects.filter(pk=row.pk).update(session=session)


def delete_expired_sign_ons(age: datetime.timedelta, *, batch: int = 1000) -> int:
    """Retention: deletes one batch of logins whose time was over ``age`` ago; how many.

    An answered one is kept as long as an open one, so that it is known when it comes twice.
    """
    old = SignOn.objects.filter(expires_at__lt=timezone.now() - age).values("pk")[:batch]
    deleted, _ = SignOn.objects.filter(pk__in=old).delete()
    return deleted


def _name(row: SignOn) -> str:
    if row.draft is not None:
        return str(row.draft.settings.get("name", ""))
    return row.provider.name if row.provider is not None else ""


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
