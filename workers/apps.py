"""Registers the workers with Django, for their management commands and reconcilers."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    label = "workers"
