"""Events as syslog: RFC 5424 messages over TLS (RFC 5425), TCP with octet counting (RFC 6587) or UDP (RFC 5426).

The message is the event's JSON document. Over TLS and TCP each batch has a connection of its own that ends in order: a
receiver that closes without a reset after our last byte has read all of it, which is the nearest that syslog has to an
answer. UDP promises nothing.
"""

import fcntl
import json
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from urllib.parse import urlsplit

from hub.core.address_guard import address_guard
from hub.core.environment import environment
from hub.core.outbound import ADDRESSES_TRIED, OutboundError, OutboundRefused
from kube.errors import AddressRefused, Unavailable

from .documents import event_document
from .models import AuditEvent, Outcome

DEFAULT_PORTS = {"syslog+tls": 6514, "syslog+tcp": 601, "syslog+udp": 514}
TIMEOUT = 10.0
CLOSE_TIMEOUT = 3.0
FACILITY = 13  # log audit
_SEVERITIES = {Outcome.SUCCEEDED: 6, Outcome.FAILED: 4, Outcome.DENIED: 4, Outcome.UNKNOWN: 4}  # informational, warning
_APPLICATION = "paddock"
_MESSAGE_ID = "audit"


def render_message(event: AuditEvent, host: str) -> bytes:
    """One RFC 5424 message, ASCII, without framing. ``host`` is the hub's own name."""
    priority = FACILITY * 8 + _SEVERITIES[Outcome(event.outcome)]
    at = event.at.isoformat().replace("+00:00", "Z")
    content = json.dumps(event_document(event), separators=(",", ":"))  # escapes what could end a line
    return f"<{priority}>1 {at} {host} {_APPLICATION} - {_MESSAGE_ID} - {content}".encode("ascii")


def send_events(url: str, ca_pem: str, events: Sequence[AuditEvent]) -> None:
    """Hands the events over, in order. Raises OutboundError; then any of them may have arrived."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or DEFAULT_PORTS[parts.scheme]
    own_name = urlsplit(environment().url).hostname or "-"
    messages = [render_message(event, own_name) for event in events]
    try:
        if parts.scheme == "syslog+udp":
            _send_datagrams(host, port, messages)
        else:
            _send_stream(host, port, messages, _context(ca_pem) if parts.scheme == "syslog+tls" else None)
    except AddressRefused as error:
        raise OutboundRefused(error.message) from error
    except Unavailable as error:
        raise OutboundError(error.message) from error
    except ssl.SSLCertVerificationError as error:
        raise OutboundError("The server's certificate is not trusted") from error
    except OSError as error:
        raise OutboundError(
            f"The receiver did not take the events: {error.strerror or type(error).__name__}"
        ) from error


def _context(ca_pem: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
    except (ssl.SSLError, ValueError) as error:
        raise OutboundRefused("The CA is not a PEM certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _send_datagrams(host: str, port: int, messages: Sequence[bytes]) -> None:
    address = address_guard().resolve(host, port)[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(TIMEOUT)
        sender.connect((address, port))
        for message in messages:
            sender.send(message)


def _send_stream(host: str, port: int, messages: Sequence[bytes], context: ssl.SSLContext | None) -> None:
    with _connect(host, port) as plain:
        if context is None:
            plain.sendall(_framed(messages))
            plain.shutdown(socket.SHUT_WR)
            _await_close(plain, plain)
            return
        with context.wrap_socket(plain, server_hostname=host) as secured:
            secured.sendall(_framed(messages))
            _await_close(secured, secured)


def _framed(messages: Sequence[bytes]) -> bytes:
    """Octet counting: no byte of a message can be taken for its end."""
    return b"".join(b"%d %s" % (len(message), message) for message in messages)


def _connect(host: str, port: int) -> socket.socket:
    """A connection to an address that the guard gave for the name, looked at again after the connect (SEC-58)."""
    failure: OSError | None = None
    for address in address_guard().resolve(host, port)[:ADDRESSES_TRIED]:
        try:
            connection = socket.create_connection((address, port), timeout=TIMEOUT / ADDRESSES_TRIED)
        except OSError as error:
            failure = error
            continue
        if not address_guard().permits(str(connection.getpeername()[0]), port):
            connection.close()
            raise OutboundRefused("The connection led to an address that is not allowed")
        connection.settimeout(TIMEOUT)
        return connection
    raise failure or OSError("no address")


def _await_close(connection: socket.socket, counted: socket.socket) -> None:
    """Returns when the receiver has closed, or keeps the connection open and has at least acknowledged all bytes.

    Raises OSError for a reset: a receiver that goes with bytes unread resets.
    """
    connection.settimeout(CLOSE_TIMEOUT)
    try:
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()  # says goodbye, and waits for the other's
        else:
            while connection.recv(4096):
                pass
    except ssl.SSLEOFError:
        return  # closed without a goodbye of TLS, as some do
    except TimeoutError:
        unacknowledged: int = struct.unpack("i", fcntl.ioctl(counted.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
        if unacknowledged:
            raise
