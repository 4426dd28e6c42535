"""What providers say of their users between two logins: groups, and who is no longer known there (SEC-46, SEC-49).

Of a Keycloak its administration is asked, of other providers the refresh token of a login. Only users matter who have a
session or a token that opens something; the rest are told of at their next login. A round is bounded: the users after those
of the last round, ``BATCH`` of them; but who is disabled at a Keycloak is asked for as a whole, so that is seen in each.
"""

import datetime
import logging
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Length
from django.utils import timezone

from hub.core.access import SYSTEM
from hub.core.changes import record_update
from hub.core.errors import HubError

from .groups import group_keys, groups_in_claims, set_memberships
from .keycloak import Credentials, FoundGroup, KeycloakRealm, KeycloakUnavailable
from .models import ApiToken, ExternalIdentity, IdentityProvider, ProviderKind, Session
from .oidc.external_users import check_access_mode
from .oidc.flow import LoginRefused, Tokens, refresh
from .oidc.provider_cache import ProviderUnavailable
from .services import end_access
from .sessions import end_sessions

log = logging.getLogger(__name__)

BATCH = 300
REFRESH_BATCH = 60
REFRESH_AFTER = datetime.timedelta(minutes=10)

DISABLED = "disabled_at_provider"
NOT_ALLOWED = "not_in_allowed_group"
SESSION_OVER = "provider_session_over"
LOGGED_OUT = "provider_logout"


class ProviderSync:
    """Round after round over all enabled providers; remembers where the last round ended."""

    def __init__(self) -> None:
        self._after: dict[UUID, UUID] = {}

    def run_once(self) -> int:
        """One round; how many users were asked for. What fails at one provider is written to its ``sync_error``."""
        return sum(self._sync(provider) for provider in IdentityProvider.objects.filter(is_enabled=True))

    def _sync(self, provider: IdentityProvider) -> int:
        try:
            asked = self._sync_keycloak(provider) if provider.kind == ProviderKind.KEYCLOAK else _refresh_some(provider)
        except (KeycloakUnavailable, ProviderUnavailable) as error:
            log.warning("sync of %s: %s", provider.name, error.reason)
            _note(provider, error.reason)
            return 0
        _note(provider, "")
        return asked

    def _sync_keycloak(self, provider: IdentityProvider) -> int:
        with realm_of(provider) as realm:
            active = _active_identities(provider)
            for identity in active.filter(subject__in=realm.disabled_users()):
                lose_user(identity)
            batch = list(active.filter(pk__gt=self._after.get(provider.pk, UUID(int=0))).order_by("pk")[:BATCH])
            for identity in batch:
                self._look_after(realm, provider, identity)
        if len(batch) == BATCH:
            self._after[provider.pk] = batch[-1].pk
        else:
            self._after.pop(provider.pk, None)
        return len(batch)

    def _look_after(self, realm: KeycloakRealm, provider: IdentityProvider, identity: ExternalIdentity) -> None:
        user = realm.find_user(identity.subject)
        if user is None or not user.is_enabled:
            lose_user(identity)
            return
        # The back channel tells of one session of those that an administrator ends at once, and of none while it is cut.
        logged_out_at = datetime.datetime.fromtimestamp(user.not_before, datetime.UTC)
        end_sessions(SYSTEM, Session.objects.filter(identity=identity, created_at__lt=logged_out_at), LOGGED_OUT)
        apply_groups(identity, *_keys_of(provider, realm.groups_of(identity.subject)))


def realm_of(provider: IdentityProvider) -> KeycloakRealm:
    """The administration of a Keycloak, by the service account that its settings name. Raises KeycloakUnavailable."""
    own = bool(provider.admin_client_id)
    client_id = provider.admin_client_id if own else provider.client_id
    secret = (provider.admin_client_secret if own else provider.client_secret).reveal()
    try:
        return KeycloakRealm(provider.issuer, Credentials(client_id, secret), ca_pem=provider.ca_pem)
    except ValueError as error:
        raise KeycloakUnavailable(str(error)) from error


