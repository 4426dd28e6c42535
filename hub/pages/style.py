"""The one style sheet of the pages, served from memory."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

CACHE_SECONDS = 3600
_CONTENT = (Path(__file__).parent / "assets" / "pages.css").read_bytes()


def style(request: HttpRequest) -> HttpResponse:
    """``GET /pages/style.css``"""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(("GET", "HEAD"))
    return HttpResponse(
        _CONTENT, content_type="text/css; charset=utf-8", headers={"Cache-Control": f"public, max-age={CACHE_SECONDS}"}
    )
