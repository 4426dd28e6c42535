"""One client's connection: requests read one after the other, each carried by the route that takes its path.

The head is read under a deadline and a size limit; a request that is refused before its body was read ends the connection,
so that no byte of a body is ever taken for a request.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import structlog

from hub.core.requests import accept_request_id
from kube.relay.bodies import PIECE, BrokenBody
from kube.relay.exchange import AnswerBroken, Client, UpstreamFailed
from kube.relay.heads import RefusedHead, RequestHead, parse_request_head
from kube.relay.upstream import UpstreamUnreachable

from .answers import Refusal, malformed, render_refusal

HEAD_TIMEOUT = 15.0
IDLE_TIMEOUT = 75.0
BODY_TIMEOUT = 60.0  # for a whole body of the size that is collected
MOST_HELD = 32 * 1024 * 1024  # bytes of bodies that are being collected, all together
LINGER_SECONDS = 2.0
CLOSE_TIMEOUT = 60.0  # for what is still to be sent to a slow client

log = structlog.get_logger(__name__)


class Waiting:
    """Connections that the server waits for: no whole request is there yet, or its last answer is still to be taken.

    When there are too many, or they hold too much, the one that has kept it waiting longest goes first (SEC-72).
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[object], int] = {}  # bytes held, in the order they began to wait
        self._held = 0

    def __len__(self) -> int:
        return len(self._tasks)

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """For the current task, while it waits for its client."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = 0
        try:
            yield
        finally:
            self._forget(task)

    def hold(self, size: int) -> None:
        """Counts bytes that the current task keeps while it waits."""
        task = asyncio.current_task()
        if task in self._tasks:
            self._tasks[task] += size
            self._held += size
        while self._held > MOST_HELD:
            self._end(next(task for task, held in self._tasks.items() if held))

    def end_longest(self) -> bool:
        """Ends one; False: nobody is waited for."""
        task = next(iter(self._tasks), None)
        if task is None:
            return False
        self._end(task)
        return True

    def end_all(self) -> None:
        while self.end_longest():
            pass

    def _end(self, task: "asyncio.Task[object]") -> None:
        self._forget(task)
        task.cancel()

    def _forget(self, task: "asyncio.Task[object]") -> None:
        self._held -= self._tasks.pop(task, 0)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request as a route gets it: parsed head, the client's streams, the peer's address, the id it is logged under."""

    head: RequestHead
    client: Client
    peer: str
    request_id: str
    waiting: Waiting

    async def collect_body(self) -> bytes:
        """The whole body; for one that is known to be small. Raises BrokenBody."""
        pieces = []
        try:
            with self.waiting.here():
                async with asyncio.timeout(BODY_TIMEOUT):
                    async for piece in self.client.body_of(self.head):
                        self.waiting.hold(len(piece))
                        pieces.append(piece)
        except OSError as error:
            raise BrokenBody("the body did not go on") from error
        return b"".join(pieces)

    def cut(self) -> None:
        """Ends the connection at once, whatever is being carried."""
        self.client.writer.transport.abort()


Route = Callable[[Incoming], Awaitable[bool]]  # returns whether the connection can carry another request


class Connection:
    """Serves one accepted connection until it ends."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, route: Route, waiting: Waiting
    ) -> None:
        self._client = Client(reader, writer)
        self._route = route
        self._waiting = waiting
        self._peer = _address(writer.get_extra_info("peername"))

    async def serve(self) -> None:
        """Runs until the client has gone or the connection may not be used any longer."""
        work = asyncio.create_task(self._requests())
        gone = asyncio.create_task(self._client.writer.wait_closed())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not work.cancelled():
                with self._waiting.here():
                    await self._close(gone)
        finally:
            self._client.writer.transport.abort()
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None and not isinstance(error, OSError):
            log.error("connection_failed", exc_info=error)

    async def _close(self, gone: "asyncio.Task[None]") -> None:
        """Sends what is buffered and closes, unless the client keeps us waiting."""
        self._client.writer.close()
        await asyncio.wait({gone}, timeout=CLOSE_TIMEOUT)

    async def _requests(self) -> None:
        timeout = HEAD_TIMEOUT
        while (raw := await self._read_head(timeout)) is not None:
            if not await self._request(raw):
                break
            timeout = IDLE_TIMEOUT
        if self._client.unread:
            await self._linger()

    async def _read_head(self, patience: float) -> bytes | None:
        try:
            with self._waiting.here():
                async with asyncio.timeout(patience):
                    return await self._client.reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            self._client.unread = True
            refusal = malformed(431, "The request's head is too large.")
            parts = render_refusal(refusal, kubernetes=False, request_id=accept_request_id(None), keep_alive=False)
            self._client.writer.write(b"".join(parts))
        except TimeoutError:
            self._client.writer.transport.abort()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client ended: there is nobody to tell
        return None

    async def _request(self, raw: bytes) -> bool:
        request_id = accept_request_id(None)
        method, _, rest = raw.partition(b" ")
        keep_alive, self._client.unread = False, True
        try:
            head = parse_request_head(raw)
            self._client.unread = not head.framing.empty
            keep_alive = head.keep_alive and head.framing.empty and head.upgrade is None
            return await self._route(Incoming(head, self._client, self._peer, request_id, self._waiting))
        except RefusedHead as error:
            refusal = malformed(error.status, str(error))
        except Refusal as error:
            refusal = error
        except BrokenBody as error:
            refusal, keep_alive = Refusal("request.body_broken", f"The request is not complete: {error}."), False
        except UpstreamUnreachable as error:
            refusal = Refusal("upstream.unreachable", f"The upstream cannot be reached: {error}.")
        except UpstreamFailed as error:
            refusal, keep_alive = Refusal("upstream.failed", f"The upstream failed: {error}."), False
        except AnswerBroken:
            self._client.writer.transport.abort()
            return False
        if refusal.status in {502, 503}:
            log.warning("request_failed", code=refusal.code, reason=refusal.message, request_id=request_id)
        kubernetes = rest.startswith(b"/k8s/")
        head_part, content = render_refusal(
            refusal, kubernetes=kubernetes, request_id=request_id, keep_alive=keep_alive
        )
        self._client.writer.write(head_part if method == b"HEAD" else head_part + content)
        return keep_alive

    async def _linger(self) -> None:
        """Takes what the client is still sending, for a moment: closing on unread bytes would reset the connection, and the
        answer be lost on the way.
        """
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._client.reader.read(PIECE):
                    pass
        except OSError:  # he goes on sending, or is gone
            self._client.writer.transport.abort()


def _address(peer: object) -> str:
    """The peer's address, an IPv4 one as such also when it came in over IPv6."""
    if not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
