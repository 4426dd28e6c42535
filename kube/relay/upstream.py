"""Connections to one upstream, kept warm: an API server over TLS, or the hub's own web process over a unix socket.

A connection is lent for one exchange and comes back only when both sides ended their messages cleanly; after an upgrade, a
cut or an unread answer it is closed (SEC-19, SEC-25). Which addresses may be reached is the guard's word.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from ..guard import AddressGuard
from .heads import HEAD_LIMIT

CONNECT_TIMEOUT = 5.0
IDLE_LIFETIME = 45.0  # below the idle timeout of kube-apiserver and of the load balancers before it
MOST_IDLE = 32


class UpstreamUnreachable(Exception):
    """No endpoint took a connection; the text names the last reason, without what the peer may have said."""


@dataclass(slots=True)
class Link:
    """One connection to an upstream; ``reused`` tells that it may have gone stale while it was idle."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    reused: bool = False
    idle_since: float = field(default=0.0)

    @property
    def usable(self) -> bool:
        fresh = time.monotonic() - self.idle_since < IDLE_LIFETIME
        return fresh and not self.reader.at_eof() and not self.writer.is_closing()

    def close(self) -> None:
        self.writer.close()


class Dialer(Protocol):
    """Opens one connection. Raises UpstreamUnreachable."""

    async def dial(self) -> Link: ...


@dataclass(frozen=True)
class TlsDialer:
    """Tries an API server's endpoints in order; each name is resolved once, by the guard, and that address is connected."""

    servers: Sequence[str]
    context: ssl.SSLContext
    guard: AddressGuard
    server_name: str | None = None

    async def dial(self) -> Link:
        reason = "no endpoint is known"
        for server in self.servers:
            parts = urlsplit(server)
            host, port = parts.hostname or "", parts.port or 443
            try:
                addresses = await self.guard.resolve_async(host, port)
                return await self._connect(addresses, port, self.server_name or host)
            except ssl.SSLError as error:
                reason = f"TLS with {host}:{port} failed ({error.reason})"
            except TimeoutError:
                reason = f"{host}:{port} did not answer within {CONNECT_TIMEOUT:.0f} s"
            except OSError as error:
                reason = f"{host}:{port}: {error.strerror or 'connection failed'}"
        raise UpstreamUnreachable(reason)

    async def _connect(self, addresses: Sequence[str], port: int, name: str) -> Link:
        last: OSError = ConnectionRefusedError()
        for address in addresses:
            opening = asyncio.open_connection(address, port, ssl=self.context, server_hostname=name, limit=HEAD_LIMIT)
            try:
                return Link(*await asyncio.wait_for(opening, CONNECT_TIMEOUT))
            except ssl.SSLError:
                raise
            except OSError as error:  # TimeoutError is one too
                last = error
        raise last


@dataclass(frozen=True)
class SocketDialer:
    """Connects to a unix socket."""

    path: Path

    async def dial(self) -> Link:
        try:
            opening = asyncio.open_unix_connection(str(self.path), limit=HEAD_LIMIT)
            return Link(*await asyncio.wait_for(opening, CONNECT_TIMEOUT))
        except OSError as error:
            raise UpstreamUnreachable(error.strerror or "no answer") from error


class UpstreamPool:
    """Lends connections of one dialer."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._idle: deque[Link] = deque()
        self._closed = False

    async def lend(self, *, fresh: bool = False) -> Link:
        """The most recently used idle connection, or a new one. Raises UpstreamUnreachable."""
        while self._idle and not fresh:
            link = self._idle.pop()
            if link.usable:
                link.reused = True
                return link
            link.close()
        return await self._dialer.dial()

    def take_back(self, link: Link) -> None:
        """Keeps a connection whose exchange ended cleanly."""
        if self._closed or len(self._idle) >= MOST_IDLE:
            link.close()
            return
        link.idle_since = time.monotonic()
        self._idle.append(link)

    def close(self) -> None:
        """Closes what is idle; what is lent closes when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
