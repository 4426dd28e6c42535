"""A hub that answers paddock-login as a test tells it, over real TLS: what the program does is all that is looked at."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bed.https_server import Asked, HttpsServer, Reply

CLUSTERS = [{"id": f"id-of-{name}", "name": name, "can": ["get", "proxy"]} for name in ("berlin", "paris")]


def problem(status: int, code: str) -> Reply:
    return Reply({"code": code, "detail": f"words for {code}"}, status, {"Content-Type": "application/problem+json"})


@dataclass
class ScriptedHub:
    """``polls`` are the codes with which the next exchanges are refused, in order; then a token is given."""

    server: HttpsServer
    polls: list[str] = field(default_factory=list)
    lifetime: float = 3600
    issued: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    clusters: list[dict[str, Any]] = field(default_factory=lambda: list(CLUSTERS))
    page_size: int = 500
    before_answer: Callable[[Asked], Reply | None] = lambda asked: None

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def begun(self) -> list[dict[str, Any]]:
        """The bodies of the logins that were begun."""
        return [json.loads(asked.body) for asked in self.server.asked if asked.path == "/api/v1/cli-logins"]

    def paths(self) -> list[str]:
        return [asked.path.removeprefix("/api/v1/") for asked in self.server.asked]

    def answer(self, asked: Asked) -> Reply:
        changed = self.before_answer(asked)
        if changed is not None:
            return changed
        path = asked.path.removeprefix("/api/v1/")
        if path == "cli-logins":
            return self._begin(json.loads(asked.body))
        if path == "cli-logins/token":
            return problem(400, self.polls.pop(0)) if self.polls else self._issue()
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.issued or token in self.ended:
            return problem(401, "request.unauthenticated")
        if path == "cli-logins/logout":
            self.ended.add(token)
            return Reply({"token_id": "t"}, 201)
        if path == "whoami":
            return Reply({"name": "anna", "roles": [{"role": "tenant-owner", "scope_kind": "tenant", "scope_id": "T"}]})
        return self._page(asked) if path == "clusters" else problem(404, "request.path_unknown")

    def _begin(self, body: dict[str, Any]) -> Reply:
        device = {"device_code": "pdc_device", "user_code": "BCDF-GHJK", "verification_uri": f"{self.url}/device"}
        browser = {"authorization_uri": f"{self.url}/cli-login?id=1"}
        shown = device if body["flow"] == "device" else browser
        return Reply({**shown, "expires_in": 600, "interval": 0}, 201)

    def _issue(self) -> Reply:
        text = f"pdk_{len(self.issued):012}_{'s' * 43}"
        self.issued.append(text)
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.lifetime)
        expires_at = ends.isoformat().replace("+00:00", "Z")
        return Reply({"token": text, "token_id": "t", "username": "anna", "expires_at": expires_at}, 201)

    def _page(self, asked: Asked) -> Reply:
        start = int(asked.query.get("continue", "0"))
        end = start + self.page_size
        more = str(end) if end < len(self.clusters) else None
        return Reply({"items": self.clusters[start:end], "continue": more})


@contextmanager
def scripted_hub() -> Iterator[ScriptedHub]:
    server = HttpsServer(lambda asked: hub.answer(asked))
    hub = ScriptedHub(server)
    with server:
        yield hub
