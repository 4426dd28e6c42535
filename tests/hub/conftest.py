"""Fixtures that tests of several of the hub's apps share."""

from tests.hub.identity.scripted_providers import loopback, provider, scripted

__all__ = ["loopback", "provider", "scripted"]
