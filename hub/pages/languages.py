"""Which language a page speaks: what the address asks for, else what was chosen before, else what the browser prefers."""

from collections.abc import Iterator

from django.http import HttpRequest

from .texts import LANGUAGES

PARAMETER = "lang"
COOKIE = "paddock_lang"
COOKIE_SECONDS = 365 * 24 * 3600


def language_of(request: HttpRequest) -> str:
    """``en`` or ``zh``."""
    for offered in (request.GET.get(PARAMETER), request.COOKIES.get(COOKIE), *_preferred(request)):
        if offered in LANGUAGES:
            return offered
    return LANGUAGES[0]


def chosen_language(request: HttpRequest) -> str | None:
    """The language that this request's address asks for, which is to be remembered; None when it asks for none."""
    offered = request.GET.get(PARAMETER)
    return offered if offered in LANGUAGES else None


def _preferred(request: HttpRequest) -> Iterator[str]:
    """The primary languages of Accept-Language, the best first."""
    weighted = []
    for position, part in enumerate(request.headers.get("Accept-Language", "").split(",")[:20]):
        tag, _, quality = part.strip().partition(";q=")
        weighted.append((-_weight(quality), position, tag.partition("-")[0].lower()))
    for weight, _, language in sorted(weighted):
        if weight < 0:
            yield language


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
