"""One request carried to an upstream and its answer carried back, in pieces and with back-pressure both ways.

Redirects are handed on, never followed (SEC-20). A request is sent twice only when the first try went down a connection
that had been idle, carried no body and changes nothing: everything else might have arrived. A client that goes away cancels
the task that runs the exchange.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .bodies import BODY_ERRORS, PIECE, read_body, write_body
from .heads import (
    Framing,
    Headers,
    RefusedHead,
    RequestHead,
    ResponseHead,
    parse_response_head,
    render_request_head,
    render_response_head,
    without_hop_by_hop,
)
from .upstream import Link, UpstreamPool

RESPONSE_HEAD_TIMEOUT = 90.0  # above kube-apiserver's own 60 s for a request that is not long-running
BODY_IDLE_TIMEOUT = 60.0  # of a client that sends a body
SAFE_METHODS = frozenset(["GET", "HEAD", "OPTIONS"])


class UpstreamFailed(Exception):
    """The upstream took the request but gave no proper answer; the client has had no byte of one."""


class AnswerBroken(Exception):
    """The answer ended in the middle; the client's connection has to be cut, so that he sees it too."""


@dataclass(slots=True)
class Client:
    """The client's two streams, and whether anything was answered on them yet."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(slots=True)
class Exchange:
    """``target`` and ``headers`` are what the upstream gets (end-to-end fields only); ``on_upgrade`` is told of a 101."""

    pool: UpstreamPool
    request: RequestHead
    target: str
    headers: Headers
    client: Client
    on_upgrade: Callable[[], None] | None = None
    status: int = 0
    body_taken: bool = True

    async def run(self) -> bool:
        """Carries it; returns whether the client's connection can carry another request.

        Raises UpstreamUnreachable, UpstreamFailed (the client has had no byte yet), AnswerBroken (he has).
        """
        link, response = await self._ask()
        clean = False
        try:
            self.status = response.status
            if response.status == 101:
                await self._splice(link, response)
                return False
            await self._answer(link, response)
            clean = self.body_taken
            return clean and self.request.keep_alive
        finally:
            if clean and response.keep_alive:
                self.pool.take_back(link)
            else:
                link.close()

    async def _ask(self) -> tuple[Link, ResponseHead]:
        link = await self.pool.lend()
        repeatable = link.reused and self.request.framing.empty and self.request.method in SAFE_METHODS
        try:
            return link, await self._send(link)
        except BaseException as error:
            link.close()
            if not (repeatable and isinstance(error, UpstreamFailed)):
                raise
        link = await self.pool.lend(fresh=True)
        try:
            return link, await self._send(link)
        except BaseException:
            link.close()
            raise

    async def _send(self, link: Link) -> ResponseHead:
        """Sends head and body while listening: a server may refuse before it has read all of a body."""
        framing = self.request.framing
        link.writer.write(
            render_request_head(self.request.method, self.target, [*self.headers, *self._framing_headers()])
        )
        if framing.empty:
            return await self._response_head(link)
        body = asyncio.create_task(self._send_body(link, framing))
        head = asyncio.create_task(self._response_head(link))
        try:
            await asyncio.wait({body, head}, return_when=asyncio.FIRST_COMPLETED)
            if not head.done():
                await body
            self.body_taken = body.done()
            return await head
        finally:
            for task in (body, head):
                task.cancel()
            await asyncio.gather(body, head, return_exceptions=True)

    async def _send_body(self, link: Link, framing: Framing) -> None:
        pieces = read_body(self.client.reader, framing, BODY_IDLE_TIMEOUT)
        try:
            await write_body(link.writer, pieces, chunked=framing.chunked)
        except BODY_ERRORS as error:
            raise UpstreamFailed("the body could not be carried") from error

    async def _response_head(self, link: Link) -> ResponseHead:
        try:
            async with asyncio.timeout(RESPONSE_HEAD_TIMEOUT):
                while True:
                    raw = await link.reader.readuntil(b"\r\n\r\n")
                    response = parse_response_head(raw, self.request.method)
                    if response.status == 101 and self.request.upgrade is None:
                        raise UpstreamFailed("it changes the protocol unasked")
                    if response.status >= 200 or response.status == 101:
                        return response
        except TimeoutError as error:
            raise UpstreamFailed("it gave no answer in time") from error
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, RefusedHead) as error:
            raise UpstreamFailed("it gave no proper answer") from error

    async def _answer(self, link: Link, response: ResponseHead) -> None:
        # Without a length the client's message ends by chunks, so that his connection outlives the upstream's.
        chunked = response.framing.length is None
        headers = [h for h in without_hop_by_hop(response.headers) if not chunked or h[0].lower() != "content-length"]
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        if not self.request.keep_alive or not self.body_taken:
            headers.append(("Connection", "close"))
        writer = self.client.writer
        writer.write(render_response_head(response.status, response.reason, headers))
        try:
            await write_body(writer, read_body(link.reader, response.framing, None), chunked=chunked)
            await writer.drain()
        except BODY_ERRORS as error:
            raise AnswerBroken from error

    async def _splice(self, link: Link, response: ResponseHead) -> None:
        """After a 101 bytes are bytes: both ways until one side ends."""
        headers = without_hop_by_hop(response.headers)
        headers += [("Connection", "Upgrade"), ("Upgrade", response.get("upgrade") or self.request.upgrade or "")]
        self.client.writer.write(render_response_head(101, response.reason or "Switching Protocols", headers))
        if self.on_upgrade is not None:
            self.on_upgrade()
        ways = [
            asyncio.create_task(_pour(self.client.reader, link.writer)),
            asyncio.create_task(_pour(link.reader, self.client.writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _framing_headers(self) -> Headers:
        framing = self.request.framing
        headers: Headers = []
        if self.request.upgrade is not None:
            headers += [("Connection", "Upgrade"), ("Upgrade", self.request.upgrade)]
        if framing.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif framing.length and self.request.get("content-length") is None:
            headers.append(("Content-Length", str(framing.length)))
        return headers


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        return  # one side is gone: the other is closed by the caller
