"""Connections to one upstream, kept warm: an API server over TLS, or the hub's own web process over a unix socket.

A connection is lent for one exchange and comes back only when both sides ended their messages cleanly; after an upgrade, a
cut or an unread answer it is closed (SEC-19, SEC-25). Which addresses may be reached is the guard's word.
"""

import asyncio
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..credentials import Server
from ..errors import KubeError
from ..guard import AddressGuard
from .heads import HEAD_LIMIT

CONNECT_TIMEOUT = 5.0
IDLE_LIFETIME = 45.0  # below the idle timeout of kube-apiserver and of the load balancers before it
MOST_IDLE = 32

# Seconds of silence before the kernel asks whether a peer is still there, between two questions, and how many go unanswered.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class UpstreamUnreachable(Exception):
    """No endpoint took a connection; the text is the last reason, without addresses or what the peer may have said."""


@dataclass(slots=True)
class Link:
    """One connection to an upstream. ``authority`` is what its Host header says, "" for the client's own.

    ``reused`` tells that it may have gone stale while it was idle.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    authority: str = ""
    reused: bool = False
    idle_since: float = field(default=0.0)

    @property
    def silent(self) -> bool:
        """Still open, and nothing has come that was not asked for: such bytes would be taken for the next answer."""
        unasked = self.reader._buffer  # type: ignore[attr-defined]  # asyncio has no other way to ask
        return not unasked and not self.reader.at_eof() and not self.writer.is_closing()

    def close(self) -> None:
        self.writer.close()


class Dialer(Protocol):
    """Opens one connection. Raises UpstreamUnreachable."""

    async def dial(self) -> Link: ...


class TlsDialer:
    """Tries an API server's endpoints, the one that answered last first; each name is resolved once, by the guard, and that
    address is connected.
    """

    def __init__(
        self, servers: Sequence[str], context: ssl.SSLContext, guard: AddressGuard, server_name: str | None = None
    ) -> None:
        self._servers = deque(Server.parse(url) for url in servers)
        self._context = context
        self._guard = guard
        self._server_name = server_name

    async def dial(self) -> Link:
        reason = "no endpoint is known"
        for server in tuple(self._servers):
            try:
                link = await self._connect(server)
            except (KubeError, OSError) as error:
                reason = _reason(error)
                continue
            self._servers.remove(server)
            self._servers.appendleft(server)
            return link
        raise UpstreamUnreachable(reason)

    async def _connect(self, server: Server) -> Link:
        last: OSError = ConnectionRefusedError()
        for address in await self._guard.resolve_async(server.host, server.port):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    reader, writer = await asyncio.open_connection(
                        address,
                        server.port,
                        ssl=self._context,
                        server_hostname=self._server_name or server.host,
                        limit=HEAD_LIMIT,
                    )
            except ssl.SSLError:
                raise
            except OSError as error:  # TimeoutError is one too
                last = error
            else:
                keep_alive(writer.get_extra_info("socket"))
                return Link(reader, writer, server.authority)
        raise last


@dataclass(frozen=True)
class SocketDialer:
    """Connects to a unix socket."""

    path: Path

    async def dial(self) -> Link:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return Link(*await asyncio.open_unix_connection(str(self.path), limit=HEAD_LIMIT))
        except OSError as error:
            raise UpstreamUnreachable("nothing answers there") from error


class UpstreamPool:
    """Lends connections of one dialer. ``idle_lifetime`` is in seconds, below the upstream's own."""

    def __init__(self, dialer: Dialer, *, idle_lifetime: float = IDLE_LIFETIME) -> None:
        self._dialer = dialer
        self._idle_lifetime = idle_lifetime
        self._idle: deque[Link] = deque()  # the longest idle first
        self._closed = False

    async def lend(self, *, fresh: bool = False) -> Link:
        """The most recently used idle connection, or a new one. Raises UpstreamUnreachable."""
        self._close_old()
        while self._idle and not fresh:
            link = self._idle.pop()
            if link.silent:
                link.reused = True
                return link
            link.close()
        return await self._dialer.dial()

    def take_back(self, link: Link) -> None:
        """Keeps a connection whose exchange ended cleanly."""
        self._close_old()
        if self._closed or len(self._idle) >= MOST_IDLE or not link.silent:
            link.close()
            return
        link.idle_since = time.monotonic()
        self._idle.append(link)

    def close(self) -> None:
        """Closes what is idle; what is lent closes when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _close_old(self) -> None:
        oldest = time.monotonic() - self._idle_lifetime
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().close()


def keep_alive(connection: socket.socket) -> None:
    """Lets the kernel find out when a silent TCP peer is gone; without it a stream to one would stay for ever (FLT-20)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _reason(error: KubeError | OSError) -> str:
    if isinstance(error, KubeError):
        return "its address is refused or not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "TLS with it failed"
    if isinstance(error, TimeoutError):
        return f"it did not answer within {CONNECT_TIMEOUT:.0f} s"
    return os.strerror(error.errno).lower() if error.errno else "the connection failed"  # asyncio's text has addresses
