"""One exchange between a scripted upstream and a client: what goes over, what comes back, and who may be used again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kube.relay import exchange as module
from kube.relay.bodies import BrokenBody
from kube.relay.exchange import AnswerBroken, Client, Exchange, UpstreamFailed
from kube.relay.heads import HEAD_LIMIT, parse_request_head, render_request_head
from kube.relay.upstream import SocketDialer, UpstreamPool, UpstreamUnreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(*parts: bytes) -> Play:
    """Answers one request with these bytes."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return play


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@dataclass
class Upstream:
    """One play for each request head, in order; a body is left to the play."""

    path: Path
    plays: list[Play] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # some connection has ended

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await self.plays.pop(0)(reader, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.ended.set()
            writer.close()


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    made = Upstream(tmp_path / "up.sock")
    async with await asyncio.start_unix_server(made.serve, str(made.path)):
        yield made


@pytest.fixture
async def pool(upstream: Upstream) -> AsyncIterator[UpstreamPool]:
    made = UpstreamPool(SocketDialer(upstream.path))
    yield made
    made.close()


@dataclass
class Talk:
    """A client's socket and the hub's end of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hub_side: Client

    async def take(self) -> bytes:
        """All that the client got, once the hub has closed its end."""
        self.hub_side.writer.close()
        return await self.reader.read()


@contextlib.asynccontextmanager
async def conversation() -> AsyncIterator[Talk]:
    mine, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=mine)
    hub_side = Client(*await asyncio.open_connection(sock=theirs, limit=HEAD_LIMIT))
    try:
        yield Talk(reader, writer, hub_side)
    finally:
        for end in (writer, hub_side.writer):
            end.transport.abort()


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    async with conversation() as made:
        yield made


def build(
    pool: UpstreamPool, talk: Talk, method: str = "GET", *lines: tuple[str, str], body: bytes | None = None
) -> Exchange:
    request = parse_request_head(render_request_head(method, "/a?b", [("Host", "hub"), *lines]))
    headers = [
        pair for pair in request.headers if pair[0] not in {"Transfer-Encoding", "Connection", "Upgrade", "Expect"}
    ]
    return Exchange(pool, request, request.target, headers, talk.hub_side, body=body)


async def run(exchange: Exchange) -> bool:
    async with asyncio.timeout(10):
        return await exchange.run()


async def test_a_request_goes_over_and_its_answer_comes_back(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(OK)]
    exchange = build(pool, talk, "GET", ("X-Mine", "1"))
    assert await run(exchange)
    assert exchange.status == 200
    assert upstream.heads == [b"GET /a?b HTTP/1.1\r\nHost: hub\r\nX-Mine: 1\r\n\r\n"]
    assert await talk.take() == OK


async def test_both_connections_serve_the_next_request(upstream: Upstream, pool: UpstreamPool, talk: Talk) -> None:
    upstream.plays = [says(OK), says(OK), says(OK)]
    for _ in range(3):
        assert await run(build(pool, talk))
    assert upstream.connections == 1
    assert await talk.take() == OK * 3


@pytest.mark.parametrize(
    ("answer", "reused"),
    [
        (OK, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", False),
    ],
)
async def test_sec25_a_connection_is_used_again_only_after_a_clean_end(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, answer: bytes, reused: bool
) -> None:
    upstream.plays = [says(answer), says(OK)]
    assert await run(build(pool, talk))
    assert await run(build(pool, talk))
    assert upstream.connections == (1 if reused else 2)
    assert b"stolen" not in await talk.take()


async def test_an_answer_without_length_is_told_in_chunks_and_the_client_s_connection_stays(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nok")
        writer.close()

    upstream.plays = [play]
    assert await run(build(pool, talk))
    assert await talk.take() == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


async def test_events_come_one_by_one_as_they_happen(upstream: Upstream, pool: UpstreamPool, talk: Talk) -> None:
    more = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await more.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    upstream.plays = [play]
    running = asyncio.create_task(run(build(pool, talk)))
    assert await talk.reader.readuntil(b"first\r\n")
    more.set()
    assert await talk.reader.readuntil(b"second\r\n0\r\n\r\n")
    assert await running


async def test_a_head_answer_has_no_body_whatever_its_length_says(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), says(OK)]
    assert await run(build(pool, talk, "HEAD"))
    assert await run(build(pool, talk))
    assert upstream.connections == 1


@pytest.mark.parametrize(
    ("line", "sent", "framing"),
    [
        (("Content-Length", "005"), b"hello", b"Content-Length: 5\r\n"),
        (("Transfer-Encoding", "chunked"), b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"),
    ],
)
async def test_sec24_a_body_is_framed_anew(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, line: tuple[str, str], sent: bytes, framing: bytes
) -> None:
    got = bytearray()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = b"hello" if line[0] == "Content-Length" else b"0\r\n\r\n"
        got.extend(await reader.readuntil(end))
        writer.write(OK)

    upstream.plays = [play]
    talk.writer.write(sent + b"GET /next")
    assert await run(build(pool, talk, "POST", line))
    assert upstream.heads[0].endswith(framing + b"\r\n")
    assert bytes(got) == sent
    assert not talk.hub_side.unread
    assert await talk.hub_side.reader.readexactly(9) == b"GET /next"


async def test_a_body_that_was_read_before_goes_with_the_head(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(5) == b"hello"
        writer.write(OK)

    upstream.plays = [play]
    assert await run(build(pool, talk, "POST", ("Content-Length", "5"), body=b"hello"))


async def test_the_client_is_told_to_go_on_when_his_body_is_wanted(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(5) == b"hello"
        writer.write(OK)

    upstream.plays = [play]
    lines = [("Content-Length", "5"), ("Expect", "100-continue")]
    running = asyncio.create_task(run(build(pool, talk, "POST", *lines)))
    assert await talk.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    talk.writer.write(b"hello")
    assert await running
    assert b"xpect" not in upstream.heads[0]


async def test_an_early_answer_comes_through_while_the_body_is_still_coming(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")]
    talk.writer.write(b"x" * 1000)
    exchange = build(pool, talk, "POST", ("Content-Length", "1000000"))
    assert not await run(exchange)
    assert (exchange.status, talk.hub_side.unread) == (413, True)
    assert await talk.take() == b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    await asyncio.wait_for(upstream.ended.wait(), 5)


async def test_an_early_answer_is_heard_also_when_the_upstream_reads_no_more(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.write_eof()

    upstream.plays = [play]
    sending = asyncio.create_task(_flood(talk.writer, 2_000_000))
    exchange = build(pool, talk, "POST", ("Content-Length", "2000000"))
    assert not await run(exchange)
    assert exchange.status == 413
    sending.cancel()


async def _flood(writer: asyncio.StreamWriter, size: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(size // 1000):
            writer.write(b"x" * 1000)
            await writer.drain()


@pytest.mark.parametrize("sent", [b"5\r\nhel", b"5\r\nhello\n0\r\n\r\n", b"zz\r\n"])
async def test_sec24_a_client_s_broken_body_is_his_fault_and_ends_the_upstream_s_connection(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, sent: bytes
) -> None:
    upstream.plays = [hangs]
    talk.writer.write(sent)
    talk.writer.write_eof()
    with pytest.raises(BrokenBody):
        await run(build(pool, talk, "POST", ("Transfer-Encoding", "chunked")))
    await asyncio.wait_for(upstream.ended.wait(), 5)


async def test_sec72_a_client_that_stops_in_its_body_is_given_up(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_IDLE_TIMEOUT", 0.05)
    upstream.plays = [hangs]
    talk.writer.write(b"hel")
    with pytest.raises(BrokenBody):
        await run(build(pool, talk, "POST", ("Content-Length", "5")))


async def test_a_long_upload_is_not_cut_by_the_deadline_for_the_answer(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESPONSE_HEAD_TIMEOUT", 0.1)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        writer.write(OK)

    upstream.plays = [play]
    running = asyncio.create_task(run(build(pool, talk, "POST", ("Content-Length", "5"))))
    for letter in (b"h", b"e", b"l", b"l", b"o"):
        talk.writer.write(letter)
        await asyncio.sleep(0.04)
    assert await running


@pytest.mark.parametrize(
    ("play", "text"),
    [
        (ends, "without an answer"),
        (says(b"HTTP/1.1 200"), "in time"),
        (says(b"HTTP/2 200 OK\r\n\r\n"), "no proper answer"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), "no proper answer"),
        (says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), "unasked"),
        (hangs, "in time"),
    ],
)
async def test_flt18_an_upstream_without_a_proper_answer_has_failed_and_nothing_was_told_to_the_client(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, play: Play, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESPONSE_HEAD_TIMEOUT", 0.2)
    upstream.plays = [play]
    exchange = build(pool, talk)
    with pytest.raises(UpstreamFailed, match=text):
        await run(exchange)
    assert (exchange.status, exchange.sent) == (0, True)
    assert await talk.take() == b""


async def test_flt18_an_answer_that_ends_in_its_head_has_failed(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConte")
        writer.close()

    upstream.plays = [play]
    with pytest.raises(UpstreamFailed, match="ended early"):
        await run(build(pool, talk))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ],
)
async def test_flt18_an_answer_that_breaks_off_is_never_told_as_whole(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, answer: bytes
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    upstream.plays = [play]
    with pytest.raises(AnswerBroken):
        await run(build(pool, talk))
    got = await talk.take()
    assert b"half" in got
    assert not got.endswith(b"0\r\n\r\n")


async def test_an_upstream_that_is_away_is_unreachable_and_nothing_was_sent(talk: Talk, tmp_path: Path) -> None:
    exchange = build(UpstreamPool(SocketDialer(tmp_path / "absent")), talk)
    with pytest.raises(UpstreamUnreachable):
        await run(exchange)
    assert not exchange.sent


async def test_flt29_a_read_is_asked_again_when_the_idle_connection_had_ended(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(OK), ends, says(OK)]
    assert await run(build(pool, talk))
    assert await run(build(pool, talk))
    assert (upstream.connections, len(upstream.heads)) == (2, 3)


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        ("POST", []),
        ("DELETE", []),
        ("PATCH", [("Content-Length", "1")]),
        ("GET", [("Content-Length", "1")]),
    ],
)
async def test_flt29_what_may_have_been_carried_out_is_never_sent_twice(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, method: str, lines: list[tuple[str, str]]
) -> None:
    upstream.plays = [says(OK), ends, says(OK)]
    assert await run(build(pool, talk))
    talk.writer.write(b"x")
    with pytest.raises(UpstreamFailed):
        await run(build(pool, talk, method, *lines))
    assert len(upstream.heads) == 2


@pytest.mark.parametrize("play", [says(b"HTTP/1.1 nonsense\r\n\r\n"), hangs])
async def test_flt29_a_read_that_was_answered_wrongly_or_not_at_all_is_not_asked_again(
    upstream: Upstream, pool: UpstreamPool, talk: Talk, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESPONSE_HEAD_TIMEOUT", 0.2)
    upstream.plays = [says(OK), play, says(OK)]
    assert await run(build(pool, talk))
    with pytest.raises(UpstreamFailed):
        await run(build(pool, talk))
    assert len(upstream.heads) == 2


async def test_flt29_a_fresh_connection_that_ends_is_not_tried_for_ever(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(OK), ends, ends]
    assert await run(build(pool, talk))
    with pytest.raises(UpstreamFailed):
        await run(build(pool, talk))
    assert len(upstream.heads) == 3


UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"


async def test_after_a_101_bytes_go_both_ways_as_they_are(upstream: Upstream, pool: UpstreamPool, talk: Talk) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SWITCHED + b"\x80\x03hello")
        while data := await reader.read(1000):
            writer.write(data[::-1])
            if data.endswith(b"bye"):
                break
        writer.close()

    upstream.plays = [play]
    running = asyncio.create_task(run(build(pool, talk, "POST", *UPGRADE)))
    head = await talk.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert (head.lower().count(b"upgrade: spdy/3.1"), head.lower().count(b"connection: upgrade")) == (1, 1)
    assert await talk.reader.readexactly(7) == b"\x80\x03hello"
    for data in (b"\x00\r\n\r\n\xff", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        talk.writer.write(data)
        assert await talk.reader.readexactly(len(data)) == data[::-1]
    talk.writer.write(b"bye")
    assert await talk.reader.readexactly(3) == b"eyb"
    assert not await running
    assert b"Upgrade: SPDY/3.1\r\n" in upstream.heads[0]


async def test_a_client_that_leaves_a_session_ends_it_at_the_upstream_too(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SWITCHED)
        await reader.read()

    upstream.plays = [play]
    running = asyncio.create_task(run(build(pool, talk, "GET", *UPGRADE)))
    await talk.reader.readuntil(b"\r\n\r\n")
    talk.writer.close()
    assert not await running
    await asyncio.wait_for(upstream.ended.wait(), 5)


async def test_sec19_an_upgrade_that_is_answered_otherwise_ends_both_connections(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    """CVE-2018-1002105: what the client sends next must reach nobody."""
    upstream.plays = [says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"), says(OK)]
    talk.writer.write(b"GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\n\r\n")
    exchange = build(pool, talk, "GET", *UPGRADE)
    assert not await run(exchange)
    assert exchange.status == 400
    await asyncio.wait_for(upstream.ended.wait(), 5)
    assert len(upstream.heads) == 1
    assert await run(build(pool, talk))
    assert upstream.connections == 2
    assert b"Connection: close" in (await talk.take()).split(b"\r\n\r\n")[0]


async def test_sec19_an_upgrade_never_goes_over_a_used_connection(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(OK), says(OK)]
    assert await run(build(pool, talk))
    await run(build(pool, talk, "GET", *UPGRADE))
    assert upstream.connections == 2


async def test_sec20_a_redirect_is_handed_on_and_not_followed(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [says(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")]
    assert await run(build(pool, talk))
    assert len(upstream.heads) == 1
    assert b"302 Found\r\nLocation: /b\r\n" in await talk.take()


async def test_what_the_caller_of_the_exchange_raises_at_the_head_reaches_him_before_the_client_hears_anything(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    def refuse(response: object) -> list[tuple[str, str]]:
        raise LookupError

    upstream.plays = [says(OK)]
    exchange = build(pool, talk)
    exchange.answer_headers = refuse
    with pytest.raises(LookupError):
        await run(exchange)
    await asyncio.wait_for(upstream.ended.wait(), 5)
    assert await talk.take() == b""


async def test_sec25_a_client_that_leaves_takes_his_upstream_connection_with_him(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    upstream.plays = [hangs, says(OK)]
    running = asyncio.create_task(run(build(pool, talk)))
    while not upstream.heads:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(upstream.ended.wait(), 5)
    assert await run(build(pool, talk))
    assert upstream.connections == 2


async def test_flt32_a_client_that_reads_nothing_is_given_up_and_the_upstream_is_not_read_into_memory(
    upstream: Upstream, pool: UpstreamPool, talk: Talk
) -> None:
    sent = 0

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            sent += 65536

    upstream.plays = [play]
    exchange = build(pool, talk)
    exchange.stall_timeout = 0.3
    with pytest.raises(AnswerBroken):
        await run(exchange)
    assert sent < 8 * 1024 * 1024
