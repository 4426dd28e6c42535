"""HTTP/1.1 heads, read strictly and written anew.

A lenient reader in front of another reader is how requests are smuggled: two parsers that disagree on where a request ends
or what a header is called. So anything ambiguous is refused here, and what goes on is written from the parsed form, never
copied (RFC 9112; SEC-16, SEC-24).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

HEAD_LIMIT = 64 * 1024
HEADER_COUNT_LIMIT = 128

Headers = list[tuple[str, str]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*\Z")  # origin form, visible ASCII, no fragment
_VALUE = re.compile(r"[\t\x20-\x7e]*\Z")
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
# Protocols that are changed to (exec, attach, port-forward, consoles, watches). Not h2c: over it a client would write heads
# of its own to the upstream.
_UPGRADES = frozenset(["websocket", "spdy/3.1"])
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")

# RFC 9110 §7.6.1, and what only makes sense between two neighbours.
HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    ]
)


class RefusedHead(Exception):
    """A head that is not accepted; ``status`` is the answer's code, the text says what is wrong with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body ends: after ``length`` bytes, by its chunks, or (responses only) when the connection closes."""

    length: int | None = 0
    chunked: bool = False

    @property
    def until_close(self) -> bool:
        return self.length is None and not self.chunked

    @property
    def empty(self) -> bool:
        return self.length == 0 and not self.chunked


NO_BODY = Framing(0)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """One request: ``target`` is path and query as they came, byte for byte.

    ``upgrade`` is the protocol to change to; ``awaits_continue``: the client sends its body when it is told to.
    """

    method: str
    target: str
    headers: Headers
    framing: Framing
    keep_alive: bool
    upgrade: str | None
    awaits_continue: bool = False

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def get(self, name: str) -> str | None:
        return _find(self.headers, name)

    def get_all(self, name: str) -> list[str]:
        return _find_all(self.headers, name)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: int
    reason: str
    headers: Headers
    framing: Framing
    keep_alive: bool

    def get(self, name: str) -> str | None:
        return _find(self.headers, name)


def parse_request_head(raw: bytes) -> RequestHead:
    """Reads a head up to and with its empty line. Raises RefusedHead."""
    lines = _lines(raw, 400)
    parts = lines[0].split(" ")
    if len(parts) != 3 or not _TOKEN.match(parts[0]):
        raise RefusedHead(400, "The request line is malformed.")
    method, target, version = parts
    if version != "HTTP/1.1":
        raise RefusedHead(505, "Only HTTP/1.1 is spoken here.")
    if method not in _METHODS:
        raise RefusedHead(501, "This method is not known here.")
    if not _TARGET.match(target):
        raise RefusedHead(400, "The request target is not a plain path.")
    headers = [pair for pair in _headers(lines[1:], 400) if "_" not in pair[0]]  # "_" would read as "-" further on
    if len(_find_all(headers, "host")) != 1:
        raise RefusedHead(400, "Exactly one Host header is needed.")
    options = _connection_options(headers)
    framing = _framing(headers, 400) or NO_BODY
    upgrade = _upgrade(headers) if "upgrade" in options else None
    if upgrade is not None and not framing.empty:
        raise RefusedHead(400, "A request that changes the protocol carries no body.")
    awaits_continue = _awaits_continue(headers) and not framing.empty
    return RequestHead(method, target, headers, framing, "close" not in options, upgrade, awaits_continue)


def parse_response_head(raw: bytes, method: str) -> ResponseHead:
    """Reads an upstream's head; ``method`` is the request's, because it decides whether a body follows. Raises RefusedHead."""
    lines = _lines(raw, 502)
    match = _STATUS_LINE.match(lines[0])
    if match is None:
        raise RefusedHead(502, "The upstream's status line is malformed.")
    minor, status, reason = match.group(1), int(match.group(2)), match.group(3) or ""
    headers = _headers(lines[1:], 502)
    bodiless = method == "HEAD" or status < 200 or status in {204, 304}
    framing = NO_BODY if bodiless else _framing(headers, 502) or Framing(None)
    keep_alive = minor == "1" and "close" not in _connection_options(headers) and not framing.until_close
    return ResponseHead(status, reason, headers, framing, keep_alive)


def without_hop_by_hop(headers: Headers, drop: Iterable[str] = ()) -> Headers:
    """Headers that go on to the next hop: without those of this connection, those it names, and ``drop`` (lower case)."""
    gone = HOP_BY_HOP | _connection_options(headers) | set(drop)
    return [(name, value) for name, value in headers if name.lower() not in gone]


def render_request_head(method: str, target: str, headers: Headers) -> bytes:
    return _render(f"{method} {target} HTTP/1.1", headers)


def render_response_head(status: int, reason: str, headers: Headers) -> bytes:
    return _render(f"HTTP/1.1 {status} {reason}", headers)


def _render(first: str, headers: Headers) -> bytes:
    for name, value in headers:
        if not _TOKEN.match(name) or "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"header {name!r} cannot be written")
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _lines(raw: bytes, status: int) -> list[str]:
    if not raw.endswith(b"\r\n\r\n"):
        raise RefusedHead(status, "The head does not end with an empty line.")
    lines = raw[:-4].decode("latin-1").split("\r\n")
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise RefusedHead(status, "The head has a bare line break or a NUL.")
    if len(lines) > HEADER_COUNT_LIMIT:
        raise RefusedHead(431 if status == 400 else status, f"More than {HEADER_COUNT_LIMIT} header fields.")
    return lines


def _headers(lines: list[str], status: int) -> Headers:
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        # A name with a blank (also a folded line, which begins with one) is no token. Values of upstreams may be Latin-1.
        if not colon or not _TOKEN.match(name) or (status == 400 and not _VALUE.match(value)):
            raise RefusedHead(status, "A header field is malformed.")
        headers.append((name, value))
    return headers


def _framing(headers: Headers, status: int) -> Framing | None:
    lengths, codings = _find_all(headers, "content-length"), _find_all(headers, "transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != "chunked":
            raise RefusedHead(status, "The length of the body is ambiguous.")
        return Framing(None, chunked=True)
    if not lengths:
        return None
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0]):
        raise RefusedHead(status, "The length of the body is ambiguous.")
    return Framing(int(lengths[0]))


def _upgrade(headers: Headers) -> str | None:
    """The protocol asked for when it is one and known; any other wish may be passed over (RFC 9110 §7.8)."""
    wishes = _find_all(headers, "upgrade")
    return wishes[0] if len(wishes) == 1 and wishes[0].lower() in _UPGRADES else None


def _awaits_continue(headers: Headers) -> bool:
    expectations = [value.lower() for value in _find_all(headers, "expect")]
    if expectations not in ([], ["100-continue"]):
        raise RefusedHead(417, "The only expectation that can be met is 100-continue.")
    return bool(expectations)


def _connection_options(headers: Headers) -> set[str]:
    values = _find_all(headers, "connection")
    return {option.strip().lower() for value in values for option in value.split(",") if option.strip()}


def _find(headers: Headers, name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def _find_all(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]
