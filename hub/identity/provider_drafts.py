"""A provider is tested before it is saved: its settings as a draft, and each step with its result and what to do.

Steps in order: ``discovery``, ``keys``, ``login`` (in the administrator's own browser) and ``groups`` (what the token told of
them). A draft lives for an hour; saved it becomes a provider, or the new settings of one that is there.
"""

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from hub.core.access import Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define

from .groups import groups_in_claims, is_overage
from .models import IdentityProvider, ProviderDraft, SignOn
from .oidc.flow import LoginRefused, redeem_code
from .oidc.provider_cache import ProviderUnavailable, fetch_keys, fetch_metadata
from .providers import ProviderSettings, build_provider, create_provider, settings_of, update_provider

LIFETIME = datetime.timedelta(hours=1)
STEPS = ("discovery", "keys", "login", "groups")
NEEDED = ("discovery", "keys", "login")
SHOWN_GROUPS = 20

define("provider_test.not_passed", 409, "The provider has not passed its test")

# Result of a step: its state, what is said and what to do. ``{detail}`` is a text of the step's own.
RESULTS: Mapping[str, tuple[str, str, str]] = {
    "discovery.passed": ("passed", "The provider's metadata is there and complete.", ""),
    "discovery.failed": (
        "failed",
        "The provider's metadata cannot be used: {detail}.",
        "Check the issuer's address and the CA. An address that the hub refuses needs an entry in PADDOCK_ADDRESS_ALLOW.",
    ),
    "keys.passed": ("passed", "Signing keys: {detail}.", ""),
    "keys.failed": ("failed", "The provider's keys cannot be used: {detail}.", "Look at jwks_uri in its metadata."),
    "keys.none": ("failed", "The provider publishes no key that the hub takes.", "Let it sign by RS256 or ES256."),
    "keys.pending": ("pending", "Waits for the metadata.", ""),
    "login.pending": ("pending", "Nobody has logged in by these settings yet.", "Log in now, in this browser."),
    "login.passed": ("passed", "Logged in as {detail}.", ""),
    "login.failed": (
        "failed",
        "The login failed: {detail}.",
        "Check client id and secret, and that the redirect URI below is registered there exactly.",
    ),
    "groups.pending": ("pending", "Waits for the login.", ""),
    "groups.passed": ("passed", "The token tells of these groups: {detail}.", ""),
    "groups.off": ("passed", "No claim for groups is set: nobody has groups by this provider.", ""),
    "groups.absent": (
        "warning",
        "The token has no claim {detail}, so nobody has groups.",
        "Add a group mapper to the client, for the ID token, with the full path.",
    ),
    "groups.overage": (
        "warning",
        "The user is in too many groups: the token says where they are instead of which.",
        "Let the provider send only the groups that this client needs.",
    ),
    "groups.none": (
        "warning",
        "The claim {detail} is there and holds no group of the form that is set.",
        "Put this user into a group, or choose the form (full path or id) in which the provider tells them.",
    ),
}


def create_draft(actor: Actor, settings: ProviderSettings, provider: IdentityProvider | None = None) -> ProviderDraft:
    """A draft whose first two steps have been taken; ``provider`` is what it will change, None for a new one.

    A secret that is None is the provider's own. Raises HubError as ``build_provider``.
    """
    draft = ProviderDraft(settings=settings.plain(), provider=provider, expires_at=timezone.now() + LIFETIME)
    for name in ("client_secret", "admin_client_secret"):
        given = getattr(settings, name)
        kept = getattr(provider, name).reveal() if provider is not None and given is None else ""
        setattr(draft, name, given if given is not None else kept)
    provider_of(draft)
    draft.steps = [_step(f"{name}.pending") for name in STEPS[1:]]
    with transaction.atomic():
        record_insert(draft)
    take_first_steps(draft)
    return draft


def create_draft_of(actor: Actor, provider: IdentityProvider) -> ProviderDraft:
    """A draft with the settings that a provider has."""
    return create_draft(actor, settings_of(provider), provider)


def find_draft(id: Any) -> ProviderDraft:
    """Raises HubError ``object.not_found``."""
    draft = ProviderDraft.objects.select_related("provider").filter(pk=id, expires_at__gt=timezone.now()).first()
    if draft is None:
        raise HubError("object.not_found", resource="provider-tests")
    return draft


def provider_of(draft: ProviderDraft) -> IdentityProvider:
    """The provider as it would be, not saved."""
    return build_provider(_settings(draft))


