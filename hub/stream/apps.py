"""Registers the stream server with Django, for its management command."""

from django.apps import AppConfig


class StreamConfig(AppConfig):
    name = "hub.stream"
    label = "stream"
