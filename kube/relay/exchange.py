"""One request carried to an upstream and its answer carried back, in pieces and with back-pressure both ways.

Redirects are handed on, never followed (SEC-20). A request is sent twice only when the first try went down a connection
that had been idle, and ended there without a byte of an answer, and the request carries no body and changes nothing:
everything else might have arrived. A client that goes away cancels the task that runs the exchange.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from .bodies import BODY_ERRORS, PIECE, BrokenBody, read_body, write_body
from .heads import (
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
STALL_TIMEOUT = 600.0  # of a client that takes nothing of its answer: somebody may be reading a log in a pager
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SAFE_METHODS = frozenset(["GET", "HEAD", "OPTIONS"])


class UpstreamFailed(Exception):
    """The upstream took the request but gave no proper answer; the client has had no byte of one."""


class AnswerBroken(Exception):
    """The answer ended in the middle; the client's connection has to be cut, so that he sees it too."""


class _EndedUnanswered(UpstreamFailed):
    """The connection ended without a byte of an answer, as an idle one does that its owner closes."""


@dataclass(slots=True)
class Client:
    """The client's two streams. ``unread``: bytes of the request may still come that nobody will take."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    unread: bool = False

    async def body_of(self, request: RequestHead) -> AsyncIterator[bytes]:
        """The request's body as it comes; asked for now when the client waits to be asked. Raises as read_body."""
        self.unread = True
        if request.awaits_continue:
            self.writer.write(CONTINUE)
        async for piece in read_body(self.reader, request.framing, BODY_IDLE_TIMEOUT):
            yield piece
        self.unread = False


def end_to_end_headers(response: ResponseHead) -> Headers:
    """All of an answer's headers that are not of the upstream's connection alone."""
    return without_hop_by_hop(response.headers)


