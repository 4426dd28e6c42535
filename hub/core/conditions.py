"""Conditions: what is true of a reconciled row, in the shape Kubernetes uses, kept as a JSON list on the row.

Only changes the row in memory; ``hub.core.changes`` writes it. Types and reasons are constants of the app that sets
them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from django.utils import timezone

from .models import Reconciled

Status = Literal["True", "False", "Unknown"]

STUCK = "Stuck"
"""True: the row has been on its way longer than it may. Params name who can act (``owner``: tenant, platform or
infrastructure) and how (``action``: an error-code-like name)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``reason`` is a PascalCase constant, ``message`` a sentence for people, ``params`` the data it was made of.

    ``last_transition`` is when ``status`` last changed, RFC 3339.
    """

    type: str
    status: Status
    reason: str
    message: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    last_transition: str = ""


def condition(row: Reconciled, type: str) -> Condition | None:
    """The row's condition of this type, if it was ever set."""
    return next((Condition(**entry) for entry in row.conditions if entry["type"] == type), None)


def is_true(row: Reconciled, type: str) -> bool:
    found = condition(row, type)
    return found is not None and found.status == "True"


def set_condition(
    row: Reconciled,
    type: str,
    status: Status | bool,
    reason: str,
    message: str = "",
    params: Mapping[str, Any] | None = None,
) -> bool:
    """Sets a condition in memory; tells whether anything but the time would change. Write field ``conditions`` then."""
    if isinstance(status, bool):
        status = "True" if status else "False"
    before = condition(row, type)
    moved = before is None or before.status != status
    since = timezone.now().isoformat() if before is None or moved else before.last_transition
    after = Condition(type, status, reason, message, dict(params or {}), since)
    if after == before:
        return False
    row.conditions = sorted(
        [*(entry for entry in row.conditions if entry["type"] != type), asdict(after)], key=lambda entry: entry["type"]
    )
    return True


def clear_condition(row: Reconciled, type: str) -> bool:
    """Forgets a condition in memory; tells whether there was one."""
    kept = [entry for entry in row.conditions if entry["type"] != type]
    found = len(kept) != len(row.conditions)
    row.conditions = kept
    return found


def set_phase(row: Reconciled, phase: str) -> bool:
    """Names the row's phase for people, in memory; tells whether it is a new one. Fields ``phase`` and
    ``phase_since``.
    """
    if row.phase == phase:
        return False
    row.phase = phase
    row.phase_since = timezone.now()
    return True