def lose_user(identity: ExternalIdentity) -> None:
    """The provider does not let him in any more: his groups count no longer, his sessions and tokens end."""
    with transaction.atomic():
        locked = _lock(identity)
        if locked is None:
            return
        if locked.disabled_at is None:
            locked.disabled_at = timezone.now()
            record_update(locked, ["disabled_at"])
        end_access(SYSTEM, locked.user, DISABLED)


def apply_groups(identity: ExternalIdentity, keys: frozenset[str], names: dict[str, str] | None = None) -> None:
    """What the provider says of his groups now. Who is in no allowed group of a restricted provider is out."""
    with transaction.atomic():
        locked = _lock(identity)
        if locked is None:
            return
        set_memberships(locked, keys, names)
        try:
            check_access_mode(locked.provider, keys)
        except HubError:
            end_access(SYSTEM, locked.user, NOT_ALLOWED)


def _refresh_some(provider: IdentityProvider) -> int:
    before = timezone.now() - REFRESH_AFTER
    due = (
        _active_identities(provider)
        .annotate(size=Length("refresh_token"))  # a sealed column is looked into by nothing else
        .filter(size__gt=0)
        .filter(Q(groups_confirmed_at=None) | Q(groups_confirmed_at__lt=before))
    )
    batch = list(due.order_by("groups_confirmed_at")[:REFRESH_BATCH])
    for identity in batch:
        offered = identity.refresh_token.reveal()
        try:
            tokens = refresh(provider, offered, identity.subject)
        except LoginRefused as error:
            if error.reason != "invalid_grant":
                raise ProviderUnavailable(error.reason) from error
            _end_login(identity, offered)
        else:
            if tokens is not None:
                _apply_refresh(provider, identity, offered, tokens)
    return len(batch)


def _apply_refresh(provider: IdentityProvider, identity: ExternalIdentity, offered: str, tokens: Tokens) -> None:
    with transaction.atomic():
        locked = _lock(identity)
        if locked is not None and locked.refresh_token.reveal() == offered:  # no login has brought a newer one
            locked.refresh_token = tokens.refresh_token
            record_update(locked, ["refresh_token"])
            apply_groups(locked, groups_in_claims(provider, tokens.id_token.claims))


def _end_login(identity: ExternalIdentity, offered: str) -> None:
    """The provider takes the refresh token no more: that login is over there, so it is over here."""
    with transaction.atomic():
        locked = _lock(identity)
        if locked is not None and locked.refresh_token.reveal() == offered:
            locked.refresh_token = ""
            record_update(locked, ["refresh_token"])
            end_sessions(SYSTEM, Session.objects.filter(identity=locked), SESSION_OVER)


def _active_identities(provider: IdentityProvider) -> QuerySet[ExternalIdentity]:
    now = timezone.now()
    sessions = Session.objects.filter(user=OuterRef("user"), ended_at=None, expires_at__gt=now)
    tokens = ApiToken.objects.live(now).filter(user=OuterRef("user"))
    return provider.identities.filter(Exists(sessions) | Exists(tokens)).select_related("user", "provider")


def _keys_of(provider: IdentityProvider, groups: list[FoundGroup]) -> tuple[frozenset[str], dict[str, str]]:
    names = {(group.id if provider.group_key == "id" else group.path): group.path for group in groups}
    return group_keys(provider, names), names


def _lock(identity: ExternalIdentity) -> ExternalIdentity | None:
    rows = ExternalIdentity.objects.select_for_update(of=("self",)).select_related("user", "provider")
    return rows.filter(pk=identity.pk).first()


def _note(provider: IdentityProvider, error: str) -> None:
    """An observation of the hub, not a change of the provider: no new version."""
    IdentityProvider.objects.filter(pk=provider.pk).update(
        sync_error=error[:500], **({} if error else {"synced_at": timezone.now()})
    )
