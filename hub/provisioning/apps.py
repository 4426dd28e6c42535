"""Registers the app with Django."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    name = "hub.provisioning"
    label = "provisioning"
