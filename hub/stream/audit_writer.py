"""Audit events of proxied requests, committed before the request leaves; many at a time share one commit.

A request waits for its event. When events cannot be written the request is refused: what is not recorded does not happen
(FLT-42).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections, transaction

from hub.audit import services as audit
from hub.core.access import Actor
from hub.core.requests import bind_request

from .answers import Refusal

WRITE_TIMEOUT = 5.0
BATCH = 200


@dataclass(slots=True)
class AuditEntry:
    """What is recorded of one request; ``written`` ends with the commit."""

    actor: Actor
    verb: str
    resource: str
    object_name: str
    cluster_id: UUID
    request_id: str
    source_ip: str
    detail: dict[str, Any]
    outcome: str = "succeeded"
    code: str = ""
    written: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class AuditWriter:
    """Writes entries in batches, in the order they came."""

    def __init__(self) -> None:
        self._waiting: list[AuditEntry] = []
        self._wake = asyncio.Event()

    async def write(self, entry: AuditEntry) -> None:
        """Returns after the commit. Raises Refusal when it did not come about in time."""
        self._waiting.append(entry)
        self._wake.set()
        try:
            await asyncio.wait_for(asyncio.shield(entry.written), WRITE_TIMEOUT)
        except (DatabaseError, TimeoutError) as error:
            raise Refusal(
                503, "hub.unavailable", "The request could not be recorded, so it was not carried out.", 5
            ) from error

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._commit(batch)

    async def _commit(self, batch: Sequence[AuditEntry]) -> None:
        failure: Exception | None = None
        try:
            await sync_to_async(_write)(batch)
        except DatabaseError as error:
            failure = error
        for entry in batch:
            if entry.written.cancelled():
                continue
            if failure is None:
                entry.written.set_result(None)
            else:
                entry.written.set_exception(failure)


def _write(batch: Sequence[AuditEntry]) -> None:
    close_old_connections()
    with transaction.atomic():
        for entry in batch:
            with bind_request(entry.request_id, entry.source_ip):
                audit.record(
                    entry.actor,
                    entry.verb,
                    entry.resource,
                    object_name=entry.object_name,
                    cluster_id=entry.cluster_id,
                    outcome=entry.outcome,
                    code=entry.code,
                    detail=entry.detail,
                )
