"""A row is the work: waking it, claiming it, giving it back.

All times are the database's. A claim raises the row's fence, and every guarded write (``hub.core.changes``) names it,
so a holder that slept through its lease writes nothing. A message is a hint that a row is due; a claim passes only
while it is, so a message that comes twice, late or not at all changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import UUID

from django.apps import apps
from django.db import transaction
from django.db.models import Case, DateTimeField, Expression, ExpressionWrapper, F, Q, Value, When
from django.db.models.functions import Now

from . import broker
from .models import Reconciled
from .requests import request_context

RowT = TypeVar("RowT", bound=Reconciled)


@dataclass(frozen=True, slots=True)
class Claim(Generic[RowT]):
    """The right to reconcile a row until its lease ends. ``row`` is as it was when claimed."""

    row: RowT
    fence: int
    holder: str
    wake_count: int


HINT_SECONDS = 15.0
"""How long a message may take to reach a worker before the poller sends another one."""


def wake(row: Reconciled) -> None:
    """Makes the row due now, in the caller's transaction, and sends a hint after the commit. The broker may be away."""
    wake_by_id(type(row), row.pk)


def wake_by_id(model: type[Reconciled], id: UUID) -> bool:
    """``wake`` for callers that hold no row. False when there is no such row."""
    with transaction.atomic():
        woken = model._base_manager.filter(pk=id).update(
            next_run_at=Now(), wake_count=F("wake_count") + 1, hinted_until=_from_now(HINT_SECONDS)
        )
        if woken:
            transaction.on_commit(lambda: hint(model, id), robust=True)
    return bool(woken)


def hint(model: type[Reconciled], id: UUID) -> bool:
    """Sends a message about a due row. When the broker does not take it (False), the poller may try at once."""
    sent = broker.send_hint(broker.reconcile_payload(model.object_kind, id, request_context().request_id))
    if not sent:
        model._base_manager.filter(pk=id).update(hinted_until=None)
    return sent


def claim(model: type[RowT], id: UUID, holder: str, seconds: float) -> Claim[RowT] | None:
    """Takes a due row for ``seconds``. None when it is gone, not due, or held by another.

    Counts the attempt before any work is done: a row that kills its worker is known by its count.
    """
    with transaction.atomic():
        taken = model._base_manager.filter(free(), pk=id, next_run_at__lte=Now()).update(
            lease_holder=holder,
            lease_expires_at=_from_now(seconds),
            hinted_until=None,
            fence=F("fence") + 1,
            attempts=F("attempts") + 1,
        )
        if not taken:
            return None
        row = model._base_manager.get(pk=id)
    return Claim(row, row.fence, holder, row.wake_count)


def release(claim: Claim[RowT], *, next_run_in: float | None, failed: bool = False) -> bool:
    """Gives the row back, due again in ``next_run_in`` seconds (None: when woken). False when it was lost or is gone.

    A wake that came during the reconcile makes it due at once. A failure keeps the count of attempts, a success
    resets it.
    """
    model = type(claim.row)
    rows = model._base_manager.filter(pk=claim.row.pk, fence=claim.fence)
    planned = Value(None, output_field=DateTimeField()) if next_run_in is None else _from_now(next_run_in)
    with transaction.atomic():
        released = rows.update(
            lease_holder="",
            lease_expires_at=None,
            attempts=F("attempts") if failed else 0,
            next_run_at=Case(When(wake_count__gt=claim.wake_count, then=Now()), default=planned),
        )
        if rows.filter(next_run_at__lte=Now()).update(hinted_until=_from_now(HINT_SECONDS)):
            transaction.on_commit(lambda: hint(model, claim.row.pk), robust=True)
    return bool(released)


def take_unhinted(model: type[Reconciled], limit: int) -> list[UUID]:
    """Up to ``limit`` due rows that no worker holds and no message is on its way for, longest due first.

    Notes them as hinted: the caller sends the messages (``hint``). Concurrent callers get different rows.
    """
    unhinted = Q(hinted_until__isnull=True) | Q(hinted_until__lte=Now())
    with transaction.atomic():
        due = model._base_manager.select_for_update(skip_locked=True).filter(free(), unhinted, next_run_at__lte=Now())
        ids = list(due.order_by("next_run_at").values_list("pk", flat=True)[:limit])
        model._base_manager.filter(pk__in=ids).update(hinted_until=_from_now(HINT_SECONDS))
    return ids


def free() -> Q:
    """Rows that no live lease holds."""
    return Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=Now())


def reconciled_models() -> Iterator[type[Reconciled]]:
    """Every installed kind of reconciled row."""
    return (model for model in apps.get_models() if issubclass(model, Reconciled))


def find_model(kind: str) -> type[Reconciled] | None:
    return next((model for model in reconciled_models() if model.object_kind == kind), None)


def _from_now(seconds: float) -> Expression:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())
