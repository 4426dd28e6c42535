"""Receivers on this machine are allowed, which the guard refuses by default."""

from collections.abc import Iterator

import pytest

from hub.core.address_guard import address_guard
from hub.core.environment import environment


@pytest.fixture
def local_receivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The guard lets this process connect to itself."""
    monkeypatch.setenv("PADDOCK_ADDRESS_ALLOW", "127.0.0.0/8,[::1]")
    environment.cache_clear()
    address_guard.cache_clear()
    yield
    monkeypatch.undo()
    environment.cache_clear()
    address_guard.cache_clear()
