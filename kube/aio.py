"""The asynchronous client: the same verbs, and watches, for whoever looks at many objects at once.

As ``kube.client`` it follows no redirect and sends no request twice. A list/watch that survives everything is
``kube.reflector``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kube import verbs
from kube.credentials import Credentials, Server
from kube.errors import (
    Garbled,
    KubeError,
    NotFound,
    RequestTimeout,
    ResponseTooLarge,
    TlsRefused,
    Unavailable,
    error_from_response,
    summary_error,
)
from kube.guard import AddressGuard, host_literal
from kube.resources import Object, Resource
from kube.tls import client_context
from kube.wire import (
    JSON,
    MAX_RESPONSE_BYTES,
    Page,
    Query,
    WatchEvent,
    decode_body,
    decode_page,
    decode_watch_line,
    encode_body,
    encode_target,
    expect_object,
    request_headers,
)

CONNECT_SECONDS = 5.0
MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The API refuses objects beyond 1.5 MiB; an event's JSON may be somewhat longer than what was written."""


class AsyncKubeClient:
    """Verbs and watches of one Kubernetes API, used from one event loop. Every method raises KubeError."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        guard: AddressGuard,
        timeout: float = 10.0,
        field_manager: str = "paddock",
        impersonate_user: str | None = None,
        impersonate_groups: Sequence[str] = (),
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        """Connects to nothing yet. Raises TlsRefused when the key material is unusable, ValueError for an identity
        that cannot stand in a header."""
        self._headers = request_headers(credentials, impersonate_user, impersonate_groups)
        self._context = client_context(credentials)
        self._tls_server_name = credentials.tls_server_name
        self._servers = [Server.parse(url) for url in credentials.servers]
        self._preferred = 0
        self._guard = guard
        self._timeout = timeout
        self._field_manager = field_manager
        self._max_response_bytes = max_response_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections; watches that are open end with Unavailable."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return expect_object(await self.call("GET", resource.path(namespace, name)))

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when the API says that there is none (and not when the path is not served)."""
        try:
            return await self.get(resource, name, namespace)
        except NotFound:
            return None

    async def list_page(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int,
        continue_token: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Page:
        """One page. Raises Expired when ``continue_token`` is too old."""
        call = verbs.build_list(
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_token=continue_token,
        )
        return decode_page(resource, await self._run(call))

    async def create(self, resource: Resource, obj: Object, *, dry_run: bool = False) -> Object:
        call = verbs.build_create(resource, obj, manager=self._field_manager, dry_run=dry_run)
        return expect_object(await self._run(call))

    async def replace(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        call = verbs.build_replace(resource, obj, manager=self._field_manager, subresource=subresource)
        return expect_object(await self._run(call))

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: verbs.PatchBody,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        kind: verbs.PatchKind = "merge",
    ) -> Object:
        manager = self._field_manager
        call = verbs.build_patch(resource, name, body, namespace, manager=manager, subresource=subresource, kind=kind)
        return expect_object(await self._run(call))

    async def apply(
        self,
        resource: Resource,
        obj: Object,
        *,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        manager = self._field_manager
        call = verbs.build_apply(resource, obj, manager=manager, force=force, subresource=subresource, dry_run=dry_run)
        return expect_object(await self._run(call))

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: verbs.Propagation = "Background",
        grace_seconds: int | None = None,
    ) -> bool:
        """True when the object was there, False when not; see ``KubeClient.delete``."""
        call = verbs.build_delete(
            resource,
            name,
            namespace,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
            grace_seconds=grace_seconds,
        )
        try:
            await self._run(call)
        except NotFound:
            return False
        return True

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float | None = None,  # noqa: ASYNC109  # the same signature as KubeClient's
    ) -> Any:
        """Any request. Answers decoded JSON (None when the body is empty), or text when ``accept`` is not JSON."""
        payload = encode_body(body)
        headers = [("Accept", accept)]
        if payload is not None:
            headers.append(("Content-Type", content_type))
        limits = aiohttp.ClientTimeout(
            total=self._timeout if timeout is None else timeout, sock_connect=CONNECT_SECONDS
        )
        async with self._open(method, encode_target(path, query), headers, payload, limits) as response:
            return decode_body(await self._read(response), accept)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        resource_version: str | None = None,
        timeout_seconds: int = 300,
        idle_timeout: float = 90.0,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after ``resource_version``, bookmarks among them, until the server ends the watch, which it does
        after about ``timeout_seconds``.

        Raises RequestTimeout when no whole event came for ``idle_timeout`` seconds: the connection may be half open
        (FLT-20), and bookmarks come about every minute. Raises Expired when the version is too old (FLT-19). Leave it
        early under ``contextlib.aclosing``, so that the connection is closed at once.
        """
        call = verbs.build_watch(
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
            timeout_seconds=timeout_seconds,
        )
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle_timeout)
        target = encode_target(call.path, call.query)
        async with self._open(call.method, target, [("Accept", JSON)], None, limits) as response:
            async for line in _read_lines(response.content, idle_timeout):
                yield decode_watch_line(line)

    async def _run(self, call: verbs.Call) -> Any:
        return await self.call(call.method, call.path, query=call.query, body=call.body, content_type=call.content_type)

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        payload: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 2xx answer whose body is still to be read; errors while it is read are told as KubeError too."""
        response = await self._send(method, target, headers, payload, limits)
        try:
            if not 200 <= response.status < 300:
                raise error_from_response(response.status, response.headers, await self._read(response))
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Garbled("The answer is compressed although none was asked for")
            yield response
        except TimeoutError as error:
            raise RequestTimeout("The answer did not go on in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Garbled("The answer broke off") from error
        finally:
            # Back to the pool when it was read to its end, else closed.
            response.close() if not response.content.at_eof() else response.release()

    async def _send(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        payload: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Sends to the first server to which a connection can be made, beginning with the one that answered last."""
        failures: list[KubeError] = []
        for index, server in self._in_order():
            try:
                if host_literal(server.host) is not None:  # aiohttp asks its resolver for names only
                    self._guard.resolve(server.host, server.port)
                response = await self._open_session().request(
                    method,
                    URL(f"https://{server.authority}{server.path}{target}", encoded=True),
                    headers=[*self._headers, *headers],
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
            except TimeoutError as error:
                raise RequestTimeout("No answer in time") from error
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


async def _read_lines(content: aiohttp.StreamReader, idle_timeout: float) -> AsyncIterator[bytes]:
    """Whole lines; TimeoutError when none was completed for ``idle_timeout`` seconds, however many bytes came."""
    loop = asyncio.get_running_loop()
    rest = bytearray()
    deadline = loop.time() + idle_timeout
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
            deadline = loop.time() + idle_timeout  # after the consumer is done with them: its time is not the server's
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
