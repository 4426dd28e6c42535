"""The hub's REST API as the demo uses it: a bearer token, JSON, and nothing that another client could not do."""

import base64
import json
import ssl
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

TIMEOUT = 30.0


class HubRefused(RuntimeError):
    """The hub answered with a problem document (RFC 9457); the message carries its title, detail and pointers."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        fields = "; ".join(f"{e.get('pointer', '')} {e.get('detail', '')}".strip() for e in problem.get("errors", []))
        words = [str(problem.get("title", "refused")), str(problem.get("detail", "")), fields]
        super().__init__(f"{status}: " + " ".join(word for word in words if word))


@dataclass(frozen=True)
class BasicCredentials:
    """Name and password, for what is open to them: getting a first token, and changing a password."""

    username: str
    password: str = field(repr=False)


class HubClient:
    """One authenticated client. ``url`` is the hub's address, ``ca_file`` its authority (None: the system's store);
    ``credentials`` are a bearer token or name and password.
    """

    def __init__(self, url: str, ca_file: str | None, credentials: str | BasicCredentials) -> None:
        self.url = url
        self._ca_file = ca_file
        self._context = ssl.create_default_context(cafile=ca_file)
        self._authorization = _authorization(credentials)

    def with_credentials(self, credentials: str | BasicCredentials) -> "HubClient":
        """The same hub as somebody else."""
        return HubClient(self.url, self._ca_file, credentials)

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, body)

    def patch(self, path: str, changes: dict[str, Any]) -> Any:
        """Changes an object as it is now: whoever was quicker since makes it fail."""
        return self._call("PATCH", path, changes, version=self.get(path)["version"])

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path, version=self.get(path)["version"])

    def find(self, path: str, **query: str) -> Any | None:
        """The one object of a list that matches the filters, or None."""
        items = self.get(path, **query)["items"]
        return items[0] if items else None

    def ensure(self, path: str, body: dict[str, Any], **query: str) -> Any:
        """The object that matches the filters; made from ``body`` when there is none yet."""
        return self.find(path, **query) or self.post(path, body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, version: int | None = None) -> Any:
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._context) as answer:  # noqa: S310
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise HubRefused(error.code, _problem(error.read())) from error
        return json.loads(content) if content else None


def _authorization(credentials: str | BasicCredentials) -> str:
    if isinstance(credentials, str):
        return f"Bearer {credentials}"
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _problem(content: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