def take_first_steps(draft: ProviderDraft) -> None:
    """Asks for metadata and keys, now and not from memory."""
    provider = provider_of(draft)
    try:
        metadata = fetch_metadata(provider.issuer, provider.ca_pem)
    except ProviderUnavailable as error:
        _note(draft, _step("discovery.failed", error.reason), _step("keys.pending"))
        return
    _note(draft, _step("discovery.passed"), _keys_step(lambda: fetch_keys(metadata.jwks_uri, provider.ca_pem)))


def finish_test_login(sign_on: SignOn, code: str) -> None:
    """Takes the last two steps with what the browser brought back; "" for no code."""
    draft = sign_on.draft
    assert draft is not None
    provider = provider_of(draft)
    try:
        if not code:
            raise LoginRefused("the provider sent no code")
        tokens = redeem_code(provider, code, nonce=sign_on.nonce, code_verifier=sign_on.code_verifier)
    except (LoginRefused, ProviderUnavailable) as error:
        _note(draft, _step("login.failed", error.reason), _step("groups.pending"))
        return
    claims = tokens.id_token.claims
    name = claims.get(provider.username_claim)
    shown = name if isinstance(name, str) else tokens.id_token.subject
    _note(draft, _step("login.passed", shown[:100]), _groups_step(provider, claims))


def save_draft(actor: Actor, draft: ProviderDraft) -> IdentityProvider:
    """Makes it a provider that people can log in by. Raises HubError ``provider_test.not_passed``, or as
    ``create_provider`` and ``update_provider``.
    """
    states = {step["name"]: step["state"] for step in draft.steps}
    missing = [name for name in NEEDED if states.get(name) != "passed"]
    if missing:
        raise HubError("provider_test.not_passed", steps=missing)
    settings = _settings(draft)
    with transaction.atomic():
        if draft.provider is None:
            provider = create_provider(actor, settings, is_enabled=True, is_tested=True)
        else:
            provider = draft.provider
            update_provider(actor, provider, settings, is_enabled=True)
            provider.tested_at = timezone.now()
            record_update(provider, ["tested_at"])
        record_delete(draft)
    return provider


def delete_expired_drafts(age: datetime.timedelta, *, batch: int = 1000) -> int:
    """Retention: deletes one batch of drafts whose time was over ``age`` ago; how many."""
    old = ProviderDraft.objects.filter(expires_at__lt=timezone.now() - age).values("pk")[:batch]
    _, deleted = ProviderDraft.objects.filter(pk__in=old).delete()
    return deleted.get(ProviderDraft._meta.label, 0)


def _settings(draft: ProviderDraft) -> ProviderSettings:
    return ProviderSettings.from_plain(
        draft.settings,
        client_secret=draft.client_secret.reveal(),
        admin_client_secret=draft.admin_client_secret.reveal(),
    )


def _keys_step(fetch: Callable[[], list[dict[str, Any]]]) -> dict[str, str]:
    try:
        found = fetch()
    except ProviderUnavailable as error:
        return _step("keys.failed", error.reason)
    kinds = sorted(str(key.get("alg") or key["kty"]) for key in found)
    return _step("keys.passed", ", ".join(kinds)) if found else _step("keys.none")


def _groups_step(provider: IdentityProvider, claims: Mapping[str, Any]) -> dict[str, str]:
    claim = provider.groups_claim
    if not claim:
        return _step("groups.off")
    if is_overage(provider, claims):
        return _step("groups.overage")
    if claim not in claims:
        return _step("groups.absent", claim)
    keys = sorted(groups_in_claims(provider, claims))
    return _step("groups.passed", ", ".join(keys[:SHOWN_GROUPS])) if keys else _step("groups.none", claim)


def _step(code: str, detail: str = "") -> dict[str, str]:
    """``code`` and ``detail`` are for pages in another language; the texts are English."""
    state, message, fix = RESULTS[code]
    return {
        "name": code.partition(".")[0],
        "code": code,
        "state": state,
        "message": message.format(detail=detail),
        "fix": fix,
        "detail": detail,
        "at": timezone.now().isoformat(),
    }


def _note(draft: ProviderDraft, *steps: dict[str, str]) -> None:
    known = {step["name"]: step for step in (*draft.steps, *steps)}
    draft.steps = [known[name] for name in STEPS if name in known]
    with transaction.atomic():
        record_update(draft, ["steps"])
