"""Bodies are carried as they come, end where their framing says, and are never taken for whole when they are not."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.relay.bodies import BrokenBody, read_body, write_body
from kube.relay.heads import Framing

CHUNKED = Framing(None, chunked=True)
UNTIL_CLOSE = Framing(None)


class Pipe:
    """A reader that is fed by hand, and a transport that keeps what is written."""

    def __init__(self, data: bytes = b"", *, ends: bool = True) -> None:
        self.reader = asyncio.StreamReader(limit=2**16)
        self.reader.feed_data(data)
        if ends:
            self.reader.feed_eof()


class KeepingWriter:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        await asyncio.sleep(0)


async def whole(data: bytes, framing: Framing, *, ends: bool = True, idle: float | None = 5) -> tuple[bytes, bytes]:
    """The body, and what is left on the connection after it."""
    reader = Pipe(data, ends=ends).reader
    body = b"".join([piece async for piece in read_body(reader, framing, idle)])
    return body, bytes(reader._buffer)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "framing", "body", "left"),
    [
        (b"hello", Framing(5), b"hello", b""),
        (b"hello", Framing(0), b"", b"hello"),
        (b"helloGET /", Framing(5), b"hello", b"GET /"),
        (b"5\r\nhello\r\n0\r\n\r\n", CHUNKED, b"hello", b""),
        (b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nGET /", CHUNKED, b"hello", b"GET /"),
        (b"0005\r\nhello\r\n000\r\n\r\n", CHUNKED, b"hello", b""),
        (b"A\r\n0123456789\r\n0\r\n\r\n", CHUNKED, b"0123456789", b""),
        (b"0\r\n\r\n", CHUNKED, b"", b""),
        (b"hello", UNTIL_CLOSE, b"hello", b""),
        (b"", UNTIL_CLOSE, b"", b""),
    ],
)
async def test_a_body_is_read_to_its_end_and_no_further(
    data: bytes, framing: Framing, body: bytes, left: bytes
) -> None:
    assert await whole(data, framing) == (body, left)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5",
        b"5\r\nhel",
        b"5\r\nhello",
        b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"5\r5\r\nhello\r\n0\r\n\r\n",
        b"5\n\r\nhello\r\n0\r\n\r\n",
        b"1000000000000005\r\nhello\r\n0\r\n\r\n",
        b"0\r\nX-Trailer: 1\r\n\r\n",
        b"0\r\n\n",
        "٥\r\nhello\r\n0\r\n\r\n".encode(),
        b"5" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_sec24_bad_chunks_are_a_broken_body(data: bytes) -> None:
    with pytest.raises(BrokenBody):
        await whole(data, CHUNKED)


@pytest.mark.parametrize("data", [b"", b"hell"])
async def test_a_body_that_ends_early_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenBody):
        await whole(data, Framing(5))


@pytest.mark.parametrize("framing", [Framing(5), CHUNKED, UNTIL_CLOSE])
async def test_sec72_a_silent_client_is_waited_for_a_limited_time(framing: Framing) -> None:
    with pytest.raises(TimeoutError):
        await whole(b"", framing, ends=False, idle=0.01)


async def test_a_stream_may_be_silent() -> None:
    reader = Pipe(ends=False).reader
    pieces = read_body(reader, UNTIL_CLOSE, None)
    first = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0.02)
    assert not first.done()
    reader.feed_data(b"event")
    assert await first == b"event"


async def test_pieces_come_at_once_and_not_when_the_chunk_is_whole() -> None:
    reader = Pipe(b"a\r\n01234", ends=False).reader
    assert await anext(read_body(reader, CHUNKED, 5)) == b"01234"


async def test_a_read_can_be_cancelled_at_the_moment_its_bytes_come() -> None:
    """In Python 3.11 wait_for would swallow this cancellation, and the task go on for ever."""
    reader = Pipe(ends=False).reader
    task = asyncio.create_task(_drop(reader))
    await asyncio.sleep(0)
    reader.feed_data(b"x")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _drop(reader: asyncio.StreamReader) -> None:
    async for _ in read_body(reader, UNTIL_CLOSE, 60):
        pass


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.binary(max_size=20))
def test_what_is_written_in_chunks_is_read_back_the_same(pieces: list[bytes], after: bytes) -> None:
    async def there_and_back() -> tuple[bytes, bytes]:
        writer = KeepingWriter()
        await write_body(writer, _each(pieces), chunked=True, stall_timeout=None)  # type: ignore[arg-type]
        return await whole(writer.written + after, CHUNKED)

    assert asyncio.run(there_and_back()) == (b"".join(pieces), after)


async def test_a_body_that_broke_is_not_ended_for_the_next_reader() -> None:
    writer = KeepingWriter()
    broken = read_body(Pipe(b"5\r\nhello\r\n5\r\nwo").reader, CHUNKED, 5)
    with pytest.raises(BrokenBody):
        await write_body(writer, broken, chunked=True, stall_timeout=None)  # type: ignore[arg-type]
    assert writer.written == b"5\r\nhello\r\n2\r\nwo\r\n"


async def test_flt32_a_reader_that_takes_nothing_is_given_up() -> None:
    class Stalled(KeepingWriter):
        async def drain(self) -> None:
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await write_body(Stalled(), _each([b"x"]), chunked=False, stall_timeout=0.01)  # type: ignore[arg-type]


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
