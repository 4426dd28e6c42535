"""What is not the stream server's own goes to the web process, which no client can keep waiting."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.stream import web
from tests.hub.stream.conftest import RunningHub
from tests.hub.stream.raw_client import render

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"


class Web:
    """Plays gunicorn on the unix socket: one thread per connection, ``answer`` to each request."""

    def __init__(self, path: Path) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answer = ANSWER
        self.answered = threading.Event()
        self.came = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def names(self, number: int = 0) -> dict[str, list[str]]:
        """The headers of one request, by lower-case name."""
        found: dict[str, list[str]] = {}
        for line in self.heads[number].decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            found.setdefault(name.lower(), []).append(value)
        return found

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError), sock:
            while True:
                while b"\r\n\r\n" not in data:
                    part = sock.recv(65536)
                    if not part:
                        return
                    self.came.set()
                    data += part
                head, data = data.split(b"\r\n\r\n", 1)
                self.heads.append(head)
                lower = head.lower()
                length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length" in lower else 0
                if length <= web.BODY_LIMIT:
                    while len(data) < length:
                        data += sock.recv(65536)
                    self.bodies.append(data[:length])
                    data = data[length:]
                sock.sendall(self.answer)
                self.answered.set()


@pytest.fixture
def process(hub: RunningHub) -> Iterator[Web]:
    made = Web(hub.server._settings.web_socket_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/clusters?limit=5", "/k8s", "/k8s?x", "/K8S/clusters/x", "/%6b8s/clusters/x", "//k8s/clusters/x"],
)
def test_all_that_is_not_below_k8s_goes_to_the_web_process_as_it_is(hub: RunningHub, process: Web, path: str) -> None:
    answer = hub.ask("GET", path, "Cookie: session=x", "Authorization: Basic eDp5")
    assert (answer.status, answer.body, answer.all("set-cookie")) == (200, b"ok", ["a=b"])
    assert process.heads[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())
    names = process.names()
    assert (names["host"], names["cookie"], names["authorization"]) == (["hub.test"], ["session=x"], ["Basic eDp5"])


def test_sec27_what_the_client_says_of_proxies_is_replaced_by_what_is_so(hub: RunningHub, process: Web) -> None:
    lies = [
        "X-Forwarded-For: 10.9.9.9",
        "x-forwarded-for: 10.9.9.8",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Ssl: off",
        "X-Forwarded-Protocol: http",
        "X-Forwarded-User: root",
        "Forwarded: for=10.9.9.9",
        "X-Real-IP: 10.9.9.9",
        "X-Request-Id: mine",
        "X-Remote-User: root",
        "X_Forwarded_For: 10.9.9.9",
        "SCRIPT_NAME: /evil",
        "Connection: X-Forwarded-For, X-Forwarded-Proto",
    ]
    assert hub.ask("GET", "/api/v1/me", *lies).status == 200
    names = process.names()
    assert set(names) == {"host", "x-forwarded-for", "x-forwarded-proto", "x-request-id"}
    assert (names["x-forwarded-for"], names["x-forwarded-proto"]) == (["127.0.0.1"], ["https"])
    assert names["x-request-id"] != ["mine"]


def test_a_body_arrives_whole(hub: RunningHub, process: Web) -> None:
    body = bytes(range(256)) * 2000
    with hub.client() as client:
        for _ in range(2):
            assert client.request("POST", "/api/v1/clusters", body=body).status == 200
    assert process.bodies == [body, body]
    assert process.names()["content-length"] == [str(len(body))]


def test_sec72_the_web_process_hears_nothing_of_a_body_that_does_not_come(
    hub: RunningHub, process: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.stream.connection.BODY_TIMEOUT", 0.3)
    clients = [hub.client() for _ in range(10)]  # more than it has threads
    for client in clients:
        client.send(render("POST", "/api/v1/tokens", "Content-Length: 100") + b"ha")
    assert hub.ask("GET", "/livez").status == 200
    for client in clients:
        answer = client.answer()
        assert (answer.status, answer.code) == (400, "request.body_broken")
        client.close()
    assert len(process.heads) == 1


def test_sec72_a_body_too_large_is_the_web_process_s_to_refuse_by_its_head(hub: RunningHub, process: Web) -> None:
    process.answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    with hub.client() as client:
        client.send(render("POST", "/api/v1/clusters", f"Content-Length: {100 * web.BODY_LIMIT}"))
        client.send(b"x" * 100_000)
        answer = client.answer()
    assert (answer.status, answer.all("connection")) == (413, ["close"])


def test_sec72_a_client_that_does_not_read_does_not_hold_the_web_process(hub: RunningHub, process: Web) -> None:
    size = web.ANSWER_BUFFER - 100_000
    process.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    with hub.client() as client:
        client.send(render("GET", "/api/v1/machines"))
        assert process.answered.wait(10)
        assert len(client.answer().body) == size


def test_a_slow_client_gets_all_of_an_answer_though_his_connection_is_to_end(hub: RunningHub, process: Web) -> None:
    size = web.ANSWER_BUFFER - 1000
    process.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    with hub.client() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(render("GET", "/api/v1/machines", "Connection: close"))
        assert process.answered.wait(10)
        time.sleep(0.3)
        assert len(client.answer().body) == size
        assert client.ended() == b""


def test_without_a_web_process_the_answer_says_so(hub: RunningHub) -> None:
    answer = hub.ask("GET", "/livez")
    assert (answer.status, answer.code) == (503, "upstream.unreachable")
    assert answer.json["request_id"] == answer.all("x-request-id")[0]


@pytest.mark.parametrize("make", [lambda client: client.close(), lambda client: client.reset()])
def test_a_client_that_leaves_ends_his_request_there(
    hub: RunningHub, process: Web, make: Callable[[object], None]
) -> None:
    process.answer = b""
    client = hub.client()
    client.send(render("GET", "/api/v1/events"))
    assert process.came.wait(10)
    make(client)
    deadline = time.monotonic() + 5
    while hub.server._connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_web_process_s_idle_connections_are_used_again_only_before_it_closes_them() -> None:
    assert web.IDLE_LIFETIME < 2.0  # gunicorn's keep-alive
