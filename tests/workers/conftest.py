"""A reconciler of the tests' own kind, whose behaviour a test scripts."""

from collections.abc import Callable
from typing import ClassVar

import pytest
from django.db import transaction

from hub.core.changes import record_update
from hub.core.work import Claim
from tests.rows import Pump
from workers import runtime
from workers.reconcilers.contract import Outcome, Reconciler

Step = Callable[[Claim[Pump]], Outcome]


class PumpReconciler(Reconciler[Pump]):
    """Does ``step``, by default the one that sets the speed that is wanted; keeps the claims it was called with."""

    model: ClassVar[type[Pump]] = Pump

    def __init__(self) -> None:
        self.claims: list[Claim[Pump]] = []
        self.step: Step = self.set_speed

    def reconcile(self, claim: Claim[Pump]) -> Outcome:
        self.claims.append(claim)
        return self.step(claim)

    def set_speed(self, claim: Claim[Pump]) -> Outcome:
        claim.row.speed = claim.row.wanted_speed
        with transaction.atomic():
            record_update(claim.row, ["speed"], claim=claim)
        return Outcome(None)


@pytest.fixture
def pump_reconciler(monkeypatch: pytest.MonkeyPatch) -> PumpReconciler:
    """The runtime knows this reconciler and no other."""
    reconciler = PumpReconciler()
    monkeypatch.setattr(runtime, "reconcilers", lambda: {"pump": reconciler})
    return reconciler
