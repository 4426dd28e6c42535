"""The one way out for everything that is not a Kubernetes API: OpenID providers, their administration, webhooks.

A session of requests in which only HTTPS is spoken, each connection goes to an address that the guard gave for the name
(resolved once, looked at again after the connect), redirects are answers and not followed, the environment's proxies do
not exist, and an answer has a greatest size and a last moment (SEC-58, SEC-60). Libraries that bring their own session
are handed this one; nothing else in the hub imports requests. Kubernetes APIs are ``kube``'s.
"""

import socket
import ssl
import time
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as HttpTimeout

from kube.errors import AddressRefused, Unavailable
from kube.guard import AddressGuard

from .address_guard import address_guard

TIMEOUT = 10.0
MAXIMUM_BYTES = 4 * 1024 * 1024
ADDRESSES_TRIED = 4
_CHUNK = 64 * 1024


class OutboundError(Exception):
    """Nothing usable came back. The text is for the administrator who named the address; it never shows the answer."""


class OutboundRefused(OutboundError):
    """The address, the scheme or the size is not allowed: asking again is of no use."""


def guarded_session(
    *,
    ca_pem: str = "",
    timeout: float = TIMEOUT,
    guard: AddressGuard | None = None,
    maximum_bytes: int = MAXIMUM_BYTES,
) -> requests.Session:
    """A new session; the caller closes it, or uses it as a context.

    ``ca_pem`` are the only authorities trusted, "" means the system's. ``timeout`` is in seconds for a whole exchange
    from the connect to the last byte. What the caller or a library sets for ``timeout``, ``verify``, ``proxies``,
    ``stream`` or ``allow_redirects`` has no effect. Its calls raise OutboundError. Raises OutboundRefused when ``ca_pem``
    is none.
    """
    return _GuardedSession(_GuardedAdapter(_context(ca_pem), guard or address_guard(), timeout, maximum_bytes))


def _context(ca_pem: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
    except (ssl.SSLError, ValueError) as error:
        raise OutboundRefused("The CA is not a PEM certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _DeadlineSocket
    return context


class _GuardedSession(requests.Session):
    def __init__(self, adapter: "_GuardedAdapter") -> None:
        super().__init__()
        self.trust_env = False  # neither proxies nor .netrc
        self.adapters.clear()
        self.mount("https://", adapter)
        self.headers["Accept-Encoding"] = "identity"
        self.headers["User-Agent"] = "paddock"

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            return super().request(*args, **kwargs)
        except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
            raise OutboundRefused("The address must begin with https://") from error
        except (requests.exceptions.InvalidURL, UnicodeError) as error:
            raise OutboundRefused("The address is not a plain URL") from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise OutboundError(_reason(error)) from error

    def get_redirect_target(self, resp: requests.Response) -> None:
        """A redirect is an answer like any other: its target has not been looked at."""
        return


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext, guard: AddressGuard, timeout: float, maximum_bytes: int) -> None:
        self._context = context
        self._guard = guard
        self._timeout = timeout
        self._maximum_bytes = maximum_bytes
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        guard = self._guard

        class Connection(_GuardedConnection):
            address_guard = guard

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"https": Pool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: object, cert: object = None
    ) -> tuple[Any, Any]:
        parts = urlsplit(str(request.url))
        return {"scheme": parts.scheme, "host": parts.hostname, "port": parts.port}, {}

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        """The context says whom to trust; there is no call that trusts anybody else."""

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> NoReturn:
        raise OutboundRefused("Proxies are not used")

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if "@" in urlsplit(str(request.url)).netloc:
            raise OutboundRefused("Credentials do not belong into an address")
        deadline = time.monotonic() + self._timeout
        response = super().send(request, stream=True, timeout=self._timeout)
        try:
            self._read(response, deadline)
        except BaseException:
            response.raw.close()  # what is still on its way must not be read as the next answer
            raise
        finally:
            response.raw.release_conn()
        return response

    def _read(self, response: requests.Response, deadline: float) -> None:
        """Takes the body now, within its limits, so that whoever reads the response has it already."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise OutboundRefused("The answer is compressed although none was asked for")
        body = bytearray()
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > self._maximum_bytes:
                raise OutboundRefused(f"The answer is larger than {self._maximum_bytes} bytes")
            if time.monotonic() > deadline:
                raise OutboundError("The answer did not end in time")
        response._content = bytes(body)
        response._content_consumed = True


class _DeadlineSocket(ssl.SSLSocket):
    """A TLS socket whose reads together end at ``deadline`` (time.monotonic), however little each brings."""

    deadline: float | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.deadline is not None:
            remaining = self.deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the deadline has passed")
            self.settimeout(remaining)
        return super().recv_into(*args, **kwargs)


class _GuardedConnection(HTTPSConnection):
    """Connects to what the guard gave for the name and to nothing else."""

    address_guard: AddressGuard

    def _new_conn(self) -> socket.socket:
        try:
            addresses = self.address_guard.resolve(self._dns_host, self.port)
        except AddressRefused as error:
            raise OutboundRefused(error.message) from error
        except Unavailable as error:
            raise OutboundError(error.message) from error
        failure: OSError | None = None
        for address in addresses[:ADDRESSES_TRIED]:
            try:
                return self._connect_to(address)
            except OSError as error:
                failure = error
        raise NewConnectionError(self, "The connection was not made: refused, no route or too slow") from failure

    def _connect_to(self, address: str) -> socket.socket:
        connection = socket.create_connection((address, self.port), timeout=self._seconds() / ADDRESSES_TRIED)
        reached = str(connection.getpeername()[0])
        if not self.address_guard.permits(reached, self.port):
            connection.close()
            raise OutboundRefused("The connection led to an address that is not allowed")
        connection.settimeout(self._seconds())
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        if isinstance(self.sock, _DeadlineSocket):
            self.sock.deadline = time.monotonic() + self._seconds()

    def _seconds(self) -> float:
        return float(self.timeout) if isinstance(self.timeout, int | float) else TIMEOUT


def _reason(error: Exception) -> str:
    """What went wrong in words of ours: no part of an answer, no inner address."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return "The server's certificate is not trusted"
    if isinstance(error, requests.exceptions.SSLError | ssl.SSLError):
        return "TLS was not agreed on"
    if isinstance(error, requests.Timeout | HttpTimeout | TimeoutError):
        return "No answer came in time"
    if isinstance(error, requests.ConnectionError | ProtocolError | OSError):
        return "The server cannot be reached, or ended the connection"
    return "The server did not answer in HTTP"
