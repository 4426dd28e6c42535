"""Registers the allowances app."""

from django.apps import AppConfig


class AllowancesConfig(AppConfig):
    name = "hub.allowances"
    label = "allowances"
