"""One client's connection: requests read one after the other, each carried by the route that takes its path.

The head is read under a deadline and a size limit; a request that is refused before its body was read ends the connection,
so that no byte of a body is ever taken for a request.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from kube.relay.exchange import AnswerBroken, Client, UpstreamFailed
from kube.relay.heads import RefusedHead, RequestHead, parse_request_head
from kube.relay.upstream import UpstreamUnreachable

from .answers import Refusal, render_refusal

HEAD_TIMEOUT = 15.0
IDLE_TIMEOUT = 75.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request as a route gets it: parsed head, the client's streams, the peer's address, the id it is logged under."""

    head: RequestHead
    client: Client
    peer: str
    request_id: str

    @property
    def is_kubernetes(self) -> bool:
        return self.head.path.startswith("/k8s/")

    def cut(self) -> None:
        """Ends the connection at once, whatever is being carried."""
        self.client.writer.transport.abort()


Route = Callable[[Incoming], Awaitable[bool]]  # returns whether the connection can carry another request


class Connection:
    """Serves one accepted connection until it ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, route: Route) -> None:
        self._client = Client(reader, writer)
        self._route = route
        peer = writer.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""

    async def serve(self) -> None:
        """Runs until the client has gone or the connection may not be used any longer."""
        work = asyncio.create_task(self._requests())
        gone = asyncio.create_task(self._client.writer.wait_closed())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            self._client.writer.close()
        if not work.cancelled() and (error := work.exception()) is not None and not isinstance(error, OSError):
            log.error("connection_failed", exc_info=error)

    async def _requests(self) -> None:
        timeout = HEAD_TIMEOUT
        while (raw := await self._read_head(timeout)) is not None:
            if not await self._request(raw):
                return
            timeout = IDLE_TIMEOUT

    async def _read_head(self, patience: float) -> bytes | None:
        try:
            return await asyncio.wait_for(self._client.reader.readuntil(b"\r\n\r\n"), patience)
        except asyncio.LimitOverrunError:
            self._refuse(
                Refusal(431, "request.head_too_large", "The request's head is too large."), "", kubernetes=False
            )
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client ended, or was silent for too long: there is nobody to tell
        return None

    async def _request(self, raw: bytes) -> bool:
        request_id = uuid.uuid4().hex
        kubernetes = raw.split(b" ", 2)[1:2] != [] and raw.split(b" ", 2)[1].startswith(b"/k8s/")
        try:
            head = parse_request_head(raw)
        except RefusedHead as error:
            self._refuse(Refusal(error.status, "request.malformed", str(error)), request_id, kubernetes=kubernetes)
            return False
        if head.get("expect") is not None:
            self._client.writer.write(CONTINUE)
        try:
            return await self._route(Incoming(head, self._client, self._peer, request_id))
        except Refusal as refusal:
            keep = head.keep_alive and head.framing.empty
            self._refuse(refusal, request_id, kubernetes=kubernetes, keep_alive=keep)
            return keep
        except UpstreamUnreachable as error:
            message = f"The upstream cannot be reached: {error}."
            self._refuse(Refusal(503, "upstream.unreachable", message, 5), request_id, kubernetes=kubernetes)
        except UpstreamFailed as error:
            self._refuse(
                Refusal(502, "upstream.failed", f"The upstream failed: {error}."), request_id, kubernetes=kubernetes
            )
        except AnswerBroken:
            self._client.writer.transport.abort()
        return False

    def _refuse(self, refusal: Refusal, request_id: str, *, kubernetes: bool, keep_alive: bool = False) -> None:
        answer = render_refusal(refusal, kubernetes=kubernetes, request_id=request_id, keep_alive=keep_alive)
        self._client.writer.write(answer)
