"""Audit events of proxied requests, committed before the request leaves; many at a time share one commit.

A request waits for its event. When events cannot be written the request is refused: what is not recorded does not happen
(FLT-42). What there is to tell of it afterwards (it failed, a session ended) waits until the database takes it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import structlog
from django.db import Error as DatabaseFailure
from django.db import InterfaceError, OperationalError

from hub.audit.models import AuditEvent, Outcome
from hub.audit.services import build_event
from hub.audit.strangers import record_bad_credentials
from hub.core.access import Actor
from hub.core.requests import bind_request

from .answers import Refusal
from .database import DatabaseThread

WRITE_TIMEOUT = 5.0
BATCH = 200
RETRY_INTERVAL = 1.0
MOST_LATER = 10_000  # events told afterwards that are kept while the database is away
MOST_STRANGERS = 1000
STRANGER_INTERVAL = 900.0
LAST_WRITES = 5.0  # seconds for them when the process ends

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What is recorded of one request; the fields are those of ``hub.audit``. Without an actor: credentials that open
    nothing.
    """

    actor: Actor | None
    verb: str
    resource: str
    object_name: str
    tenant_id: UUID | None
    project_id: UUID | None
    cluster_id: UUID
    request_id: str
    source_ip: str
    detail: dict[str, Any]
    namespace: str = ""
    outcome: Outcome = Outcome.SUCCEEDED
    code: str = ""


@dataclass(eq=False, slots=True)
class _Waiting:
    """An entry and who waits for its commit; nobody, when it is told afterwards."""

    entry: AuditEntry
    written: "asyncio.Future[None] | None" = field(default=None)

    @property
    def given_up(self) -> bool:
        return self.written is not None and self.written.done()


class AuditWriter:
    """Writes entries in batches, in the order they came."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._thread = DatabaseThread("audit")
        self._strangers: dict[str, float] = {}

    async def write(self, entry: AuditEntry) -> None:
        """Returns after the commit. Raises Refusal when it did not come about in time."""
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._enqueue(waiting)
        assert waiting.written is not None
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                await waiting.written
        except (DatabaseFailure, TimeoutError) as error:
            message = "The request could not be recorded, so it was not carried out."
            raise Refusal("audit.unavailable", message, retry_after=2) from error

    def write_later(self, entry: AuditEntry) -> None:
        """For what has happened already: it is kept until it is written."""
        if len(self._waiting) >= MOST_LATER:
            log.error("audit_event_lost", verb=entry.verb, resource=entry.resource, request_id=entry.request_id)
            return
        self._enqueue(_Waiting(entry))

    def note_stranger(self, entry: AuditEntry) -> None:
        """For credentials that open nothing: of each address one in a while, of few addresses, and nobody waits for it.

        What is told of known users must not be lost for them; the trail itself keeps them to a budget (``hub.audit``).
        """
        now = time.monotonic()
        if len(self._strangers) >= MOST_STRANGERS:
            self._strangers = {address: until for address, until in self._strangers.items() if until > now}
        if self._strangers.get(entry.source_ip, 0.0) <= now and len(self._strangers) < MOST_STRANGERS:
            self._strangers[entry.source_ip] = now + STRANGER_INTERVAL
            self.write_later(entry)

    async def run(self) -> None:
        """Runs until it is cancelled, and then once more for what is left."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._write_all()
        finally:
            try:
                async with asyncio.timeout(LAST_WRITES):
                    await self._write_all()
            except TimeoutError:
                log.error("audit_events_lost", count=len(self._waiting))
            self._thread.close()

    def _enqueue(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._wake.set()

    async def _write_all(self) -> None:
        while self._waiting:
            batch = [waiting for waiting in self._waiting[:BATCH] if not waiting.given_up]
            del self._waiting[:BATCH]
            if not await self._commit(batch):
                await asyncio.sleep(RETRY_INTERVAL)

    async def _commit(self, batch: Sequence[_Waiting]) -> bool:
        """False: the database takes nothing now. An event that it cannot take fails alone."""
        try:
            await self._thread.run(_write, [waiting.entry for waiting in batch])
        except DatabaseFailure as error:
            if len(batch) > 1 and not _is_away(error):
                return all([await self._commit([waiting]) for waiting in batch])
            self._fail(batch, error)
            return not _is_away(error)
        for waiting in batch:
            if (
                waiting.given_up
            ):  # refused, or the client left, while this was being committed: the request did not leave
                self.write_later(replace(waiting.entry, outcome=Outcome.FAILED, code="audit.unavailable"))
            elif waiting.written is not None:
                waiting.written.set_result(None)
        return True

    def _fail(self, batch: Sequence[_Waiting], error: DatabaseFailure) -> None:
        log.error("audit_events_not_written", count=len(batch), error=type(error).__name__)
        for waiting in batch:
            if waiting.written is None and _is_away(error):
                self._waiting.append(waiting)
            elif waiting.written is not None and not waiting.written.done():
                waiting.written.set_exception(error)


def _is_away(error: DatabaseFailure) -> bool:
    return isinstance(error, OperationalError | InterfaceError)


def _write(batch: Sequence[AuditEntry]) -> None:
    events = [_event(entry, entry.actor) for entry in batch if entry.actor is not None]
    AuditEvent.objects.bulk_create(events)
    for entry in batch:
        if entry.actor is None:
            with bind_request(entry.request_id, entry.source_ip):
                record_bad_credentials(entry.code, {**entry.detail, "verb": entry.verb})


def _event(entry: AuditEntry, actor: Actor) -> AuditEvent:
    with bind_request(entry.request_id, entry.source_ip):
        return build_event(
            actor,
            entry.verb,
            entry.resource,
            object_name=entry.object_name,
            namespace=entry.namespace,
            tenant_id=entry.tenant_id,
            project_id=entry.project_id,
            cluster_id=entry.cluster_id,
            outcome=entry.outcome,
            code=entry.code,
            detail=entry.detail,
        )
