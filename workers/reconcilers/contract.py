"""What a reconciler promises, and what it may expect of the runtime that calls it.

The runtime holds the row's claim, binds the request id, counts attempts and gives the row back. A reconciler looks at the
world, does the next step, writes status under the claim, and says when to look again. It never waits: a step ends well
before PADDOCK_STEP_DEADLINE. Being killed anywhere, and being called again at once, must be harmless.
"""

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from django.utils import timezone

from hub.core.models import Reconciled
from hub.core.work import Claim

RowT = TypeVar("RowT", bound=Reconciled)


@dataclass(frozen=True, slots=True)
class Outcome:
    """When to look at the row again: in ``next_run_in`` seconds, or (None) when it is woken."""

    next_run_in: float | None


class Reconciler(ABC, Generic[RowT]):
    """Brings rows of one kind to what they want. Stateless; one instance serves all rows of a worker's process."""

    model: ClassVar[type[Reconciled]]

    @abstractmethod
    def reconcile(self, claim: Claim[RowT]) -> Outcome:
        """One step. ``claim.row`` is fresh.

        Called outside a transaction. What is foreseen (a cluster that is away, a quota that is full) ends in a condition
        and an Outcome; an exception means the unforeseen: it is logged, the row is tried again with growing pauses, and
        after some attempts it is reported as ``Stuck``. ``LostClaim`` may pass through.
        """


def jittered(seconds: float) -> float:
    """``seconds`` give or take a fifth, so that what was planned together does not stay together."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  (spreads load, guards nothing)


def growing_pause(since: datetime, *, least: float, most: float) -> float:
    """How long to wait before trying again what has failed ``since`` then: a tenth of that time, within bounds, spread.

    Needs no counter, so it survives restarts: ``since`` is the last transition of the condition that tells of it.
    """
    return jittered(min(most, max(least, (timezone.now() - since).total_seconds() / 10)))
