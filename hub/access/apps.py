"""Registers the access app and installs the policy that lower apps ask through ``hub.core.access``."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "hub.access"
    label = "access"

    def ready(self) -> None:
        from hub.core.access import install_policy

        from .policy import TableAccessPolicy

        install_policy(TableAccessPolicy())
