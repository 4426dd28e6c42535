"""The way to an API server step by step (connection, certificate, clock), so that an import can say where it ends.

The name is resolved by ``AddressGuard.resolve``; what comes after these steps is asked through ``KubeClient``.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from kube.credentials import Credentials, Server
from kube.errors import TlsRefused, Unavailable
from kube.guard import AddressGuard
from kube.tls import client_context
from kube.transport import Transport
from kube.wire import request_headers

MAX_CLOCK_RESPONSE = 1024 * 1024

# OpenSSL's verdicts on a certificate that is in order but belongs to another name or address.
_WRONG_NAME = frozenset({62, 64})


class WrongServerName(TlsRefused):
    """The certificate is one of the CA, but not for the host asked for; ``names`` are those that it is for."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("The server's certificate is for another name or address")
        self.names = tuple(names)


def find_open_address(addresses: Sequence[str], port: int, *, timeout: float) -> str:
    """The first address that takes a TCP connection; ``addresses`` come from the guard. Raises Unavailable."""
    for address in addresses:
        try:
            with socket.create_connection((address, port), timeout):
                return address
        except OSError:
            continue
    raise Unavailable("No connection was made: refused, filtered or no route")


def check_certificate(address: str, server: Server, credentials: Credentials, *, timeout: float) -> None:
    """One TLS handshake with ``address`` under the credentials' CA. Raises WrongServerName, TlsRefused, Unavailable."""
    host = credentials.tls_server_name or server.host
    try:
        _shake_hands(address, server.port, host, client_context(credentials), timeout)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _WRONG_NAME:
            raise WrongServerName(_certified_names(address, server.port, host, credentials, timeout)) from error
        raise TlsRefused(f"The server's certificate is refused: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise TlsRefused(f"TLS was not agreed on: {error.reason or 'no reason given'}") from error
    except OSError as error:
        raise Unavailable("The connection ended during the TLS handshake") from error


def read_clock(credentials: Credentials, guard: AddressGuard, *, timeout: float) -> datetime | None:
    """The API server's time to the second, from the Date of an answer; None when it tells none. Raises KubeError."""
    transport = Transport(credentials, guard, max_response_bytes=MAX_CLOCK_RESPONSE)
    try:
        headers = [*request_headers(credentials, None, ()), ("Accept", "application/json")]
        told = transport.send("GET", "/version", headers, None, timeout).headers.get("Date")
    finally:
        transport.close()
    try:
        moment = parsedate_to_datetime(told) if told else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _shake_hands(address: str, port: int, host: str, context: ssl.SSLContext, timeout: float) -> dict[str, Any]:
    with (
        socket.create_connection((address, port), timeout) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return dict(secured.getpeercert() or {})


def _certified_names(address: str, port: int, host: str, credentials: Credentials, timeout: float) -> list[str]:
    """The names in the certificate. Its chain is verified all the same, and nothing is sent over this connection."""
    context = client_context(credentials)
    context.check_hostname = False
    try:
        certificate = _shake_hands(address, port, host, context, timeout)
    except OSError:
        return []
    return [str(value) for _, value in certificate.get("subjectAltName", ())]
