"""Heads are read by the letter or not at all: what two readers might take differently never goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.relay.heads import (
    HEADER_COUNT_LIMIT,
    NO_BODY,
    Framing,
    Headers,
    RefusedHead,
    parse_request_head,
    parse_response_head,
    render_request_head,
    render_response_head,
    without_hop_by_hop,
)

TOKEN = "!#$%&'*+.^`|~0123456789ABCXYZabcxyz-"


def head(first: bytes = b"GET /a HTTP/1.1", *lines: bytes, host: bytes | None = b"Host: h") -> bytes:
    return b"\r\n".join([first, *([host] if host else []), *lines]) + b"\r\n\r\n"


MALFORMED: dict[str, tuple[int, bytes]] = {
    # The request line.
    "nothing": (400, b"\r\n\r\n"),
    "an empty line first": (400, b"\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
    "no version": (400, head(b"GET /a")),
    "no target": (400, head(b"GET HTTP/1.1")),
    "two blanks": (400, head(b"GET  /a HTTP/1.1")),
    "a blank in the target": (400, head(b"GET /a b HTTP/1.1")),
    "a tab between": (400, head(b"GET\t/a HTTP/1.1")),
    "a blank at the end": (400, head(b"GET /a HTTP/1.1 ")),
    "a blank at the beginning": (400, head(b" GET /a HTTP/1.1")),
    "HTTP/1.0": (505, head(b"GET /a HTTP/1.0")),
    "HTTP/1.0 keep-alive": (505, head(b"GET /a HTTP/1.0", b"Connection: keep-alive")),
    "HTTP/0.9": (400, b"GET /a\r\n\r\n"),
    "HTTP/2.0": (505, b"PRI * HTTP/2.0\r\n\r\n"),
    "HTTP/1.2": (505, head(b"GET /a HTTP/1.2")),
    "http/1.1": (505, head(b"GET /a http/1.1")),
    "HTTP/01.1": (505, head(b"GET /a HTTP/01.1")),
    "a method in lower case": (501, head(b"get /a HTTP/1.1")),
    "an unknown method": (501, head(b"BREW /a HTTP/1.1")),
    "TRACE": (501, head(b"TRACE /a HTTP/1.1")),
    "CONNECT": (501, head(b"CONNECT h:443 HTTP/1.1")),
    "a method that is no token": (400, head(b"GE(T /a HTTP/1.1")),
    "a method of another alphabet": (400, head("GÉT /a HTTP/1.1".encode())),
    # The target.
    "an absolute target": (400, head(b"GET https://h/a HTTP/1.1")),
    "an absolute target of another host": (400, head(b"GET http://evil/a HTTP/1.1")),
    "an asterisk": (400, head(b"OPTIONS * HTTP/1.1")),
    "a relative target": (400, head(b"GET a HTTP/1.1")),
    "a fragment": (400, head(b"GET /a#b HTTP/1.1")),
    "a target that is not ASCII": (400, head("GET /ä HTTP/1.1".encode())),
    "overlong UTF-8 in the target": (400, head(b"GET /\xc0\xaf HTTP/1.1")),
    "a control character in the target": (400, head(b"GET /a\x01 HTTP/1.1")),
    "DEL in the target": (400, head(b"GET /a\x7f HTTP/1.1")),
    "NUL in the target": (400, head(b"GET /a\x00 HTTP/1.1")),
    # Lines.
    "a bare LF in the request line": (400, head(b"GET /a HTTP/1.1\nX: y")),
    "a bare LF between headers": (400, head(b"GET /a HTTP/1.1", b"X: y\nZ: w")),
    "a bare CR in a value": (400, head(b"GET /a HTTP/1.1", b"X: y\rZ: w")),
    "NUL in a value": (400, head(b"GET /a HTTP/1.1", b"X: y\x00")),
    "no end": (400, b"GET /a HTTP/1.1\r\nHost: h\r\n"),
    "an end of LF": (400, b"GET /a HTTP/1.1\nHost: h\n\n"),
    "a folded value": (400, head(b"GET /a HTTP/1.1", b"X: y", b" z")),
    "a value folded by a tab": (400, head(b"GET /a HTTP/1.1", b"X: y", b"\tz")),
    "a folded first line": (400, head(b"GET /a HTTP/1.1", b" Host: h", host=None)),
    # Names and values.
    "no colon": (400, head(b"GET /a HTTP/1.1", b"X")),
    "no name": (400, head(b"GET /a HTTP/1.1", b": y")),
    "a blank before the colon": (400, head(b"GET /a HTTP/1.1", b"Content-Length : 3")),
    "a tab before the colon": (400, head(b"GET /a HTTP/1.1", b"Transfer-Encoding\t: chunked")),
    "a blank in a name": (400, head(b"GET /a HTTP/1.1", b"X Y: z")),
    "a name that is not ASCII": (400, head(b"GET /a HTTP/1.1", "Xä: z".encode())),
    "a slash in a name": (400, head(b"GET /a HTTP/1.1", b"X/Y: z")),
    "quotes in a name": (400, head(b"GET /a HTTP/1.1", b'"X": z')),
    "a value that is not ASCII": (400, head(b"GET /a HTTP/1.1", "X: ü".encode())),
    "a control character in a value": (400, head(b"GET /a HTTP/1.1", b"X: \x0b")),
    "DEL in a value": (400, head(b"GET /a HTTP/1.1", b"X: \x7f")),
    # Host.
    "no Host": (400, head(host=None)),
    "two Hosts": (400, head(b"GET /a HTTP/1.1", b"Host: other")),
    "two Hosts that differ in case": (400, head(b"GET /a HTTP/1.1", b"hOST: h")),
    # Length of the body.
    "two lengths": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 3", b"Content-Length: 4")),
    "the same length twice": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 3", b"Content-Length: 3")),
    "a list of lengths": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 3, 3")),
    "a negative length": (400, head(b"POST /a HTTP/1.1", b"Content-Length: -1")),
    "a signed length": (400, head(b"POST /a HTTP/1.1", b"Content-Length: +1")),
    "a length in hex": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 0x3")),
    "a length with a point": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 3.0")),
    "a length with a blank": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 1 3")),
    "a length with an underscore": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 1_3")),
    "an empty length": (400, head(b"POST /a HTTP/1.1", b"Content-Length:")),
    "a length beyond reason": (400, head(b"POST /a HTTP/1.1", b"Content-Length: " + b"9" * 30)),
    "a length and chunks": (400, head(b"POST /a HTTP/1.1", b"Content-Length: 3", b"Transfer-Encoding: chunked")),
    "chunks and a length": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked", b"content-length: 0")),
    "chunked twice": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    "chunked, chunked": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked, chunked")),
    "gzip, chunked": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: gzip, chunked")),
    "chunked, identity": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked, identity")),
    "identity": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: identity")),
    "xchunked": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: xchunked")),
    "chunked in quotes": (400, head(b"POST /a HTTP/1.1", b'Transfer-Encoding: "chunked"')),
    "chunked with a parameter": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked;q=1")),
    "an empty coding": (400, head(b"POST /a HTTP/1.1", b"Transfer-Encoding:")),
    # The rest.
    "an upgrade with a body": (
        400,
        head(b"POST /a HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 3"),
    ),
    "an unknown expectation": (417, head(b"POST /a HTTP/1.1", b"Content-Length: 3", b"Expect: 200-ok")),
    "two expectations": (417, head(b"POST /a HTTP/1.1", b"Expect: 100-continue", b"Expect: 100-continue")),
    "too many fields": (431, head(b"GET /a HTTP/1.1", *[b"X: y"] * HEADER_COUNT_LIMIT)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_sec24_a_head_that_can_be_read_in_two_ways_is_refused(case: str) -> None:
    status, raw = MALFORMED[case]
    with pytest.raises(RefusedHead) as refused:
        parse_request_head(raw)
    assert refused.value.status == status


def test_a_plain_head_is_read_as_it_is() -> None:
    found = parse_request_head(head(b"GET /a/%20b?x=1&y=%2F?z HTTP/1.1", b"Accept:\t a,b \t", b"X-Empty:"))
    assert (found.method, found.target, found.path, found.query) == (
        "GET",
        "/a/%20b?x=1&y=%2F?z",
        "/a/%20b",
        "x=1&y=%2F?z",
    )
    assert found.headers == [("Host", "h"), ("Accept", "a,b"), ("X-Empty", "")]
    assert (found.framing, found.keep_alive, found.upgrade, found.awaits_continue) == (NO_BODY, True, None, False)


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        ([b"Content-Length: 12"], Framing(12)),
        ([b"Content-Length: 0"], NO_BODY),
        ([b"content-length:  007 "], Framing(7)),
        ([b"Transfer-Encoding: chunked"], Framing(None, chunked=True)),
        ([b"tRANSFER-eNCODING: Chunked"], Framing(None, chunked=True)),
    ],
)
def test_a_body_ends_by_one_rule(lines: list[bytes], framing: Framing) -> None:
    found = parse_request_head(head(b"POST /a HTTP/1.1", *lines))
    assert found.framing == framing
    assert not found.framing.until_close


def test_sec16_names_with_an_underscore_are_dropped_before_anything_is_read_from_them() -> None:
    lines = [b"Impersonate_User: root", b"Content_Length: 9", b"Transfer_Encoding: chunked", b"X_Forwarded_For: 1"]
    found = parse_request_head(head(b"GET /a HTTP/1.1", *lines))
    assert found.headers == [("Host", "h")]
    assert found.framing == NO_BODY


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        ([b"Connection: Upgrade", b"Upgrade: websocket"], "websocket"),
        ([b"Connection: keep-alive, uPGRADE", b"Upgrade: SPDY/3.1"], "SPDY/3.1"),
        ([b"Upgrade: websocket"], None),
        ([b"Connection: Upgrade"], None),
        ([b"Connection: Upgrade", b"Upgrade: h2c"], None),
        ([b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"], None),
        ([b"Connection: Upgrade", b"Upgrade: h2c, websocket"], None),
        ([b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"], None),
        ([b"Connection: Upgrade", b"Upgrade: TLS/1.2"], None),
    ],
)
def test_sec19_only_known_protocols_are_changed_to(lines: list[bytes], upgrade: str | None) -> None:
    assert parse_request_head(head(b"GET /a HTTP/1.1", *lines)).upgrade == upgrade


@pytest.mark.parametrize(
    ("line", "keeps"),
    [(b"Connection: close", False), (b"Connection: keep-alive", True), (b"Connection: x, ClOsE", False)],
)
def test_the_client_says_whether_his_connection_stays(line: bytes, keeps: bool) -> None:
    assert parse_request_head(head(b"GET /a HTTP/1.1", line)).keep_alive is keeps


@pytest.mark.parametrize(("length", "awaits"), [(b"3", True), (b"0", False)])
def test_an_expectation_counts_when_there_is_a_body(length: bytes, awaits: bool) -> None:
    lines = [b"Content-Length: " + length, b"Expect: 100-Continue"]
    assert parse_request_head(head(b"POST /a HTTP/1.1", *lines)).awaits_continue is awaits


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 OK", (200, "OK")),
        (b"HTTP/1.1 200", (200, "")),
        (b"HTTP/1.1 200 ", (200, "")),
        (b"HTTP/1.0 404 Not Found here", (404, "Not Found here")),
        (b"HTTP/1.1 503 Voil\xe0", (503, "Voil\xe0")),
    ],
)
def test_a_status_line_is_read(line: bytes, expected: tuple[int, str]) -> None:
    found = parse_response_head(line + b"\r\nContent-Length: 0\r\n\r\n", "GET")
    assert (found.status, found.reason) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x01K\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
)
def test_sec24_an_answer_that_can_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusedHead) as refused:
        parse_response_head(raw, "GET")
    assert refused.value.status == 502


@pytest.mark.parametrize(
    ("raw", "method", "framing", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", Framing(3), True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", Framing(None, chunked=True), True),
        (b"HTTP/1.1 200 OK\r\n\r\n", "GET", Framing(None), False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", "GET", Framing(3), False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", "GET", Framing(3), False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", NO_BODY, True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", NO_BODY, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE", NO_BODY, True),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", "GET", NO_BODY, True),
    ],
)
def test_an_answer_s_body_ends_by_method_status_and_headers(
    raw: bytes, method: str, framing: Framing, keeps: bool
) -> None:
    found = parse_response_head(raw, method)
    assert (found.framing, found.keep_alive) == (framing, keeps)


def test_sec15_what_a_connection_header_names_goes_no_further() -> None:
    headers: Headers = [
        ("Connection", "keep-alive, X-Mine"),
        ("connection", "Other"),
        ("X-Mine", "1"),
        ("other", "2"),
        ("Keep-Alive", "timeout=5"),
        ("Upgrade", "websocket"),
        ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"),
        ("Proxy-Authorization", "Basic x"),
        ("Expect", "100-continue"),
        ("Cookie", "c"),
        ("Accept", "a"),
        ("Accept", "b"),
    ]
    assert without_hop_by_hop(headers, ["cookie"]) == [("Accept", "a"), ("Accept", "b")]


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nImpersonate-User: root", "a\0b"])
def test_sec16_a_value_with_a_line_break_is_never_written(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        render_request_head("GET", "/", [("Impersonate-Group", value)])


@pytest.mark.parametrize("value", ["用户", "snow ☃"])
def test_sec16_a_value_that_has_no_octets_is_never_written(value: str) -> None:
    with pytest.raises(ValueError):
        render_request_head("GET", "/", [("Impersonate-User", value)])


names = st.text(TOKEN, min_size=1, max_size=20).filter(
    lambda name: name.lower() not in {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"}
)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40).map(str.strip)
targets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60)


@given(st.sampled_from(["GET", "POST", "PATCH"]), targets, st.lists(st.tuples(names, values), max_size=20))
def test_sec16_what_is_written_is_read_back_the_same(method: str, target: str, headers: Headers) -> None:
    headers = [("Host", "h"), *headers]
    found = parse_request_head(render_request_head(method, "/" + target, headers))
    assert (found.method, found.target, found.headers) == (method, "/" + target, headers)


@given(st.binary(max_size=200))
def test_sec24_bytes_of_any_kind_are_a_head_or_refused(noise: bytes) -> None:
    for raw in (noise, noise + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n" + noise + b"\r\n\r\n"):
        try:
            found = parse_request_head(raw)
        except RefusedHead:
            continue
        # Written anew it is one head of the same meaning, whatever it looked like before.
        written = render_request_head(found.method, found.target, found.headers)
        assert written.count(b"\r\n\r\n") == 1
        assert parse_request_head(written) == found


@given(st.binary(max_size=200))
def test_sec24_answers_of_any_kind_are_a_head_or_refused(noise: bytes) -> None:
    for raw in (noise + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + noise + b"\r\n\r\n"):
        try:
            found = parse_response_head(raw, "GET")
        except RefusedHead:
            continue
        written = render_response_head(found.status, found.reason, found.headers)
        assert parse_response_head(written.replace(b"HTTP/1.1", raw[:8], 1), "GET") == found
