"""Which reconciler serves which kind of row."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules
from typing import Any

import workers.reconcilers

from .contract import Reconciler


@cache
def reconcilers() -> Mapping[str, Reconciler[Any]]:
    """One instance of each reconciler that a module of this package defines, by its model's kind.

    Raises ValueError when two serve one kind.
    """
    package = workers.reconcilers.__name__
    found: dict[str, Reconciler[Any]] = {}
    for info in iter_modules(workers.reconcilers.__path__):
        module = import_module(f"{package}.{info.name}")
        for _, cls in getmembers(module, isclass):
            if issubclass(cls, Reconciler) and cls is not Reconciler and cls.__module__ == module.__name__:
                _add(found, cls())
    return found


def _add(found: dict[str, Reconciler[Any]], reconciler: Reconciler[Any]) -> None:
    kind = reconciler.model.object_kind
    if kind in found:
        raise ValueError(f"{kind} has two reconcilers: {type(found[kind]).__name__}, {type(reconciler).__name__}")
    found[kind] = reconciler
