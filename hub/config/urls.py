"""The URL root: all HTTP of the web process lives in ``hub.api``."""

from django.urls import include, path

urlpatterns = [path("", include("hub.api.urls"))]
