"""Registers the tenancy app."""

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "hub.tenancy"
    label = "tenancy"
