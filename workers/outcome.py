"""What a reconcile answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """When to look at the row again: in ``next_run_in`` seconds, or (None) when it is woken."""

    next_run_in: float | None
