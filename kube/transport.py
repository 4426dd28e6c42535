"""Synchronous HTTPS to one Kubernetes API: pinned addresses, several servers, one deadline over the whole answer.

``KubeClient`` stands on it. Here is what urllib3 leaves open: a connection goes to an address that the guard gave and
to no other; the next server is tried only while no connection could be made, so no request is ever sent twice; a
server that drips byte after byte still ends at the deadline; and an answer has a greatest size.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from kube.credentials import Credentials, Server
from kube.errors import (
    AddressRefused,
    Garbled,
    KubeError,
    RequestTimeout,
    ResponseTooLarge,
    TlsRefused,
    Unavailable,
    summary_error,
)
from kube.guard import AddressGuard
from kube.tls import client_context

CONNECT_SECONDS = 5.0
CONNECTIONS_KEPT = 10
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


class _DeadlineSocket(ssl.SSLSocket):
    """A TLS socket whose reads and writes together end at ``deadline`` (time.monotonic), however little each brings."""

    deadline: float | None = None

    def _arm(self) -> None:
        if self.deadline is not None:
            remaining = self.deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("The deadline has passed")
            self.settimeout(remaining)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        return super().send(*args, **kwargs)


class _NotConnected(Exception):
    """No connection was made, so nothing was sent. No error that urllib3 knows, so it lets this pass."""

    def __init__(self, error: KubeError) -> None:
        super().__init__(error.message)
        self.error = error


class _PinnedConnection(HTTPSConnection):
    """Tells a failed connection from a failed request, and gives each request its deadline."""

    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, HTTPError) as error:
            raise _NotConnected(_connection_error(error)) from error

    def set_deadline(self, deadline: float) -> None:
        if isinstance(self.sock, _DeadlineSocket):
            self.sock.deadline = deadline

    def request(self, *args: Any, **kwargs: Any) -> None:
        # urllib3 has put the connect timeout here; writing counts against the same.
        self.set_deadline(time.monotonic() + float(self.timeout or CONNECT_SECONDS))
        super().request(*args, **kwargs)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # urllib3 itself departs from http.client
        self.set_deadline(time.monotonic() + float(self.timeout or CONNECT_SECONDS))
        return super().getresponse()


class _PinnedPool(HTTPSConnectionPool):
    ConnectionCls = _PinnedConnection


@dataclass(slots=True)
class _Endpoint:
    """One server and the pools to its addresses, which are resolved once and again after a failure."""

    server: Server
    pools: list[_PinnedPool] = field(default_factory=list)


class Transport:
    """Sends requests to the servers of some credentials. Thread-safe; keeps connections warm until ``close``."""

    def __init__(self, credentials: Credentials, guard: AddressGuard, *, max_response_bytes: int) -> None:
        self._guard = guard
        self._context = client_context(credentials)
        self._context.sslsocket_class = _DeadlineSocket
        self._tls_server_name = credentials.tls_server_name
        self._endpoints = [_Endpoint(Server.parse(url)) for url in credentials.servers]
        self._preferred = 0
        self._lock = threading.Lock()
        self._max_response_bytes = max_response_bytes

    def send(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes | None, timeout: float
    ) -> Answer:
        """The answer to one request, whatever its status. ``target`` is path and query below the server's own path.

        ``timeout`` is in seconds from the request being sent to the last byte of the answer; making the connection
        has its own limit per address. Raises KubeError.
        """
        failures: list[KubeError] = []
        for index, endpoint in self._in_order():
            try:
                pools = self._pools_of(endpoint)
            except (AddressRefused, Unavailable) as error:
                failures.append(error)
                continue
            for pool in pools:
                try:
                    answer = self._send_to(pool, endpoint.server, method, target, headers, body, timeout)
                except _NotConnected as error:
                    failures.append(error.error)
                else:
                    self._preferred = index
                    return answer
            self._forget(endpoint)
        raise summary_error(failures)

    def close(self) -> None:
        for endpoint in self._endpoints:
            self._forget(endpoint)

    def _in_order(self) -> Iterator[tuple[int, _Endpoint]]:
        """From the server that answered last: a dead first one is not waited for at every request."""
        first = self._preferred
        order = [first, *(index for index in range(len(self._endpoints)) if index != first)]
        return ((index, self._endpoints[index]) for index in order)

    def _pools_of(self, endpoint: _Endpoint) -> list[_PinnedPool]:
        with self._lock:
            if endpoint.pools:
                return list(endpoint.pools)
        addresses = self._guard.resolve(endpoint.server.host, endpoint.server.port)
        with self._lock:
            if not endpoint.pools:
                endpoint.pools = [self._build_pool(address, endpoint.server) for address in addresses]
            return list(endpoint.pools)

    def _build_pool(self, address: str, server: Server) -> _PinnedPool:
        return _PinnedPool(
            address,
            server.port,
            maxsize=CONNECTIONS_KEPT,
            ssl_context=self._context,
            server_hostname=self._tls_server_name or server.host,
            retries=False,
        )

    def _forget(self, endpoint: _Endpoint) -> None:
        with self._lock:
            pools, endpoint.pools = endpoint.pools, []
        for pool in pools:
            pool.close()

    def _send_to(
        self,
        pool: _PinnedPool,
        server: Server,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        timeout: float,
    ) -> Answer:
        all_headers = urllib3.HTTPHeaderDict([("Host", server.authority), *headers])
        try:
            response = pool.urlopen(
                method,
                server.path + target,
                body=body,
                headers=all_headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout), read=timeout),
                preload_content=False,
                decode_content=False,
            )
        except ClosedPoolError as error:  # another thread has just given this address up
            raise _NotConnected(Unavailable("The connection was closed")) from error
        except (HTTPError, OSError) as error:
            raise _request_error(error) from error
        try:
            return Answer(response.status, response.headers, self._read(response))
        except (HTTPError, OSError) as error:
            response.close()
            raise _body_error(error) from error
        except KubeError:
            response.close()  # the rest of the body is still on its way: not a connection to keep
            raise
        finally:
            response.release_conn()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Garbled("The answer is compressed although none was asked for")
        body = bytearray()
        for chunk in response.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > self._max_response_bytes:
                raise ResponseTooLarge(f"The answer is larger than {self._max_response_bytes} bytes")
        return bytes(body)


def _connection_error(error: Exception) -> KubeError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsRefused(f"The server's certificate is refused: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return TlsRefused(f"TLS was not agreed on: {error.reason or 'no reason given'}")
    if isinstance(error, NewConnectionError):  # which urllib3 derives from its timeout
        return Unavailable("The connection was not made: refused or no route")
    if isinstance(error, ConnectTimeoutError | TimeoutError):
        return Unavailable("The connection was not made in time")
    return Unavailable("The connection was not made")


def _request_error(error: Exception) -> KubeError:
    """The error of a request that was sent, at least in part, and brought no answer's head."""
    if isinstance(error, ReadTimeoutError | TimeoutError | socket.timeout):
        return RequestTimeout("No answer in time")
    if isinstance(error, SSLError) and isinstance(error.args[0], ssl.SSLError):
        reason = error.args[0].reason or ""
        if "ALERT" in reason:  # TLS 1.3 tells that a client certificate is refused only now
            return TlsRefused(f"The server ended TLS: {reason}")
    cause = error.args[-1] if isinstance(error, ProtocolError) else None
    if isinstance(cause, HTTPException) and not isinstance(cause, ConnectionError):
        return Garbled("The answer is not HTTP")
    return Unavailable("The connection broke before an answer came")


def _body_error(error: Exception) -> KubeError:
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return RequestTimeout("The answer did not end in time")
    if isinstance(error, IncompleteRead) or (
        isinstance(error, ProtocolError) and any(isinstance(arg, IncompleteRead) for arg in error.args)
    ):
        return Garbled("The answer is truncated")
    return Garbled("The answer broke off")
