"""Callers of the API as a page of the hub is one: with a session's cookie and what such a page knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.identity.models import Session, User
from hub.identity.sessions import COOKIE, CSRF_HEADER, csrf_token, start_session
from tests.hub.api.callers import NO_HEADERS, Answer, Caller

ORIGIN = "https://testserver"


@dataclass
class PageCaller(Caller):
    """A caller whose client has a session's cookie. ``proof`` are the headers that a page adds to what it sends."""

    session: Session | None = None
    text: str = ""
    proof: Mapping[str, str] = field(default_factory=dict)

    def call(self, *args: Any, headers: Mapping[str, str] = NO_HEADERS, **rest: Any) -> Answer:
        return super().call(*args, headers={**self.proof, **headers}, secure=True, **rest)


def make_page_caller(user: User) -> PageCaller:
    """The user, logged in in a browser."""
    session, text = start_session(user, peer="192.0.2.7", user_agent="Firefox")
    proof = {CSRF_HEADER: csrf_token(text), "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    caller = PageCaller(session=session, text=text, proof=proof)
    caller.client.cookies[COOKIE] = text
    return caller
