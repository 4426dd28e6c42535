"""One etcd for all API servers of a test session, and raw access to its keys for CRD snapshots."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bed.processes import PORT_ATTEMPTS, Child, PortTaken, free_port

START_DEADLINE = 30.0
_REQUEST_TIMEOUT = 30.0


class Etcd:
    """A running etcd on 127.0.0.1 without TLS: what it holds is worth nothing beyond the test session."""

    def __init__(self, binary: Path, folder: Path) -> None:
        """Start it with its data and log below ``folder``. Raises ProcessFailed when it does not serve."""
        self._binary = binary
        self._folder = folder
        self._port = 0
        self._child = self._start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _start(self) -> Child:
        for _ in range(PORT_ATTEMPTS - 1):
            try:
                return self._start_once()
            except PortTaken:
                continue
        return self._start_once()

    def _start_once(self) -> Child:
        self._port = free_port()
        peer = "http://127.0.0.1:0"
        command = [
            str(self._binary),
            "--name=bed",
            f"--data-dir={self._folder / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=bed={peer}",
            "--unsafe-no-fsync",  # the session's data need not survive a power cut
            "--log-level=warn",
        ]
        child = Child("etcd", command, self._folder / "etcd.log")
        child.wait_until_serving(self._is_healthy, seconds=START_DEADLINE)
        return child

    def _is_healthy(self) -> bool:
        try:
            status, body = self._request("GET", "/health", None)
        except OSError:
            return False
        return status == 200 and json.loads(body).get("health") == "true"

    def read_prefix(self, prefix: str) -> dict[str, str]:
        """All keys below ``prefix`` (which is cut off) with their values in base64."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = self._call("/v3/kv/range", {"key": _encode(prefix), "range_end": _encode(end)})
        return {
            base64.b64decode(pair["key"]).decode().removeprefix(prefix): pair["value"] for pair in answer.get("kvs", [])
        }

    def write_prefix(self, prefix: str, values: Mapping[str, str]) -> None:
        """Put what ``read_prefix`` gave below another prefix."""
        for key, value in values.items():
            self._call("/v3/kv/put", {"key": _encode(prefix + key), "value": value})

    def compact(self, revision: int) -> None:
        """Forget everything before ``revision``, as a real server has it done every five minutes."""
        self._call("/v3/kv/compaction", {"revision": str(revision)})

    def _call(self, path: str, body: dict[str, str]) -> Any:
        status, answer = self._request("POST", path, json.dumps(body))
        if status != 200:
            raise RuntimeError(f"etcd {path}: {status} {answer[:500]!r}")
        return json.loads(answer)

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_REQUEST_TIMEOUT)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End it; nothing when it has ended already."""
        self._child.stop()


def _encode(key: str) -> str:
    return base64.b64encode(key.encode()).decode()
