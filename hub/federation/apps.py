"""Registers the federation app."""

from django.apps import AppConfig


class FederationConfig(AppConfig):
    name = "hub.federation"
    label = "federation"
