"""Registers quickstart with Django, for its management commands."""

from django.apps import AppConfig


class QuickstartConfig(AppConfig):
    name = "hub.quickstart"
    label = "quickstart"
