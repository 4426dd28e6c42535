"""The server on the public port: TLS, one task per connection, and an orderly end."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Awaitable, Callable

import structlog

from hub.core.environment import Environment, InvalidEnvironment
from kube.relay.heads import HEAD_LIMIT
from kube.relay.upstream import SocketDialer, UpstreamPool

from .audit_writer import AuditWriter
from .connection import Connection, Incoming
from .kubernetes import KubernetesProxy
from .members import Members
from .registry import StreamRegistry
from .rights import Rights
from .usage import TokenUsage
from .web import relay_to_web

BACKLOG = 1024
DRAIN_SECONDS = 10.0

log = structlog.get_logger(__name__)


class StreamServer:
    """Everything that one process of the public port holds."""

    def __init__(self, settings: Environment) -> None:
        self._settings = settings
        self._registry = StreamRegistry()
        self._rights = Rights(self._registry.cut_revoked)
        self._members = Members()
        self._audit = AuditWriter()
        self._usage = TokenUsage()
        self._proxy = KubernetesProxy(self._rights, self._members, self._audit, self._registry, self._usage)
        self._web = UpstreamPool(SocketDialer(settings.web_socket_path))
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Serves until SIGTERM or SIGINT; then lets what is under way end for some seconds, and cuts the rest."""
        host, port = self._settings.listen_address
        server = await asyncio.start_server(
            self._accept, host, port, ssl=server_context(self._settings), limit=HEAD_LIMIT, backlog=BACKLOG
        )
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        jobs = (self._rights.keep_fresh(), self._audit.run(), self._usage.run())
        background = [asyncio.create_task(job) for job in jobs]
        log.info("listening", address=self._settings.listen)
        started()
        try:
            await _until_any(stop.wait(), *background)
        finally:
            server.close()
            await self._drain()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            self._members.close()
            self._web.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections.add(task)
        try:
            await Connection(reader, writer, self._route).serve()
        finally:
            self._connections.discard(task)

    async def _route(self, incoming: Incoming) -> bool:
        if incoming.is_kubernetes:
            return await self._proxy(incoming)
        return await relay_to_web(self._web, incoming)

    async def _drain(self) -> None:
        if self._connections:
            await asyncio.wait(self._connections, timeout=DRAIN_SECONDS)
        self._registry.cut_all()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


def server_context(settings: Environment) -> ssl.SSLContext:
    """TLS of the public port. Raises InvalidEnvironment when the certificate cannot be used."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        raise InvalidEnvironment(
            "PADDOCK_TLS_CERT_FILE and PADDOCK_TLS_KEY_FILE are not set: the hub speaks HTTPS only"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidEnvironment(f"PADDOCK_TLS_CERT_FILE: the certificate cannot be used ({error})") from error
    return context


async def _until_any(*waits: Awaitable[object]) -> None:
    """Returns when the first ends; raises what it raised, so that a broken background task ends the process."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        with contextlib.suppress(asyncio.CancelledError):
            task.result()
