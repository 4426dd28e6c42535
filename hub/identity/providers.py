"""Identity providers: their settings, checked, and what follows for their users when one is disabled or deleted.

A client secret goes in and never comes out. Who logged in by a provider that is gone or disabled is out at once: sessions
and tokens end in the same transaction (SEC-46).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define

from .groups import is_group_key
from .models import IdentityProvider, ProviderKind, User
from .oidc.flow import SCOPES
from .oidc.metadata import MetadataRefused, check_address
from .services import end_access

NAME_LIMIT = 40
RESERVED_NAMES = frozenset({"link", "second-factor", "callback", "test", "local"})
SECRETS = frozenset({"client_secret", "admin_client_secret"})
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}", re.ASCII)  # RFC 6749: a scope token; claims and clients alike

define("provider.name_invalid", 400, "The provider's name is not valid: a short DNS label that is no page's name")
define("provider.exists", 409, "There is a provider of this name or issuer already")
define("provider.setting_invalid", 400, "The provider's settings are not valid")
define("provider.fixed", 400, "A provider's name, kind and issuer stay: make another provider")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What an administrator says of a provider. A secret that is None stays as it is; "" takes it away."""

    name: str
    kind: str
    issuer: str
    client_id: str
    display_name: str = ""
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = SCOPES
    ca_pem: str = ""
    username_claim: str = "preferred_username"
    name_claim: str = "name"
    email_claim: str = "email"
    groups_claim: str = "groups"
    group_key: str = "path"
    access_mode: str = "open"
    allowed_groups: tuple[str, ...] = ()
    admin_client_id: str = ""
    admin_client_secret: str | None = field(default=None, repr=False)

    def plain(self) -> dict[str, Any]:
        """All but the secrets, as JSON has it."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in SECRETS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], **secrets: Any) -> "ProviderSettings":
        """What ``plain`` gave, with secrets beside it."""
        frozen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**frozen, **secrets)


def build_provider(settings: ProviderSettings) -> IdentityProvider:
    """A row that is not saved yet. Raises HubError ``provider.name_invalid`` or ``provider.setting_invalid``."""
    provider = IdentityProvider(**settings.plain())
    provider.client_secret = settings.client_secret or ""
    provider.admin_client_secret = settings.admin_client_secret or ""
    check_settings(provider)
    return provider


def create_provider(
    actor: Actor, settings: ProviderSettings, *, is_enabled: bool = False, is_tested: bool = False
) -> IdentityProvider:
    """A new provider; nobody can log in by it until it is enabled.

    Raises HubError ``provider.name_invalid``, ``provider.setting_invalid`` or ``provider.exists``.
    """
    provider = build_provider(settings)
    provider.is_enabled = is_enabled
    provider.tested_at = timezone.now() if is_tested else None
    try:
        with transaction.atomic():
            record_insert(provider)
            changes = diff({}, settings.plain(), SECRETS)
            record(actor, "create", "identity-providers", provider, changes=changes)
    except IntegrityError as error:
        raise HubError("provider.exists", pointer="/name") from error
    return provider


def update_provider(
    actor: Actor,
    provider: IdentityProvider,
    settings: ProviderSettings,
    *,
    is_enabled: bool,
    expected_version: int | None = None,
) -> None:
    """Changes what may change. Disabling it ends the sessions and tokens of all who came by it.

    Raises HubError ``provider.fixed``, ``provider.setting_invalid``, StaleVersion.
    """
    for name in ("name", "kind", "issuer"):
        if getattr(settings, name) != getattr(provider, name):
            raise HubError("provider.fixed", pointer=f"/{name}")
    before = {**settings_of(provider).plain(), "is_enabled": provider.is_enabled}
    was_enabled, provider.is_enabled = provider.is_enabled, is_enabled
    after = settings.plain()
    for name, value in after.items():
        setattr(provider, name, value)
    changed_secrets = {name for name in SECRETS if getattr(settings, name) is not None}
    for name in changed_secrets:
        setattr(provider, name, getattr(settings, name))
    check_settings(provider)
    with transaction.atomic():
        record_update(provider, [*after, *changed_secrets, "is_enabled"], expected_version=expected_version)
        changes = diff(before, {**after, "is_enabled": is_enabled}, SECRETS)
        detail = {"secrets": sorted(changed_secrets)} if changed_secrets else {}
        record(actor, "update", "identity-providers", provider, changes=changes, detail=detail)
        if was_enabled and not is_enabled:
            _end_access_of_users(actor, provider, "provider_disabled")


def delete_provider(actor: Actor, provider: IdentityProvider, *, expected_version: int | None = None) -> None:
    """Deletes it with its identities, groups and their bindings; its users stay, without a way in. Raises StaleVersion."""
    with transaction.atomic():
        _end_access_of_users(actor, provider, "provider_deleted")
        record(actor, "delete", "identity-providers", provider)
        record_delete(provider, expected_version=expected_version)


def settings_of(provider: IdentityProvider) -> ProviderSettings:
    """The provider's settings without its secrets."""
    values = {name: getattr(provider, name) for name in ProviderSettings.__slots__ if name not in SECRETS}
    return ProviderSettings.from_plain(values)


def check_settings(provider: IdentityProvider) -> None:
    """Raises HubError ``provider.name_invalid`` or ``provider.setting_invalid`` with a pointer to what is wrong."""
    if not _NAME.fullmatch(provider.name) or provider.name in RESERVED_NAMES:
        raise HubError("provider.name_invalid", pointer="/name", limit=NAME_LIMIT)
    if provider.kind not in ProviderKind.values:
        raise HubError("provider.setting_invalid", pointer="/kind", known=list(ProviderKind.values))
    try:
        check_address(provider.issuer)
    except MetadataRefused as error:
        raise HubError("provider.setting_invalid", pointer="/issuer", wanted="https URL") from error
    if "?" in provider.issuer or len(provider.issuer) > 500:
        raise HubError("provider.setting_invalid", pointer="/issuer", wanted="https URL")
    if provider.group_key not in ("id", "path"):
        raise HubError("provider.setting_invalid", pointer="/group_key", known=["id", "path"])
    for name in ("username_claim", "name_claim", "email_claim"):
        if not _WORD.fullmatch(getattr(provider, name)):
            raise HubError("provider.setting_invalid", pointer=f"/{name}")
    if not provider.client_id or len(provider.client_id) > 200 or not provider.client_id.isprintable():
        raise HubError("provider.setting_invalid", pointer="/client_id")
    if not all(_WORD.fullmatch(scope) for scope in provider.scopes):
        raise HubError("provider.setting_invalid", pointer="/scopes")
    if not all(is_group_key(provider, key) for key in provider.allowed_groups):
        raise HubError("provider.setting_invalid", pointer="/allowed_groups", group_key=provider.group_key)


def _end_access_of_users(actor: Actor, provider: IdentityProvider, reason: str) -> None:
    for user in User.objects.filter(identities__provider=provider).distinct().order_by("pk"):
        end_access(actor, user, reason)
