"""One Kubernetes API under contract, and requests to it in the plainest form, so that every byte of the answer is seen."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from kube.client import KubeClient
from kube.credentials import Credentials
from kube.resources import Object
from kube.tls import client_context
from tests.bed.waiting import wait_for
from tests.simulator.running import LOOPBACK

REQUEST_SECONDS = 30.0
AUTHORIZER_LAG = 0.5
"""kube-apiserver's authorizer hears of rules and bindings by watches of its own, and nothing tells when it has."""
_RBAC = "/apis/rbac.authorization.k8s.io/"

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Answer:
    """What came back. ``body`` is decoded JSON, or text where it is none."""

    code: int
    headers: Mapping[str, str]
    warnings: tuple[str, ...]
    body: Any

    @property
    def reason(self) -> str:
        return str(self.body["reason"])

    @property
    def causes(self) -> set[tuple[str, str]]:
        """(reason, field) of each cause of a Status."""
        causes = self.body.get("details", {}).get("causes", [])
        return {(cause.get("reason", ""), cause.get("field", "")) for cause in causes}

    def refused(self, code: int, reason: str, *causes: tuple[str, str]) -> None:
        """Assert that this is the given refusal, told by a complete Status."""
        assert (self.code, self.body.get("kind")) == (code, "Status"), self.body
        assert (self.body["status"], self.body["code"], self.reason) == ("Failure", code, reason), self.body
        assert self.body["apiVersion"] == "v1"
        assert self.body["message"]
        assert self.causes == set(causes), self.body

    def ok(self, code: int = 200) -> Object:
        """The body of an answer that must have this code."""
        assert self.code == code, (self.code, self.body)
        assert isinstance(self.body, dict)
        return self.body


class Cluster:
    """``credentials`` are an administrator's; other users are played by impersonation or with a token.

    ``forget_before`` makes the server forget what was before a revision.
    """

    def __init__(self, name: str, credentials: Credentials, forget_before: Callable[[int], None]) -> None:
        self.name = name
        self.forget_before = forget_before
        self.credentials = credentials
        self._address = urlsplit(credentials.servers[0])
        self._admin_tls = client_context(credentials)
        self._bare_tls = ssl.create_default_context(cadata=credentials.ca_pem)
        self.client = KubeClient(credentials, guard=LOOPBACK, timeout=REQUEST_SECONDS, field_manager="contracts")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        token: str | None = None,
        anonymous: bool = False,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """One request; a body that is no bytes is sent as JSON."""
        payload = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        connection = self._connect(bare=anonymous or token is not None)
        try:
            sent = [*headers, ("Accept", accept), ("User-Agent", "contracts/1")]
            sent += [("Content-Type", content_type)] if body is not None else []
            sent += [("Authorization", f"Bearer {token}")] if token else []
            _send(connection, method, _target(path, query), sent, payload)
            answer = connection.getresponse()
            warnings = tuple(answer.headers.get_all("Warning") or ())
            if _RBAC in path and method != "GET" and answer.status < 300 and self.name != "simulated":
                time.sleep(AUTHORIZER_LAG)
            return Answer(answer.status, dict(answer.headers.items()), warnings, _decoded(answer.read()))
        finally:
            connection.close()

    def call_as(self, user: str, method: str, path: str, body: Any = None, groups: Sequence[str] = ()) -> Answer:
        """One request of another user, impersonated."""
        headers = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]
        return self.call(method, path, body, headers=headers)

    def apply(self, path: str, obj: Object, manager: str, **query: str) -> Answer:
        """Server-side apply."""
        return self.call("PATCH", path, obj, query={"fieldManager": manager, **query}, content_type=APPLY)

    @contextmanager
    def watch(self, path: str, seconds: int = 20, **query: str) -> Iterator[Iterator[Object]]:
        """The events of a watch, which the server ends after ``seconds`` at the latest."""
        connection = self._connect(bare=False)
        try:
            parameters = {"watch": "true", "timeoutSeconds": str(seconds), **query}
            _send(connection, "GET", _target(path, parameters), [("Accept", "application/json")], b"")
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield (json.loads(line) for line in answer)
        finally:
            connection.close()

    def wait_gone(self, path: str) -> None:
        """Wait until an object is no more."""
        wait_for(f"{path} to be gone", lambda: self.call("GET", path).code == 404, seconds=30)

    def _connect(self, *, bare: bool) -> http.client.HTTPSConnection:
        context = self._bare_tls if bare else self._admin_tls
        host, port = self._address.hostname or "", self._address.port
        return http.client.HTTPSConnection(host, port, timeout=REQUEST_SECONDS, context=context)


def _target(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _send(
    connection: http.client.HTTPSConnection,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    payload: bytes,
) -> None:
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(payload)))
    connection.endheaders(payload)


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
