"""Scripted providers as providers of the hub under test, on this machine."""

from collections.abc import Iterator
from typing import Any

import pytest

from hub.core.access import SYSTEM
from hub.core.address_guard import address_guard
from hub.core.environment import environment
from hub.identity.models import IdentityProvider
from hub.identity.oidc import provider_cache
from hub.identity.providers import ProviderSettings, create_provider
from tests.bed.scripted_provider import ScriptedProvider


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub connects to this machine, and remembers no provider."""
    monkeypatch.setenv("PADDOCK_ADDRESS_ALLOW", "127.0.0.0/8,::1/128")
    monkeypatch.setenv("PADDOCK_URL", "https://testserver")
    _forget()
    yield
    monkeypatch.undo()
    _forget()


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


def _forget() -> None:
    environment.cache_clear()
    address_guard.cache_clear()
    provider_cache.forget_providers()
