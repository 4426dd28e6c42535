"""Asynchronous HTTPS to one Kubernetes API: what ``kube.transport`` is to the synchronous client.

A connection goes to an address that the guard gave and to no other; the next server is tried only while no connection
could be made, so no request is ever sent twice; and an answer has a greatest size.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kube.credentials import Credentials, Server
from kube.errors import (
    Garbled,
    KubeError,
    RequestTimeout,
    ResponseTooLarge,
    TlsRefused,
    Unavailable,
    error_from_response,
    summary_error,
)
from kube.guard import AddressGuard, host_literal
from kube.tls import client_context

CONNECT_SECONDS = 5.0
MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The API refuses objects beyond 1.5 MiB; an event's JSON may be somewhat longer than what was written."""

Headers = list[tuple[str, str]]


class AsyncTransport:
    """Sends requests to the servers of some credentials, within one event loop; keeps connections warm."""

    def __init__(self, credentials: Credentials, guard: AddressGuard, *, max_response_bytes: int) -> None:
        self._context = client_context(credentials)
        self._tls_server_name = credentials.tls_server_name
        self._servers = [Server.parse(url) for url in credentials.servers]
        self._preferred = 0
        self._guard = guard
        self._max_response_bytes = max_response_bytes
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)  # dropped connections close their sockets in the loop's next round

    async def call(self, method: str, target: str, headers: Headers, payload: bytes | None, seconds: float) -> bytes:
        """The body of a 2xx answer. Raises KubeError, for other answers too.

        Silence is borne for ``seconds``, and a connection and an answer that drips together for at most twice as long.
        """
        # aiohttp's total says nothing of whether a connection was made; the limit of connecting has to be met first.
        connect = min(CONNECT_SECONDS, seconds)
        limits = aiohttp.ClientTimeout(total=connect + seconds, sock_connect=connect, sock_read=seconds)
        async with self._open(method, target, headers, payload, limits, seconds) as response:
            return await self._read(response)

    async def lines(self, target: str, headers: Headers, idle_seconds: float) -> AsyncGenerator[bytes, None]:
        """The lines of a 2xx answer to GET, as they come, until it ends. Raises KubeError; RequestTimeout when no line
        was completed for ``idle_seconds``, however many bytes came."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle_seconds)
        async with self._open("GET", target, headers, None, limits, idle_seconds) as response:
            async for line in _read_lines(response.content, idle_seconds):
                yield line

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        target: str,
        headers: Headers,
        payload: bytes | None,
        limits: aiohttp.ClientTimeout,
        head_seconds: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 2xx answer whose body is still to be read; errors while it is read are told as KubeError too.

        The head, once there is a connection, and the body of an error may take ``head_seconds`` each.
        """
        try:
            async with asyncio.timeout(len(self._servers) * CONNECT_SECONDS + head_seconds):
                response = await self._send(method, target, headers, payload, limits)
        except TimeoutError as error:
            raise RequestTimeout("No answer in time") from error
        try:
            if not 200 <= response.status < 300:
                async with asyncio.timeout(head_seconds):
                    raise error_from_response(response.status, response.headers, await self._read(response))
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Garbled("The answer is compressed although none was asked for")
            yield response
        except TimeoutError as error:
            raise RequestTimeout("The answer did not go on in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Garbled("The answer broke off") from error
        finally:
            _give_back(response)

    async def _send(
        self,
        method: str,
        target: str,
        headers: Headers,
        payload: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Sends to the first server to which a connection can be made, beginning with the one that answered last.

        Raises TimeoutError when the head does not come in time.
        """
        failures: list[KubeError] = []
        for index, server in self._in_order():
            try:
                if host_literal(server.host) is not None:  # aiohttp asks its resolver for names only
                    self._guard.resolve(server.host, server.port)
                response = await self._open_session().request(
                    method,
                    URL(f"https://{server.authority}{server.path}{target}", encoded=True),
                    headers=headers,
                    data=payload,
                    timeout=limits,
                    allow_redirects=False,
                    server_hostname=self._tls_server_name,
                )
            except _BrokenRequest as error:
                raise error.told from error
            except KubeError as error:
                failures.append(error)  # the guard's word on this server
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                failures.append(_connection_error(error))
            except TimeoutError:
                raise
            except (aiohttp.ClientError, OSError) as error:
                raise Garbled("The answer is not HTTP") from error
            else:
                self._preferred = index
                return response
        raise summary_error(failures)

    def _in_order(self) -> Iterator[tuple[int, Server]]:
        order = [self._preferred, *(index for index in range(len(self._servers)) if index != self._preferred)]
        return ((index, self._servers[index]) for index in order)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_GuardResolver(self._guard), use_dns_cache=False, ssl=self._context, limit=0
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_never_twice,),
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_response_bytes:
                raise ResponseTooLarge(f"The answer is larger than {self._max_response_bytes} bytes")
        return bytes(body)


class _BrokenRequest(Exception):
    """The connection broke when the request may have arrived; carries the error to tell."""

    def __init__(self, told: KubeError) -> None:
        super().__init__(told.message)
        self.told = told


async def _never_twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Takes from aiohttp the errors at which it would send a PUT or DELETE once more on a new connection."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error.__cause__, ssl.SSLError):  # TLS 1.3 tells that a client certificate is refused only now
            raise _BrokenRequest(TlsRefused(f"The server ended TLS: {error.__cause__.reason}")) from error
        raise _BrokenRequest(Unavailable("The connection broke before an answer came")) from error


class _GuardResolver(AbstractResolver):
    """aiohttp connects to the addresses that this returns, and to no other."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._guard.resolve_async(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _give_back(response: aiohttp.ClientResponse) -> None:
    """Keeps the connection of an answer that was read to its end, and drops any other at once: a peer that is silent
    would not answer TLS's goodbye either."""
    connection = response.connection  # None when the end was read, or the connection broke
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


async def _read_lines(content: aiohttp.StreamReader, idle_seconds: float) -> AsyncIterator[bytes]:
    """Whole lines; TimeoutError when none was completed for ``idle_seconds`` seconds, however many bytes came."""
    loop = asyncio.get_running_loop()
    rest = bytearray()
    deadline = loop.time() + idle_seconds
    while True:
        async with asyncio.timeout_at(deadline):
            chunk = await content.readany()
        if not chunk:
            break
        rest += chunk
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield bytes(line)
            deadline = loop.time() + idle_seconds  # after the consumer is done with them: its time is not the server's
        elif len(rest) > MAX_EVENT_BYTES:
            raise ResponseTooLarge(f"An event is larger than {MAX_EVENT_BYTES} bytes")
    if rest.strip():
        raise Garbled("The watch was cut within an event")


def _connection_error(error: Exception) -> KubeError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = error.certificate_error
        told = reason.verify_message if isinstance(reason, ssl.SSLCertVerificationError) else "it cannot be verified"
        return TlsRefused(f"The server's certificate is refused: {told}")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return TlsRefused("TLS was not agreed on")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unavailable("The connection was not made in time")
    return Unavailable("The connection was not made: refused or no route")
