"""What a reconciler promises, and which one serves which kind of row."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules
from typing import Any, Protocol

import workers.reconcilers
from hub.core.models import Reconciled
from hub.core.work import Claim

from ..outcome import Outcome


class Reconciler(Protocol):
    """Brings rows of one kind to what they want. Stateless: one instance serves all rows of a process.

    The runtime holds the row's claim, binds the request id, counts attempts and gives the row back. ``reconcile``
    looks at the world, does the next step, writes status under the claim, and says when to look again. It is called
    outside a transaction and never waits: a step ends well before PADDOCK_STEP_DEADLINE. Being killed anywhere in it,
    and being called again at once, must be harmless.

    What is foreseen (a cluster that is away, a quota that is full) ends in a condition and an Outcome. An exception
    means the unforeseen: it is logged, the row is tried again with growing pauses, and after some attempts it is
    reported as ``Stuck``. ``LostClaim`` may pass through.
    """

    @property
    def model(self) -> type[Reconciled]: ...

    def reconcile(self, claim: Claim[Any]) -> Outcome: ...


@cache
def reconcilers() -> Mapping[str, Reconciler]:
    """One instance of each class named ``...Reconciler`` that a module of this package defines, by its model's kind.

    Raises ValueError when two serve one kind.
    """
    package = workers.reconcilers.__name__
    found: dict[str, Reconciler] = {}
    for info in iter_modules(workers.reconcilers.__path__):
        module = import_module(f"{package}.{info.name}")
        for name, cls in getmembers(module, isclass):
            if name.endswith("Reconciler") and cls.__module__ == module.__name__ and cls is not Reconciler:
                _add(found, cls())
    return found


def _add(found: dict[str, Reconciler], reconciler: Reconciler) -> None:
    kind = reconciler.model.object_kind
    if kind in found:
        raise ValueError(f"{kind} has two reconcilers: {type(found[kind]).__name__}, {type(reconciler).__name__}")
    found[kind] = reconciler
