"""The server on the public port: TLS, one task per connection, bounds on both, and an orderly end."""

import asyncio
import contextlib
import errno
import resource
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable

import structlog

from hub.core.environment import Environment, InvalidEnvironment
from kube.relay.heads import HEAD_LIMIT
from kube.relay.upstream import SocketDialer, keep_alive

from .audit_writer import AuditWriter
from .connection import Connection, Incoming, Waiting
from .kubernetes import KubernetesProxy
from .members import Members
from .registry import StreamRegistry
from .rights import Rights
from .usage import Usage
from .web import relay_to_web, web_pool

BACKLOG = 1024
HANDSHAKE_TIMEOUT = 10.0
MOST_CONNECTIONS = 4096
MOST_WAITING = 1200  # connections that have asked for nothing (yet); with TLS and churn each takes about 75 KiB
SPARE_FILES = 256  # open files beside connections: databases, logs, idle upstreams
DRAIN_SECONDS = 10.0
ACCEPT_PAUSE = 0.5  # after the system has refused another socket

log = structlog.get_logger(__name__)


class StreamServer:
    """Everything that one process of the public port holds."""

    def __init__(
        self, settings: Environment, *, most_connections: int = MOST_CONNECTIONS, most_waiting: int = MOST_WAITING
    ) -> None:
        self._settings = settings
        self._most_connections = most_connections
        self._most_waiting = most_waiting
        self._registry = StreamRegistry()
        self._rights = Rights(self._hold_rights_against_what_is_open)
        self._members = Members()
        self._audit = AuditWriter()
        self._usage = Usage()
        self._proxy = KubernetesProxy(self._rights, self._members, self._audit, self._registry, self._usage)
        self._web = web_pool(SocketDialer(settings.web_socket_path))
        self._connections: set[asyncio.Task[None]] = set()
        self._waiting = Waiting()

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._most_connections = min(self._most_connections, connections_that_files_allow())
        await self.serve(stop)

    async def serve(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Serves until ``stop``; then lets what is under way end for some seconds, and cuts the rest.

        Raises OSError when the address cannot be had, InvalidEnvironment when the certificate cannot be used.
        """
        context = server_context(self._settings)
        listener = listen(*self._settings.listen_address)
        await self._rights.look_again()
        accepting = asyncio.create_task(self._accept(listener, context))
        jobs = (self._rights.keep_fresh(), self._audit.run(), self._usage.run())
        background = [asyncio.create_task(job) for job in jobs]
        log.info("listening", address=self._settings.listen)
        started()
        try:
            await _until_any(stop.wait(), accepting, *background)
        finally:
            await _end(accepting)
            listener.close()
            await self._drain()
            await _end(*background)
            self._members.close()
            self._web.close()

    async def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        """Accepts by hand, so that a connection counts from its first byte and not only after its TLS handshake."""
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    log.error("cannot_accept", error=error.strerror)
                    await asyncio.sleep(ACCEPT_PAUSE)
                continue
            full = len(self._connections) >= self._most_connections or len(self._waiting) >= self._most_waiting
            if full and not self._waiting.end_longest():
                log.warning("too_many_connections")
                connection.close()
                continue
            task = asyncio.create_task(self._serve_connection(connection, context))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve_connection(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        keep_alive(connection)
        connection.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # what is small and late, as events are, goes at once
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=HEAD_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            with self._waiting.here():
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
                )
        except OSError:  # no TLS, no trust in our certificate, or silence
            connection.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await Connection(reader, writer, self._route, self._waiting).serve()

    async def _route(self, incoming: Incoming) -> bool:
        if incoming.head.path.startswith("/k8s/"):
            return await self._proxy(incoming)
        return await relay_to_web(self._web, incoming)

    def _hold_rights_against_what_is_open(self) -> None:
        cut = self._registry.cut_revoked()
        if cut:
            log.info("streams_cut", count=cut)
        if self._rights.snapshot is not None:
            self._members.keep_only(self._rights.snapshot.clusters)

    async def _drain(self) -> None:
        """Ends who has asked for nothing, waits for the others, then ends them too."""
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self._connections and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._waiting.end_all()
            await asyncio.wait(self._connections, timeout=min(left, 0.1))
        await _end(*self._connections)


def listen(host: str, port: int) -> socket.socket:
    """The listening socket; ``::`` takes IPv4 too. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::")
    listener.setblocking(False)
    return listener


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


def connections_that_files_allow() -> int:
    """How many connections this process has files for; each may need a second one to an upstream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    unlimited = soft == resource.RLIM_INFINITY
    return MOST_CONNECTIONS if unlimited else max(16, (soft - SPARE_FILES) // 2)


async def _until_any(*waits: Awaitable[object]) -> None:
    """Returns when the first ends; raises what it raised, so that a broken background task ends the process."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        with contextlib.suppress(asyncio.CancelledError):
            task.result()


async def _end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
