"""Callers of the API as the tests see them: each is a user with a token, or nobody, and speaks JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.test import Client

from hub.access.services import Scope
from hub.audit.models import AuditEvent
from hub.core.access import Actor, TokenScope
from hub.identity.models import User
from hub.identity.tokens import issue_token
from tests.hub.builders import make_actor

ROOT = "/api/v1"
SOCKET: Mapping[str, Any] = {"REMOTE_ADDR": ""}
"""How a request looks that came over the unix socket."""
NO_HEADERS: Mapping[str, str] = {}


@dataclass
class Answer:
    """What came back. ``body`` is the parsed JSON, None without one."""

    response: Any

    @property
    def status(self) -> int:
        return int(self.response.status_code)

    @property
    def body(self) -> Any:
        return json.loads(self.response.content) if self.response.content else None

    @property
    def code(self) -> str:
        """The error code; the answer has to be a problem document that says what its status says."""
        assert self.response["Content-Type"] == "application/problem+json", self.response.content
        assert self.body["status"] == self.status
        assert self.body["request_id"] == self.response["X-Request-Id"]
        return str(self.body["code"])

    @property
    def faults(self) -> dict[str, str]:
        """Error codes by pointer."""
        assert self.code
        return {error["pointer"]: error["code"] for error in self.body["errors"]}

    @property
    def etag(self) -> str:
        return str(self.response["ETag"])

    @property
    def location(self) -> str:
        return str(self.response["Location"])

    @property
    def problem(self) -> Any:
        """The problem document without what differs between two requests."""
        assert self.code
        return {name: value for name, value in self.body.items() if name != "request_id"}


@dataclass
class Caller:
    """Sends requests below /api/v1 with a bearer token; ``actor`` is None for somebody without."""

    actor: Actor | None = None
    token: str | None = None
    client: Client = field(default_factory=Client)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        content_type: str = "application/json",
        **environ: Any,
    ) -> Answer:
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        url = path if path.startswith("/") else f"{ROOT}/{path}"
        sent = {**authorization, **headers}
        return Answer(self.client.generic(method, url, data, content_type=content_type, headers=sent, **environ))

    def get(self, path: str, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: Any, *, key: str | None = None) -> Answer:
        return self.call("POST", path, body, headers={"Idempotency-Key": key} if key is not None else {})

    def patch(self, path: str, body: Any, *, etag: str | None = "*") -> Answer:
        headers = {"If-Match": etag} if etag is not None else {}
        return self.call("PATCH", path, body, headers=headers, content_type="application/merge-patch+json")

    def delete(self, path: str, *, etag: str | None = "*") -> Answer:
        return self.call("DELETE", path, headers={"If-Match": etag} if etag is not None else {})

    def items(self, path: str) -> list[Any]:
        answer = self.get(path)
        assert answer.status == 200, answer.body
        items: list[Any] = answer.body["items"]
        return items

    def ids(self, path: str) -> set[str]:
        return {item["id"] for item in self.items(path)}

    @property
    def user(self) -> Actor:
        """Who it is; only for callers who are somebody."""
        assert self.actor is not None
        return self.actor

    @property
    def user_id(self) -> UUID:
        assert self.user.id is not None
        return self.user.id

    def narrowed(self, **scope: Any) -> "Caller":
        """The same user with another token, of this scope."""
        return with_token(self.user, TokenScope(**scope))


def with_token(actor: Actor, scope: TokenScope | None = None) -> Caller:
    """The actor with a new token."""
    assert actor.id is not None
    _, text = issue_token(actor, User.objects.get(pk=actor.id), name="test", scope=scope)
    return Caller(actor, text)


def make_caller(role: str | None = None, scope: Scope = None) -> Caller:
    """A new user with one role, or none, and a token."""
    return with_token(make_actor(role, scope))


def denials(caller: Caller) -> list[tuple[str, str, UUID | None]]:
    """(verb, resource, object id) of what this caller was denied, by the audit trail; the oldest first."""
    events = AuditEvent.objects.filter(actor_id=caller.user_id, outcome="denied").order_by("at", "id")
    return [(event.verb, event.resource, event.object_id) for event in events]
