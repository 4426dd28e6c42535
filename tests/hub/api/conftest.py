"""Callers of the API as the tests see them: each is a user with a token, or nobody, and speaks JSON."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from hub.access.services import Scope
from hub.core.access import Actor, TokenScope
from hub.identity.models import User
from hub.identity.services import issue_token
from tests.hub.builders import make_actor

ROOT = "/api/v1"


@dataclass
class Answer:
    """What came back. ``body`` is the parsed JSON, None without one."""

    response: HttpResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def body(self) -> Any:
        return json.loads(self.response.content) if self.response.content else None

    @property
    def code(self) -> str:
        """The error code; the answer has to be a problem document."""
        assert self.response["Content-Type"] == "application/problem+json", self.response.content
        return str(self.body["code"])

    @property
    def faults(self) -> dict[str, str]:
        """Error codes by pointer."""
        return {error["pointer"]: error["code"] for error in self.body["errors"]}

    @property
    def etag(self) -> str:
        return self.response["ETag"]

    @property
    def location(self) -> str:
        return self.response["Location"]


@dataclass
class Caller:
    """Sends requests below /api/v1 with a bearer token; ``actor`` is None for somebody without."""

    actor: Actor | None = None
    token: str | None = None
    client: Client = field(default_factory=Client)

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str) -> Answer:
        """``headers`` are named in lower case with underscores: ``if_match='"1"'``."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = given.pop("content-type", "application/json")
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        url = path if path.startswith("/") else f"{ROOT}/{path}"
        return Answer(self.client.generic(method, url, data, content_type=content_type, headers=given))

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any, etag: str | None = "*", **headers: str) -> Answer:
        return self.call("PATCH", path, body, **headers, **({"if_match": etag} if etag else {}))

    def delete(self, path: str, etag: str | None = "*", **headers: str) -> Answer:
        return self.call("DELETE", path, **headers, **({"if_match": etag} if etag else {}))

    def items(self, path: str) -> list[Any]:
        answer = self.get(path)
        assert answer.status == 200, answer.body
        items: list[Any] = answer.body["items"]
        return items

    def narrowed(self, **scope: Any) -> "Caller":
        """The same user with a token of this scope."""
        assert self.actor is not None
        return with_token(self.actor, TokenScope(**scope))


def with_token(actor: Actor, scope: TokenScope | None = None) -> Caller:
    """The actor with a new token."""
    _, text = issue_token(actor, User.objects.get(pk=actor.id), name="test", scope=scope)
    return Caller(actor, text)


def make_caller(role: str | None = None, scope: Scope = None) -> Caller:
    """A new user with one role, or none, and a token."""
    return with_token(make_actor(role, scope))


@pytest.fixture
def admin(db: None) -> Caller:
    return make_caller("hub-admin")


@pytest.fixture
def nobody(db: None) -> Caller:
    """Somebody with an account and no role at all."""
    return make_caller()


@pytest.fixture
def stranger() -> Caller:
    """Somebody without an account."""
    return Caller()
