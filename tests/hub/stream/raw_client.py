"""A client that sends bytes as they are and reads answers by the letter of RFC 9112."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import ssl
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TIMEOUT = 15.0


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The hub's error code, from a Status or a problem document."""
        document = self.json
        return str(document["details"]["causes"][0]["reason"] if document.get("kind") == "Status" else document["code"])


class RawClient:
    """One TLS connection."""

    def __init__(self, port: int, ca_pem: str) -> None:
        context = _context(ca_pem)
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.sock = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    def reset(self) -> None:
        """Goes away without a word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def request(self, method: str, path: str, *lines: str, body: bytes = b"") -> Answer:
        """Sends a request with these header lines and reads its answer."""
        self.send(render(method, path, *lines, body=body))
        return self.answer(method)

    def head(self) -> Answer:
        """The next head of an answer, without its body."""
        while b"\r\n\r\n" not in self._buffer:
            part = self.sock.recv(65536)
            if not part:
                raise EOFError(self._buffer)
            self._buffer += part
        raw, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *lines = raw.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        return Answer(int(status), headers, b"")

    def answer(self, method: str = "GET") -> Answer:
        """The next whole answer."""
        answer = self.head()
        lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
        assert len(lengths) + len(codings) <= 1
        if method == "HEAD" or answer.status in {204, 304} or answer.status < 200:
            return answer
        if codings:
            answer.body = b"".join(iter(self.chunk, b""))
        else:
            answer.body = self.read(int(lengths[0]))
        return answer

    def chunk(self) -> bytes:
        """The next chunk's bytes, empty for the last one."""
        while b"\r\n" not in self._buffer:
            self._more()
        size = int(self._buffer.split(b"\r\n", 1)[0], 16)
        self._buffer = self._buffer.split(b"\r\n", 1)[1]
        data = self.read(size)
        assert self.read(2) == b"\r\n"
        return data

    def read(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._more()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data

    def ended(self) -> bytes:
        """What still comes until the hub ends the connection, by a close or a reset."""
        with contextlib.suppress(OSError):
            while part := self.sock.recv(65536):
                self._buffer += part
        return self._buffer

    def _more(self) -> None:
        part = self.sock.recv(65536)
        if not part:
            raise EOFError(self._buffer)
        self._buffer += part


@functools.cache
def _context(ca_pem: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_pem)


def render(method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    head = [f"{method} {path} HTTP/1.1", "Host: hub.test", *lines, *length]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
