"""The URL root: the REST API is ``hub.api``'s, so are the answers to unknown paths and defects; pages are ``hub.pages``'."""

from django.urls import include, path

urlpatterns = [path("", include("hub.api.urls")), path("", include("hub.pages.urls"))]

handler400 = "hub.api.problems.handle_bad_request"
handler403 = "hub.api.problems.handle_denied"
handler404 = "hub.api.problems.handle_not_found"
handler500 = "hub.api.problems.handle_server_error"
