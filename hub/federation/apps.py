"""Registers the app with Django."""

from django.apps import AppConfig


class FederationConfig(AppConfig):
    name = "hub.federation"
    label = "federation"
