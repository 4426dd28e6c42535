"""A raw HTTPS server that plays a member's API: it keeps every byte that comes and answers what a test tells it to.

It knows nothing of Kubernetes and corrects nothing: what the hub sent is read from ``requests`` and ``received``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bed.pki import KeyPair

DEADLINE = 15.0


@dataclass
class Seen:
    """One request as it came: the head's lines and the body, framed as the head says."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


Script = Callable[[socket.socket, Seen], bool]  # writes an answer; whether the connection stays


def answer(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "", length: bool = True) -> Script:
    def play(sock: socket.socket, seen: Seen) -> bool:
        framing = f"Content-Length: {len(body)}\r\n" if length else ""
        head = f"HTTP/1.1 {status}\r\n{framing}{headers}\r\n".encode("latin-1")
        sock.sendall(head if seen.method == "HEAD" else head + body)
        return True

    return play


def raw(data: bytes, *, stays: bool = False) -> Script:
    def play(sock: socket.socket, seen: Seen) -> bool:
        sock.sendall(data)
        return stays

    return play


def watch(*events: bytes) -> Script:
    """A watch that tells its events and then says nothing until the hub ends the connection."""

    def play(sock: socket.socket, seen: Seen) -> bool:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(head + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events))
        wait_for_end(sock)
        return False

    return play


def echo(protocol: str) -> Script:
    """Changes the protocol and sends back whatever comes, byte for byte, until ``bye``."""

    def play(sock: socket.socket, seen: Seen) -> bool:
        sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n".encode())
        while data := sock.recv(65536):
            sock.sendall(data)
            if data.endswith(b"bye"):
                break
        return False

    return play


def wait_for_end(sock: socket.socket) -> None:
    """Returns when the hub has ended the connection."""
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


@dataclass
class RecordingApi:
    """One thread per connection. Without a script for a request, ``default`` is played."""

    certificate: KeyPair
    requests: list[Seen] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)  # by connection: all of it, in order
    default: Script = field(default_factory=answer)
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # one for each ended connection

    def __post_init__(self) -> None:
        self._scripts: list[Script] = []
        self._changed = threading.Condition()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            pem = Path(folder) / "server.pem"
            pem.write_text(self.certificate.certificate_pem + self.certificate.key_pem)
            self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.received)

    def will(self, *scripts: Script) -> None:
        self._scripts.extend(scripts)

    def wait_for(self, count: int) -> list[Seen]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, DEADLINE), "the request did not come"
        return self.requests

    def wait_for_ends(self, count: int = 1) -> float:
        """Seconds until so many more connections have ended."""
        began = time.monotonic()
        for _ in range(count):
            assert self.ended.acquire(timeout=DEADLINE), "the hub kept its connection"
        return time.monotonic() - began

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self._context.wrap_socket(plain, server_side=True) as sock:
                self._open.add(sock)
                number = len(self.received)
                self.received.append(b"")
                try:
                    for seen in self._read(sock, number):
                        if not self._next(seen)(sock, seen):
                            break
                finally:
                    self._open.discard(sock)
        except OSError:
            plain.close()
        finally:
            self.ended.release()

    def _next(self, seen: Seen) -> Script:
        with self._changed:
            self.requests.append(seen)
            script = self._scripts.pop(0) if self._scripts else self.default
            self._changed.notify_all()
        return script

    def _read(self, sock: socket.socket, number: int) -> Iterator[Seen]:
        data = b""

        def more() -> bool:
            nonlocal data
            part = sock.recv(65536)
            data += part
            self.received[number] += part
            return bool(part)

        while True:
            while b"\r\n\r\n" not in data:
                if not more():
                    return
            head, data = data.split(b"\r\n\r\n", 1)
            line, *lines = head.decode("latin-1").split("\r\n")
            headers = [(name, value.strip()) for name, _, value in (text.partition(":") for text in lines)]
            seen = Seen(line, headers, b"", number)
            if seen.all("transfer-encoding"):
                while not data.endswith(b"0\r\n\r\n"):
                    if not more():
                        return
                seen.body, data = data, b""
            length = int((seen.all("content-length") or ["0"])[0])
            while len(data) < length:
                if not more():
                    return
            if length:
                seen.body, data = data[:length], data[length:]
            yield seen