@dataclass(slots=True)
class Exchange:
    """``target`` and ``headers`` (end-to-end fields) are what the upstream gets.

    ``body`` is the request's body when it was read before; otherwise it is carried as it comes. ``answer_headers`` says what
    the client gets of the answer's headers; what it raises comes out of ``run``. ``status`` is the answer's, 0 before it;
    ``sent``: the request may have arrived.
    """

    pool: UpstreamPool
    request: RequestHead
    target: str
    headers: Headers
    client: Client
    body: bytes | None = None
    answer_headers: Callable[[ResponseHead], Headers] = end_to_end_headers
    stall_timeout: float = STALL_TIMEOUT
    status: int = 0
    sent: bool = False
    _body_taken: bool = field(default=True, init=False)

    async def run(self) -> bool:
        """Carries it; returns whether the client's connection can carry another request.

        Raises UpstreamUnreachable, UpstreamFailed, BrokenBody (the client has had no byte yet), AnswerBroken (he has).
        """
        link, response = await self._ask()
        reusable = False
        try:
            self.status = response.status
            headers = self.answer_headers(response)
            if response.status == 101:
                await self._splice(link, response, headers)
                return False
            # What follows a refused upgrade may be of either protocol: both connections end (SEC-19).
            last = not self._body_taken or self.request.upgrade is not None
            await self._answer(link, response, headers, last=last)
            reusable = response.keep_alive and not last
            return self.request.keep_alive and not last
        finally:
            if reusable:
                self.pool.take_back(link)
            else:
                link.close()

    async def _ask(self) -> tuple[Link, ResponseHead]:
        request = self.request
        repeatable = request.method in SAFE_METHODS and request.framing.empty and request.upgrade is None
        link = await self.pool.lend(fresh=request.upgrade is not None)
        while True:
            try:
                return link, await self._send(link)
            except _EndedUnanswered:
                link.close()
                if not (repeatable and link.reused):
                    raise
            except BaseException:
                link.close()
                raise
            link = await self.pool.lend(fresh=True)

    async def _send(self, link: Link) -> ResponseHead:
        """Sends head and body while listening: a server may refuse before it has read all of a body."""
        self.sent = True
        link.writer.write(self._render_head(link))
        if self.body is not None or self.request.framing.empty:
            link.writer.write(self.body or b"")
            return await self._response_head(link)
        body = asyncio.create_task(self._send_body(link))
        answer = asyncio.create_task(self._read_response_head(link))
        try:
            await asyncio.wait({body, answer}, return_when=asyncio.FIRST_COMPLETED)
            self._body_taken = body.done() and body.result()
            return await self._response_head(link, answer)
        finally:
            for task in (body, answer):
                task.cancel()
            await asyncio.gather(body, answer, return_exceptions=True)

    def _render_head(self, link: Link) -> bytes:
        """Framing and host are written anew: they are between us and the upstream."""
        own = {"content-length", "host"} if link.authority else {"content-length"}
        headers = [(name, value) for name, value in self.headers if name.lower() not in own]
        if link.authority:
            headers.insert(0, ("Host", link.authority))
        framing = self.request.framing
        if self.request.upgrade is not None:
            headers += [("Connection", "Upgrade"), ("Upgrade", self.request.upgrade)]
        if framing.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif framing.length or self.request.get("content-length") is not None:
            headers.append(("Content-Length", str(framing.length)))
        return render_request_head(self.request.method, self.target, headers)

    async def _send_body(self, link: Link) -> bool:
        """False: the upstream took no more of it, and may have said why. Raises BrokenBody for the client's own fault."""
        chunked = self.request.framing.chunked
        try:
            async for piece in self.client.body_of(self.request):
                if not await _written(link, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece):
                    return False
        except OSError as error:
            raise BrokenBody("the body did not go on") from error
        return not chunked or await _written(link, b"0\r\n\r\n")

    async def _response_head(self, link: Link, reading: "asyncio.Task[ResponseHead] | None" = None) -> ResponseHead:
        try:
            async with asyncio.timeout(RESPONSE_HEAD_TIMEOUT):
                return await (reading or self._read_response_head(link))
        except TimeoutError as error:
            raise UpstreamFailed("it gave no answer in time") from error

    async def _read_response_head(self, link: Link) -> ResponseHead:
        try:
            while True:
                response = parse_response_head(await link.reader.readuntil(b"\r\n\r\n"), self.request.method)
                if response.status == 101 and self.request.upgrade is None:
                    raise UpstreamFailed("it changes the protocol unasked")
                if response.status >= 200 or response.status == 101:
                    return response
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise UpstreamFailed("its answer ended early") from error
            raise _EndedUnanswered("it ended the connection without an answer") from error
        except OSError as error:
            raise _EndedUnanswered("it cut the connection without an answer") from error
        except (asyncio.LimitOverrunError, RefusedHead) as error:
            raise UpstreamFailed("it gave no proper answer") from error

    async def _answer(self, link: Link, response: ResponseHead, headers: Headers, *, last: bool) -> None:
        # Without a length the client's message ends by chunks, so that his connection outlives the upstream's.
        chunked = response.framing.length is None
        own: Headers = [("Transfer-Encoding", "chunked")] if chunked else []
        if last or not self.request.keep_alive:
            own.append(("Connection", "close"))
        writer = self.client.writer
        writer.write(render_response_head(response.status, response.reason, [*headers, *own]))
        pieces = read_body(link.reader, response.framing, None)
        try:
            await write_body(writer, pieces, chunked=chunked, stall_timeout=self.stall_timeout)
        except BODY_ERRORS as error:
            raise AnswerBroken from error

    async def _splice(self, link: Link, response: ResponseHead, headers: Headers) -> None:
        """After a 101 bytes are bytes: both ways until one side ends."""
        own = [("Connection", "Upgrade"), ("Upgrade", response.get("upgrade") or self.request.upgrade or "")]
        head = render_response_head(101, response.reason or "Switching Protocols", [*headers, *own])
        self.client.writer.write(head)
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


async def _written(link: Link, data: bytes) -> bool:
    """Whether the upstream still takes bytes."""
    try:
        link.writer.write(data)
        async with asyncio.timeout(RESPONSE_HEAD_TIMEOUT):
            await link.writer.drain()
    except OSError:
        return False
    return True


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        return  # one side is gone: the other is closed by the caller
