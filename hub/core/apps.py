"""Registers the core app; its system checks are loaded with it."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "hub.core"
    label = "core"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers on import; needs loaded models)
