"""The API behind the server that runs it: gunicorn on a unix socket, spoken to in bytes."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from hub.audit.models import AuditEvent
from tests.hub.api.callers import make_caller

START_SECONDS = 30.0
ANSWER_SECONDS = 10.0


@pytest.fixture
def web_socket(database_url: str) -> Iterator[Path]:
    """A gunicorn as quickstart starts it, on the test database."""
    with tempfile.TemporaryDirectory(prefix="pdk-web-", dir="/tmp") as folder:
        path = Path(folder) / "web.sock"
        options = ["--bind", f"unix:{path}", "--worker-class", "gthread", "--threads", "8", "--no-control-socket"]
        command = [sys.executable, "-m", "gunicorn", "hub.config.wsgi", *options]
        environment = {**os.environ, "DATABASE_URL": database_url}
        with subprocess.Popen(
            command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                await_alive(path, process)
                yield path
            finally:
                process.terminate()
                process.wait(timeout=20)


def await_alive(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if send(path, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    process.terminate()
    assert process.stderr is not None
    raise AssertionError(process.stderr.read().decode())


def send(path: Path, request: bytes) -> tuple[int, Any]:
    """Status and JSON body of the answer to these bytes. The connection stays open while the server talks."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(request)
        answer = connection.makefile("rb")
        status = int(answer.readline().split()[1])
        length = 0
        while (line := answer.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, json.loads(answer.read(length) or b"{}")


def request_head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: hub", *headers, "", ""]).encode()


@pytest.mark.django_db(transaction=True)
def test_the_entrance_holds_behind_the_server_that_runs_it(web_socket: Path) -> None:
    json_type = "Content-Type: application/json"
    # Announced and never sent: the answer comes without waiting for a byte of it.
    status, body = send(web_socket, request_head("POST", "/api/v1/tenants", json_type, "Content-Length: 10485760"))
    assert (status, body["code"]) == (413, "body.too_large")

    endless = request_head("POST", "/api/v1/tenants", json_type, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n"
    assert send(web_socket, endless)[0] == 411

    caller = make_caller("hub-admin")
    content = b'{"name": "acme"}'
    headers = (
        json_type,
        f"Authorization: Bearer {caller.token}",
        f"Content-Length: {len(content)}",
        "X-Forwarded-For: 203.0.113.9",
        "X-Request-Id: from-the-stream-server",
    )
    status, body = send(web_socket, request_head("POST", "/api/v1/tenants", *headers) + content)
    assert status == 201
    event = AuditEvent.objects.get(object_id=body["id"])
    assert (event.source_ip, event.request_id) == ("203.0.113.9", "from-the-stream-server")

    # Two requests on one connection: an answer to HEAD has no body that could be taken for the next answer.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(web_socket))
        for _ in range(2):
            connection.sendall(request_head("HEAD", "/livez"))
            assert connection.recv(4096).endswith(b"\r\n\r\n")

    assert send(web_socket, request_head("GET", "/readyz")) == (200, {"ready": True, "missing": []})
    assert send(web_socket, request_head("GET", "/metrics", "X-Forwarded-For: 203.0.113.9"))[0] == 401
