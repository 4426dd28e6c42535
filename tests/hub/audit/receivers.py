"""Receivers of syslog that play the part of a log collector: over TCP, TLS and UDP."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.bed.pki import Authority


class SyslogCollector:
    """Takes connections until it is closed; ``messages`` are what came, framed by octet counting, in order."""

    def __init__(
        self, authority: Authority | None = None, *, closes: bool = True, reset_after: int | None = None
    ) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self._closes = closes
        self._reset_after = reset_after
        self._context = _server_context(authority) if authority else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for kept in self._kept:
            kept.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with contextlib.suppress(OSError):
                    self._serve(connection)

    def _serve(self, plain: socket.socket) -> None:
        connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        connection.settimeout(10)
        data = b""
        while True:
            if self._reset_after is not None and len(data) >= self._reset_after:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()  # with bytes unread: a reset
                return
            part = connection.recv(1024)
            if not part:
                break
            data += part
        self.messages += split_frames(data)
        if self._closes:
            connection.close()
        else:
            self._kept.append(connection)


def split_frames(data: bytes) -> Iterator[bytes]:
    """The messages of a stream with octet counting."""
    while data:
        length, _, rest = data.partition(b" ")
        yield rest[: int(length)]
        data = rest[int(length) :]


def _server_context(authority: Authority) -> ssl.SSLContext:
    pair = authority.issue_server("collector", ["127.0.0.1", "localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        certificate.write_text(pair.certificate_pem)
        key.write_text(pair.key_pem)
        context.load_cert_chain(certificate, key)
    return context
