"""Whose doing is this: the request id and source address that logs, tasks, audit rows and downstream calls carry.

Set once at each entrance (API middleware, stream connection, task) and read anywhere below it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .ids import uuid7

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """``source_ip`` is the client's address, "" for work that no client is waiting for."""

    request_id: str = ""
    source_ip: str = ""


NO_REQUEST = RequestContext()
_context: ContextVar[RequestContext] = ContextVar("paddock_request", default=NO_REQUEST)


def request_context() -> RequestContext:
    return _context.get()


def accept_request_id(offered: str | None) -> str:
    """The client's request id when it is short and plain (it lands in log lines), else a new one."""
    return offered if offered and _ACCEPTED.fullmatch(offered) else uuid7().hex


@contextmanager
def bind_request(request_id: str | None = None, source_ip: str = "") -> Iterator[RequestContext]:
    """Everything inside runs under this request id; a missing or odd one is replaced by a new one."""
    context = RequestContext(accept_request_id(request_id), source_ip)
    token = _context.set(context)
    try:
        yield context
    finally:
        _context.reset(token)
