"""Registers the pages app."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "hub.pages"
    label = "pages"
