"""Addresses that a server listens on; each can break off on its own, as a machine that is switched off does."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_BACKLOG = 256
_SHUTDOWN_SECONDS = 0.2


class Listener:
    """One bound address with the connections that came in through it."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, handler: Handler) -> None:
        """Binds at once, so that ``port`` is known. Raises OSError when the address is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._context = context
        self._handler = handler
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    async def start(self) -> None:
        """Accept connections."""
        self._server = web.Server(self._handler, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.SockSite(self._runner, self._socket, ssl_context=self._context)
        await site.start()

    async def stop(self) -> None:
        """Break off every connection and give the address back."""
        if self._server is not None:
            for connection in self._server.connections:
                transport = connection.transport
                if transport is not None:
                    transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()
        await asyncio.sleep(0)
