"""Registers the identity app."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "hub.identity"
    label = "identity"
