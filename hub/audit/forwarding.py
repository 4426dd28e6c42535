"""Forwarding: every event to every receiver, in order, at least once, from where the last delivery ended.

Ids are made before the commit, so the order is that of transactions: a receiver is told of a transaction only when no
earlier one can still commit, and nothing that commits late is overlooked (as in ``hub.core.changes``). A batch counts as
delivered when the receiver has taken it; killed between the two, the batch is sent again, and its events are known by their
ids.
"""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from hub.core.errors import HubError
from hub.core.outbound import OutboundError

from . import syslog, webhook
from .models import NO_EVENT, AuditEvent, AuditForwarder

BATCH = 200
ROUND_SECONDS = 10.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
ERROR_LIMIT = 300
OVERLAP = timedelta(days=1)
"""How much later than its ``at`` an event is still expected to commit."""

_SNAPSHOT = """
SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() AS s
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """The last event that was delivered; ``at`` is None before the first."""

    transaction: int
    event_id: UUID = NO_EVENT
    at: datetime | None = None


def events_after(position: Position, limit: int = BATCH) -> tuple[list[AuditEvent], Position]:
    """The next events in order, and the position after them.

    A database that was restored from another server's backup counts its transactions from a lower number. Its restored
    events come first; then the position begins anew, and events of the last day may come twice rather than one not at all.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOT)
        settled, upcoming = cursor.fetchone()
    if position.transaction > upcoming:
        events = list(_beyond(position)[:limit])
        if events:
            return events, _after(events)
        position = Position(0, at=position.at)
    events = list(_beyond(position).filter(transaction__lt=settled)[:limit])
    return events, _after(events) if events else position


def forward_all() -> int:
    """One round over all receivers that are due; how many events were delivered. One that fails holds up no other."""
    due = AuditForwarder.objects.filter(is_enabled=True).exclude(next_attempt_at__gt=timezone.now())
    return sum(forward(forwarder) for forwarder in due.order_by("id"))


def forward(forwarder: AuditForwarder) -> int:
    """Delivers what there is, for ``ROUND_SECONDS`` at most; how many events. A failure is kept in the row."""
    delivered = 0
    deadline = time.monotonic() + ROUND_SECONDS
    position = Position(forwarder.transaction, forwarder.event_id, forwarder.last_event_at)
    while time.monotonic() < deadline:
        events, reached = events_after(position)
        try:
            if events:
                _send(forwarder, events)
        except (OutboundError, HubError, ValueError) as error:
            _note_failure(forwarder, error)
            break
        if reached != position and not _note_progress(forwarder, position, reached):
            break  # changed, deleted, or taken over by another process
        position = reached
        delivered += len(events)
        if len(events) < BATCH:
            break
    return delivered


def _beyond(position: Position) -> QuerySet[AuditEvent]:
    same, later = Q(transaction=position.transaction, id__gt=position.event_id), Q(transaction__gt=position.transaction)
    # The first condition is what the index can use.
    events = AuditEvent.objects.filter(transaction__gte=position.transaction).filter(same | later)
    if position.at is not None:
        events = events.filter(at__gte=position.at - OVERLAP)
    return events.order_by("transaction", "id")


def _after(events: Sequence[AuditEvent]) -> Position:
    return Position(events[-1].transaction, events[-1].pk, max(event.at for event in events))


def _send(forwarder: AuditForwarder, events: Sequence[AuditEvent]) -> None:
    if forwarder.url.startswith("https:"):
        webhook.send_events(forwarder.url, forwarder.ca_pem, forwarder.secret.reveal(), events)
    else:
        syslog.send_events(forwarder.url, forwarder.ca_pem, events)


def _note_progress(forwarder: AuditForwarder, old: Position, new: Position) -> bool:
    """An observation, no change of the row: no new version. False when the position is no longer the old one."""
    row = AuditForwarder.objects.filter(pk=forwarder.pk, transaction=old.transaction, event_id=old.event_id)
    updated = row.update(
        transaction=new.transaction,
        event_id=new.event_id,
        last_event_at=new.at,
        last_delivery_at=timezone.now(),
        failures=0,
        last_error="",
        next_attempt_at=None,
    )
    return bool(updated)


def _note_failure(forwarder: AuditForwarder, error: Exception) -> None:
    failures = forwarder.failures + 1
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(forwarder.failures, 16)) * random.uniform(0.8, 1.2)  # noqa: S311
    log.warning("audit events were not taken by %s, attempt %s: %s", forwarder.name, failures, error)
    now = timezone.now()
    AuditForwarder.objects.filter(pk=forwarder.pk).update(
        failures=failures,
        last_error=str(error)[:ERROR_LIMIT],
        last_error_at=now,
        next_attempt_at=now + timedelta(seconds=pause),
    )
