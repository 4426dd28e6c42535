"""Users as providers know them: from the claims of a login to a user with his groups.

The key is (issuer, subject) and nothing else: neither a name nor an address links somebody to an account that is there
already (SEC-51). Names that are taken get the provider's beside them.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from hub.audit.services import record
from hub.core.access import SYSTEM
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define
from hub.identity.groups import groups_in_claims, set_memberships
from hub.identity.models import AccessMode, ExternalIdentity, IdentityProvider, ProviderKind, User

from .flow import Tokens

USERNAME_LIMIT = 64
_ODD_IN_NAMES = re.compile(r"[^a-z0-9._@-]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+", re.ASCII)

define("login.provider_disabled", 403, "Nobody can log in by this provider now")
define("login.not_allowed", 403, "Your groups at the identity provider do not let you in here")
define("login.user_disabled", 403, "Your account is disabled")


def finish_login(provider: IdentityProvider, tokens: Tokens) -> tuple[User, ExternalIdentity]:
    """The user who has logged in at the provider, with what it says of him now; made at his first login.

    Inside the transaction in which the session begins: the provider cannot be disabled in between. Raises HubError
    ``login.provider_disabled``, ``login.not_allowed`` or ``login.user_disabled``.
    """
    claims = tokens.id_token.claims
    provider = IdentityProvider.objects.select_for_update().get(pk=provider.pk)
    if not provider.is_enabled:
        raise HubError("login.provider_disabled")
    keys = groups_in_claims(provider, claims)
    check_access_mode(provider, keys)
    identity = (
        ExternalIdentity.objects.select_for_update(of=("self",))
        .select_related("user", "provider")
        .filter(issuer=provider.issuer, subject=tokens.id_token.subject)
        .first()
    )
    if identity is None:
        identity = _create(provider, tokens.id_token.subject, claims)
    elif identity.provider_id != provider.pk or not identity.user.is_active:
        raise HubError("login.user_disabled")
    _update_user(provider, identity.user, claims)
    # Keycloak's administration tells more than a refresh would.
    identity.refresh_token = tokens.refresh_token if provider.kind == ProviderKind.OIDC else ""
    identity.disabled_at = None
    record_update(identity, ["refresh_token", "disabled_at"])
    set_memberships(identity, keys)
    return identity.user, identity


def check_access_mode(provider: IdentityProvider, keys: frozenset[str]) -> None:
    """Raises HubError ``login.not_allowed`` for who is in none of the groups of a restricted provider."""
    if provider.access_mode == AccessMode.RESTRICTED and not keys & frozenset(provider.allowed_groups):
        raise HubError("login.not_allowed")


def email_in_claims(provider: IdentityProvider, claims: Mapping[str, Any]) -> str:
    """The address that the provider has verified, else "": only JSON's true says so (SEC-51)."""
    found = claims.get(provider.email_claim)
    verified = claims.get("email_verified") is True
    return found if verified and isinstance(found, str) and len(found) <= 254 and _EMAIL.fullmatch(found) else ""


def _create(provider: IdentityProvider, subject: str, claims: Mapping[str, Any]) -> ExternalIdentity:
    user = _insert_user(provider, claims, subject)
    identity = ExternalIdentity(provider=provider, user=user, issuer=provider.issuer, subject=subject)
    record_insert(identity)
    record(SYSTEM, "create", "users", user, object_name=user.username, detail={"provider": provider.name})
    return identity


def _update_user(provider: IdentityProvider, user: User, claims: Mapping[str, Any]) -> None:
    name = claims.get(provider.name_claim)
    display_name = name[:200] if isinstance(name, str) and name.isprintable() else user.display_name
    email = email_in_claims(provider, claims)
    if (display_name, email) != (user.display_name, user.email):
        user.display_name, user.email = display_name, email
        record_update(user, ["display_name", "email"])


def _insert_user(provider: IdentityProvider, claims: Mapping[str, Any], subject: str) -> User:
    """A user of a name that nobody has, nor takes at this moment, near the one at the provider."""
    *readable, unique = _names(provider, claims, subject)
    for name in readable:
        user = User(username=name)
        try:
            with transaction.atomic():
                record_insert(user)
        except IntegrityError:
            continue
        return user
    user = User(username=unique)
    record_insert(user)
    return user


def _names(provider: IdentityProvider, claims: Mapping[str, Any], subject: str) -> tuple[str, str, str]:
    """The names to try; plain ASCII, because they travel to member clusters. The last is nobody's."""
    claimed = claims.get(provider.username_claim)
    wished = _plain(claimed) if isinstance(claimed, str) else ""
    wished = wished or _plain(subject) or "user"
    suffix = f"@{provider.name}"
    beside = f"{wished[: USERNAME_LIMIT - len(suffix)]}{suffix}"
    return wished, beside, f"{wished[: USERNAME_LIMIT - 9]}-{secrets.token_hex(4)}"


def _plain(text: str) -> str:
    return _ODD_IN_NAMES.sub("-", text.lower())[:USERNAME_LIMIT].strip("._@-")
