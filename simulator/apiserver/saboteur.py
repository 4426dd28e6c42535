"""Does to requests what the faults say. Which request meets which fault is decided in ``faults``."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator.apiserver import status
from simulator.apiserver.faults import Fault, FaultKind
from simulator.apiserver.requests import RequestInfo
from simulator.apiserver.watching import error_line

Answer = Callable[[web.BaseRequest, RequestInfo], Awaitable[web.StreamResponse]]


class Saboteur:
    """Answers requests that met a fault. ``leave`` makes the whole server go away for some seconds."""

    def __init__(self, stopping: asyncio.Event, leave: Callable[[float], None]) -> None:
        self._stopping = stopping
        self._leave = leave

    async def answer(
        self, fault: Fault, request: web.BaseRequest, info: RequestInfo, answer: Answer
    ) -> web.StreamResponse:
        """What the client gets instead of, or after, the real answer. Raises ApiError for faults that are refusals."""
        match fault.kind:
            case FaultKind.TOO_MANY_REQUESTS | FaultKind.SERVER_ERROR | FaultKind.UNAVAILABLE:
                raise _refusal(fault)
            case FaultKind.EXPIRED:
                return await self._expire(request, info)
            case FaultKind.RESET:
                return _break_off(request)
            case FaultKind.AWAY:
                self._leave(fault.seconds)
                return _break_off(request)
            case FaultKind.HALF_OPEN:
                return await self._fall_silent(request, info)
            case FaultKind.SLOW:
                await asyncio.sleep(fault.seconds)
                return await answer(request, info)
            case FaultKind.LOST_RESPONSE:
                await answer(request, info)
                return _break_off(request)
            case FaultKind.TRUNCATED:
                return await _truncate(request, await answer(request, info))

    async def _expire(self, request: web.BaseRequest, info: RequestInfo) -> web.StreamResponse:
        error = status.expired("The resourceVersion is too old")
        if info.verb != "watch":
            raise error
        response = await _open_stream(request)
        await response.write(error_line(error))
        await response.write_eof()
        return response

    async def _fall_silent(self, request: web.BaseRequest, info: RequestInfo) -> web.StreamResponse:
        if info.verb == "watch":
            await _open_stream(request)
        await self._stopping.wait()
        return _break_off(request)


async def _open_stream(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


async def _truncate(request: web.BaseRequest, answer: web.StreamResponse) -> web.StreamResponse:
    """Head and half of the body; a stream that has been sent already just breaks off."""
    if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
        response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
    return _break_off(request)


def _break_off(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _refusal(fault: Fault) -> status.ApiError:
    wait = str(max(1, round(fault.seconds)))
    details = {"retryAfterSeconds": int(wait)}
    if fault.kind is FaultKind.TOO_MANY_REQUESTS:
        message = "too many requests, please try again later"
        return status.ApiError(429, "TooManyRequests", message, details=details, headers={"Retry-After": wait})
    if fault.kind is FaultKind.UNAVAILABLE:
        message = "the server is currently unable to handle the request"
        return status.ApiError(503, "ServiceUnavailable", message, details=details, headers={"Retry-After": wait})
    return status.ApiError(500, "InternalError", "Internal error occurred: a fault was asked for")
