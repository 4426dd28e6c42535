"""Every address of a page."""

from django.urls import URLPattern, URLResolver, path

from .style import style

urlpatterns: list[URLPattern | URLResolver] = [
    path("pages/style.css", style, name="style"),
]
