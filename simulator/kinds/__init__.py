"""The kind table: every kind the simulated API serves, and the CRDs of those that are not built in.

``BUILTIN_KINDS`` are what any Kubernetes API here has (guest clusters serve these alone), ``HARVESTER_KINDS`` what a
Harvester cluster adds to them.
"""

from typing import Any, Final

from simulator.kinds import crds
from simulator.kinds.access import ACCESS_KINDS
from simulator.kinds.core import CORE_KINDS
from simulator.kinds.harvester import HARVESTER_OWN_KINDS
from simulator.kinds.kubevirt import KUBEVIRT_KINDS
from simulator.kinds.pods import DEPLOYMENTS, PODS
from simulator.kinds.spec import Column, KindSpec

__all__ = ["BUILTIN_KINDS", "GUEST_KINDS", "HARVESTER_KINDS", "Column", "KindSpec", "build_crds"]

BUILTIN_KINDS: Final[tuple[KindSpec, ...]] = (*CORE_KINDS, PODS, DEPLOYMENTS, *ACCESS_KINDS)

GUEST_KINDS: Final = BUILTIN_KINDS

HARVESTER_KINDS: Final[tuple[KindSpec, ...]] = (*BUILTIN_KINDS, *KUBEVIRT_KINDS, *HARVESTER_OWN_KINDS)


def build_crds() -> list[dict[str, Any]]:
    """Definitions of all Harvester kinds: with them a real API server serves what the simulated one does."""
    return crds.build_crds(HARVESTER_KINDS)
