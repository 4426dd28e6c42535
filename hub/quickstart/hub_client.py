"""The hub's REST API as the demo uses it: a bearer token, JSON, and nothing that another client could not do."""

import json
import ssl
import urllib.error
import urllib.request
import uuid
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


class HubClient:
    """One authenticated client. ``url`` is the hub's address, ``ca_file`` its authority (None: the system's store)."""

    def __init__(self, url: str, ca_file: str | None, token: str) -> None:
        self.url = url
        self._context = ssl.create_default_context(cafile=ca_file)
        self._token = token

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
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
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


def _problem(content: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
