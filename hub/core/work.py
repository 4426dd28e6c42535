"""A row is the work: waking it, claiming it, giving it back.

All times are the database's. A claim raises the row's fence, and every guarded write (``hub.core.changes``) names it,
so a holder that slept through its lease writes nothing. A message is a hint: it lets a claim pass if the row is due,
or if nobody has claimed the row since the message was sent; so a message delivered twice does the work once.
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


def wake(row: Reconciled) -> None:
    """Makes the row due now, in the caller's transaction, and sends a hint after the commit. The broker may be away."""
    wake_by_id(type(row), row.pk)


def wake_by_id(model: type[Reconciled], id: UUID) -> bool:
    """``wake`` for callers that hold no row. False when there is no such row."""
    rows = model._base_manager.filter(pk=id)
    with transaction.atomic():
        if rows.update(next_run_at=Now(), wake_count=F("wake_count") + 1) == 0:
            return False
        fence: int = rows.values_list("fence", flat=True).get()
        _hint_after_commit(model, id, fence)
    return True


def claim(
    model: type[RowT], id: UUID, holder: str, seconds: float, *, fence_seen: int | None = None
) -> Claim[RowT] | None:
    """Takes the row for ``seconds``. None when it is gone, held by another, or neither due nor as the hint saw it.

    Counts the attempt before any work is done: a row that kills its worker is known by its count.
    """
    wanted = Q(next_run_at__lte=Now())
    if fence_seen is not None:
        wanted |= Q(fence=fence_seen)
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=Now())
    with transaction.atomic():
        taken = model._base_manager.filter(free, wanted, pk=id).update(
            lease_holder=holder, lease_expires_at=_from_now(seconds), fence=F("fence") + 1, attempts=F("attempts") + 1
        )
        if not taken:
            return None
        row = model._base_manager.get(pk=id)
    return Claim(row, row.fence, holder, row.wake_count)


def release(claim: Claim[RowT], *, next_run_in: float | None, failed: bool = False) -> bool:
    """Gives the row back, due again in ``next_run_in`` seconds (None: when woken). False when it was lost or is gone.

    A wake that came during the reconcile makes it due at once. A failure keeps the count of attempts; a success
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
        if released and rows.filter(next_run_at__lte=Now()).exists():
            _hint_after_commit(model, claim.row.pk, claim.fence)
    return bool(released)


def reconciled_models() -> Iterator[type[Reconciled]]:
    """Every installed kind of reconciled row."""
    return (model for model in apps.get_models() if issubclass(model, Reconciled))


def find_model(kind: str) -> type[Reconciled] | None:
    return next((model for model in reconciled_models() if model.object_kind == kind), None)


def _from_now(seconds: float) -> Expression:
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def _hint_after_commit(model: type[Reconciled], id: UUID, fence: int) -> None:
    payload = broker.reconcile_payload(model.object_kind, id, fence, request_context().request_id)
    transaction.on_commit(lambda: broker.send_hint(payload), robust=True)
