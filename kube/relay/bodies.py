"""Message bodies: read piece by piece by their framing, written by the framing of the next hop. Nothing is held back."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable

from .heads import Framing

PIECE = 64 * 1024
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}\Z")


class BrokenBody(Exception):
    """A body that ended early or whose chunks are malformed; the connection it came on is of no more use."""


# What can go wrong while a body is carried: either side gone, silent for too long, or malformed.
BODY_ERRORS = (BrokenBody, OSError)


async def read_body(reader: asyncio.StreamReader, framing: Framing, idle_timeout: float | None) -> AsyncIterator[bytes]:
    """Yields the body's bytes as they come. ``idle_timeout``: seconds without a byte (None: streams may be silent).

    Trailers are refused, and so are chunk extensions: nobody here sends them, and readers disagree on them.
    Raises BrokenBody, TimeoutError.
    """
    if framing.chunked:
        while size := await _chunk_size(reader, idle_timeout):
            async for piece in _exactly(reader, size, idle_timeout):
                yield piece
            if await _timed(reader.readexactly(2), idle_timeout) != b"\r\n":
                raise BrokenBody("a chunk does not end with CRLF")
        if await _timed(reader.readexactly(2), idle_timeout) != b"\r\n":
            raise BrokenBody("trailers are not accepted")
    elif framing.length is not None:
        async for piece in _exactly(reader, framing.length, idle_timeout):
            yield piece
    else:
        while piece := await _timed(reader.read(PIECE), idle_timeout):
            yield piece


async def write_body(
    writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes], *, chunked: bool, stall_timeout: float | None
) -> None:
    """Writes pieces with back-pressure. ``stall_timeout``: seconds that the reader may take nothing while bytes wait."""
    async for piece in pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        async with asyncio.timeout(stall_timeout):
            await writer.drain()
    if chunked:  # only a body that came whole gets its end; a broken one is cut
        writer.write(b"0\r\n\r\n")
        async with asyncio.timeout(stall_timeout):
            await writer.drain()


async def _exactly(reader: asyncio.StreamReader, length: int, idle_timeout: float | None) -> AsyncIterator[bytes]:
    while length:
        piece = await _timed(reader.read(min(length, PIECE)), idle_timeout)
        if not piece:
            raise BrokenBody("the body ended early")
        length -= len(piece)
        yield piece


async def _chunk_size(reader: asyncio.StreamReader, idle_timeout: float | None) -> int:
    try:
        line = await _timed(reader.readuntil(b"\r\n"), idle_timeout)
    except asyncio.LimitOverrunError as error:
        raise BrokenBody("a chunk's size line is too long") from error
    digits = line[:-2]
    if not _CHUNK_SIZE.match(digits):
        raise BrokenBody("a chunk's size is malformed")
    return int(digits, 16)


async def _timed(read: Awaitable[bytes], idle_timeout: float | None) -> bytes:
    try:
        async with asyncio.timeout(idle_timeout):  # not wait_for: in Python 3.11 it may swallow a cancellation
            return await read
    except asyncio.IncompleteReadError as error:
        raise BrokenBody("the body ended early") from error
