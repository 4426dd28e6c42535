"""Scripted providers as providers of the hub under test, on this machine."""

from collections.abc import Iterator
from typing import Any

import pytest

from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.identity.models import IdentityProvider
from hub.identity.oidc import provider_cache
from hub.identity.providers import ProviderSettings, create_provider
from tests.bed.scripted_provider import ScriptedProvider


@pytest.fixture
def loopback(loopback_allowed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub connects to this machine, and remembers no provider."""
    monkeypatch.setenv("PADDOCK_URL", "https://testserver")
    environment.cache_clear()  # loopback_allowed clears it again afterwards
    provider_cache.forget_providers()
    yield
    provider_cache.forget_providers()


@pytest.fixture
def scripted(loopback: None) -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def provider(db: None, scripted: ScriptedProvider) -> IdentityProvider:
    """The scripted one, enabled."""
    return make_provider(scripted)


def make_provider(scripted: ScriptedProvider, name: str = "sso", **changes: Any) -> IdentityProvider:
    return create_provider(SYSTEM, settings_for(scripted, name, **changes), is_enabled=True)


def settings_for(scripted: ScriptedProvider, name: str = "sso", **changes: Any) -> ProviderSettings:
    values = {
        "name": name,
        "kind": "oidc",
        "issuer": scripted.issuer,
        "client_id": scripted.client_id,
        "client_secret": scripted.client_secret,
        "ca_pem": scripted.ca_pem,
        **changes,
    }
    return ProviderSettings(**values)
