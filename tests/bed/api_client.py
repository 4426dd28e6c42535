"""A few lines of HTTP to a Kubernetes API, for the bed's own needs and for arranging tests.

Deliberately not the project's ``kube`` package: the bed must stand when the code under test does not. ``http.client``
rather than urllib, so that no proxy variable of the environment is followed to 127.0.0.1.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]

REQUEST_TIMEOUT = 30.0
"""Seconds for one request: a server that just got 148 CRDs on a busy machine takes its time."""


class ApiRefused(Exception):
    """The server answered with an error; ``status`` is the HTTP code, ``body`` its Status object or ``{}``."""

    def __init__(self, method: str, path: str, status: int, body: Object) -> None:
        super().__init__(f"{method} {path}: {status} {body.get('reason', '')}: {body.get('message', '')}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class ApiClient:
    """Calls one API server with one client certificate; a connection per request, safe to share."""

    url: str
    tls: ssl.SSLContext
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def with_certificate(cls, url: str, authority: Path, certificate: Path, key: Path) -> ApiClient:
        """A client that trusts ``authority`` alone and shows the certificate; all three are PEM files."""
        tls = ssl.create_default_context(cafile=str(authority))
        tls.load_cert_chain(certificate, key)
        return cls(url, tls)

    def impersonating(self, user: str, *groups: str) -> ApiClient:
        """The same client acting as ``user``; no groups are sent unless given (the server adds its own)."""
        asserted = (("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups))
        return ApiClient(self.url, self.tls, asserted)

    def request(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> tuple[int, Object]:
        """One call: the HTTP status and the decoded body (``{"message": text}`` where it is no JSON object).

        Raises OSError when the server cannot be reached.
        """
        address = urlsplit(self.url)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=REQUEST_TIMEOUT, context=self.tls
        )
        try:
            payload = b"" if body is None else json.dumps(body).encode()
            connection.putrequest(method, path)
            for name, value in (*self.headers, ("Accept", "application/json"), ("Content-Type", content_type)):
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(payload)))
            connection.endheaders(payload)
            answer = connection.getresponse()
            return answer.status, _decode(answer.read())
        finally:
            connection.close()

    def call(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> Object:
        """As ``request``, but raises ApiRefused on every status from 400 and returns the body alone."""
        status, answer = self.request(method, path, body, content_type=content_type)
        if status >= 400:
            raise ApiRefused(method, path, status, answer)
        return answer

    def get(self, path: str) -> Object:
        return self.call("GET", path)

    def find(self, path: str) -> Object | None:
        """The object, or None when the server says 404."""
        try:
            return self.get(path)
        except ApiRefused as refused:
            if refused.status == 404:
                return None
            raise

    def create(self, path: str, obj: Object) -> Object:
        """POST to a collection."""
        return self.call("POST", path, obj)

    def delete(self, path: str) -> None:
        """DELETE with the server's default propagation; succeeds when absent."""
        status, answer = self.request("DELETE", path)
        if status >= 400 and status != 404:
            raise ApiRefused("DELETE", path, status, answer)


def _decode(raw: bytes) -> Object:
    try:
        decoded = json.loads(raw)
    except ValueError:
        decoded = None
    return decoded if isinstance(decoded, dict) else {"message": raw.decode(errors="replace")}
