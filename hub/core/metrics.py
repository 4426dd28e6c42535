"""The figures core knows of: queue age, overdue work, time in phase. ``hub.api`` turns them into ``/metrics``."""

from dataclasses import dataclass

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, Q
from django.db.models.functions import Now

from .models import Reconciled
from .work import free, reconciled_models


@dataclass(frozen=True, slots=True)
class DueRows:
    """Rows of one kind whose time has come. ``oldest_seconds`` is how long the oldest waits, 0 when none does."""

    kind: str
    due: int
    leased: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class PhaseCount:
    """Rows of one kind in one phase, and how long the one longest in it has been there."""

    kind: str
    phase: str
    rows: int
    longest_seconds: float


def due_rows() -> list[DueRows]:
    return [_due_rows(model) for model in reconciled_models()]


def phase_counts() -> list[PhaseCount]:
    return [count for model in reconciled_models() for count in _phase_counts(model)]


def _due_rows(model: type[Reconciled]) -> DueRows:
    figures = model._base_manager.filter(next_run_at__lte=Now()).aggregate(
        due=Count("id", filter=free()),
        leased=Count("id", filter=Q(lease_expires_at__gt=Now())),
        oldest=Max(ExpressionWrapper(Now() - F("next_run_at"), output_field=DurationField())),
    )
    oldest = figures["oldest"]
    return DueRows(model.object_kind, figures["due"], figures["leased"], oldest.total_seconds() if oldest else 0.0)


def _phase_counts(model: type[Reconciled]) -> list[PhaseCount]:
    since = ExpressionWrapper(Now() - F("phase_since"), output_field=DurationField())
    rows = model._base_manager.values("phase").annotate(rows=Count("id"), longest=Max(since)).order_by("phase")
    return [PhaseCount(model.object_kind, row["phase"], row["rows"], row["longest"].total_seconds()) for row in rows]
