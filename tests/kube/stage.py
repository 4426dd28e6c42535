"""A TLS server that plays what a test tells it to: answers, and everything that goes wrong between two processes.

It knows nothing of Kubernetes. One thread per connection; requests are kept, parsed, in order of arrival.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bed.pki import Authority, KeyPair


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, list[str]]  # by lower-case name
    body: bytes
    connection: int  # counts connections of the stage, from 1

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Scene = Callable[[socket.socket], bool]
"""Writes to the connection; True keeps it open for another request."""


def answer(
    status: int = 200, body: Any = None, *, headers: Iterable[tuple[str, str]] = (), content_type: str = ""
) -> Scene:
    """A whole answer; ``body`` bytes as they are, anything else as JSON."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    kind = content_type or ("application/octet-stream" if isinstance(body, bytes) else "application/json")

    def play(sock: socket.socket) -> bool:
        lines = [f"HTTP/1.1 {status} Played", f"Content-Type: {kind}", f"Content-Length: {len(payload)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + payload)
        return True

    return play


def status(code: int, reason: str, message: str = "", **details: Any) -> Scene:
    """An error as a Kubernetes API tells it."""
    return answer(code, status_object(code, reason, message, **details))


def status_object(code: int, reason: str, message: str = "", **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or f"{reason} was played",
        "reason": reason,
        "details": details,
        "code": code,
    }


def raw(*parts: bytes) -> Scene:
    """Bytes as they are, then the end of the connection."""

    def play(sock: socket.socket) -> bool:
        for part in parts:
            sock.sendall(part)
        return False

    return play


def reset(first: bytes = b"") -> Scene:
    """A TCP reset, after some bytes or none."""

    def play(sock: socket.socket) -> bool:
        if first:
            sock.sendall(first)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return play


def hold(until: threading.Event, first: bytes = b"") -> Scene:
    """Some bytes or none, then silence until the event; ends the connection."""

    def play(sock: socket.socket) -> bool:
        if first:
            sock.sendall(first)
        until.wait(30)
        return False

    return play


def drip(until: threading.Event, first: bytes, each: bytes = b" ", seconds: float = 0.05) -> Scene:
    """Some bytes, then a few more again and again until the event or until nobody listens."""

    def play(sock: socket.socket) -> bool:
        sock.sendall(first)
        while not until.wait(seconds):
            sock.sendall(each)
        return False

    return play


WATCH_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(kind: str, obj: Any) -> bytes:
    """One line of a watch, as a chunk."""
    return chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")


def watch(*events: bytes, then: Scene | None = None) -> Scene:
    """A watch with these events (see ``event``), ended as a server does, or by another scene."""

    def play(sock: socket.socket) -> bool:
        sock.sendall(WATCH_HEAD + b"".join(events))
        if then is not None:
            return then(sock)
        sock.sendall(b"0\r\n\r\n")
        return True

    return play


@dataclass
class Stage:
    """Plays its scenes in order, one for each request; a request too many is answered 500 and told by ``extra``."""

    authority: Authority
    certificate: KeyPair
    client_authority: Authority | None = None
    address: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    extra: int = 0

    def __post_init__(self) -> None:
        self._scenes: queue.SimpleQueue[Scene] = queue.SimpleQueue()
        self._fallback: Scene | None = None
        self._arrived = threading.Condition()
        self._connections = 0
        self._open: set[socket.socket] = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder) / "server.pem"
            pem.write_text(self.certificate.certificate_pem + self.certificate.key_pem)
            self._context.load_cert_chain(pem)
        if self.client_authority is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(cadata=self.client_authority.certificate_pem)
        self._listener = socket.create_server(
            (self.address, 0), family=socket.AF_INET6 if ":" in self.address else socket.AF_INET
        )
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"https://{host}:{self.port}"

    @property
    def connections(self) -> int:
        return self._connections

    def will(self, *scenes: Scene) -> None:
        for scene in scenes:
            self._scenes.put(scene)

    def always(self, scene: Scene) -> None:
        """What is played when no other scene is left."""
        self._fallback = scene

    def wait_for_requests(self, count: int, seconds: float = 20) -> list[Request]:
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.requests) >= count, seconds)
        assert arrived, f"{len(self.requests)} of {count} requests came"
        return self.requests

    def cut_connections(self) -> None:
        """Ends what is open, as a process that dies does; the port stays open."""
        for sock in list(self._open):
            _shut(sock)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        self.cut_connections()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            threading.Thread(target=self._serve, args=(sock, self._connections), daemon=True).start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        try:
            plain.settimeout(30)
            with self._context.wrap_socket(plain, server_side=True) as sock:
                self._open.add(sock)
                try:
                    while (request := _read_request(sock, number)) and self._next_scene(request)(sock):
                        pass
                finally:
                    self._open.discard(sock)
        except OSError:
            plain.close()  # the client went away, or did not like our certificate: its test sees that

    def _next_scene(self, request: Request) -> Scene:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        try:
            return self._scenes.get_nowait()
        except queue.Empty:
            if self._fallback is not None:
                return self._fallback
            self.extra += 1
            return status(500, "InternalError", "no scene is left")


def _read_request(sock: socket.socket, connection: int) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return None
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, value = line.split(":", 1)
        headers.setdefault(name.lower(), []).append(value.strip())
    length = int(headers.get("content-length", ["0"])[0])
    while len(body) < length:
        body += sock.recv(65536)
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return Request(method, parts.path, query, headers, body, connection)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # when nobody is connected
        sock.shutdown(socket.SHUT_RDWR)
