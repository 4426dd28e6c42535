"""The URL root: all HTTP of the web process lives in ``hub.api``, its answers to unknown paths and defects too."""

from django.urls import include, path

urlpatterns = [path("", include("hub.api.urls"))]

handler400 = "hub.api.problems.handle_bad_request"
handler403 = "hub.api.problems.handle_denied"
handler404 = "hub.api.problems.handle_not_found"
handler500 = "hub.api.problems.handle_server_error"
