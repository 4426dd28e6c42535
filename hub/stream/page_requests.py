"""Requests that the hub's own pages make with a session's cookie in place of a token: pure.

A browser adds the cookie to whatever any page makes it ask, so the cookie alone proves nothing. What opens a socket has to
say that it comes from a page of the hub's origin; what else changes something has to know the session's CSRF token, which no
other origin can read; and what only reads is refused when the browser says that another site asked (SEC-71).
"""

from hub.identity.sessions import COOKIE
from kube.relay.heads import RequestHead

from .answers import Refusal

_OWN_SITE = frozenset(["same-origin"])
_OWN_SITE_OR_USER = frozenset(["same-origin", "none"])  # "none": typed, or from a bookmark


def read_cookie(head: RequestHead) -> str:
    """The text of the session's cookie, "" without one. Raises Refusal for two of them, and for one beside a token."""
    pairs = (pair.partition("=") for line in head.get_all("cookie") for pair in line.split(";"))
    found = [value.strip() for name, _, value in pairs if name.strip() == COOKIE]
    if len(found) > 1 or (found and head.get_all("authorization")):
        raise Refusal("request.two_identities", "Send one session cookie or one token, not both.")
    return found[0] if found else ""


def check_page(head: RequestHead, *, changes: bool) -> None:
    """Raises Refusal unless the head looks as one does that a page of the hub's own origin has caused.

    ``changes``: whether the request does more than read. Programs, which bring a token, are not held to this.
    """
    allowed = _OWN_SITE if changes else _OWN_SITE_OR_USER
    if not {site.lower() for site in head.get_all("sec-fetch-site")} <= allowed or not names_own_origin(head):
        raise Refusal("request.origin_foreign", "A page of another origin may not ask this.")
    # To their own origin browsers send none with GET; they do with any other method, and when they open a socket.
    needs_origin = head.upgrade is not None or head.method not in {"GET", "HEAD"}
    if needs_origin and len(head.get_all("origin")) != 1:
        raise Refusal("request.origin_foreign", "With a session's cookie, this needs the header Origin.")


def names_own_origin(head: RequestHead) -> bool:
    """Programs send no Origin, or that of the address they connect to; a browser sends that of the page."""
    host = head.get("host") or ""
    return all(origin.lower() == f"https://{host.lower()}" for origin in head.get_all("origin"))
