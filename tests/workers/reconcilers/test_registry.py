"""Reconcilers are found by the kind of their model."""

from typing import Any, ClassVar

import pytest

from hub.core.models import Reconciled
from hub.core.work import Claim, reconciled_models
from tests.rows import Pump
from workers.reconcilers.contract import Outcome, Reconciler, jittered
from workers.reconcilers.registry import _add, reconcilers


class FirstReconciler(Reconciler[Pump]):
    model: ClassVar[type[Reconciled]] = Pump

    def reconcile(self, claim: Claim[Pump]) -> Outcome:
        return Outcome(None)


class SecondReconciler(FirstReconciler):
    pass


def test_every_reconciled_kind_of_the_hub_has_a_reconciler() -> None:
    kinds = {model.object_kind for model in reconciled_models()} - {"pump"}
    assert set(reconcilers()) == kinds
    for kind, reconciler in reconcilers().items():
        assert reconciler.model.object_kind == kind


def test_two_reconcilers_of_one_kind_are_refused() -> None:
    found: dict[str, Reconciler[Any]] = {}
    _add(found, FirstReconciler())
    with pytest.raises(ValueError, match="pump has two reconcilers: FirstReconciler, SecondReconciler"):
        _add(found, SecondReconciler())


def test_a_reconciler_must_reconcile() -> None:
    class Idle(Reconciler[Pump]):
        model: ClassVar[type[Reconciled]] = Pump

    with pytest.raises(TypeError):
        Idle()  # type: ignore[abstract]


def test_spread_is_a_fifth_either_way() -> None:
    spread = [jittered(100) for _ in range(200)]
    assert 80 <= min(spread) < 95
    assert 105 < max(spread) <= 120
