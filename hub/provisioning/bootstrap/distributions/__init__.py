"""The Kubernetes distributions a guest cluster can be made of, by name."""

from __future__ import annotations

from collections.abc import Mapping

from hub.provisioning.bootstrap.distributions.contract import Distribution
from hub.provisioning.bootstrap.distributions.k3s import K3s
from hub.provisioning.bootstrap.distributions.rke2 import Rke2

DISTRIBUTIONS: Mapping[str, Distribution] = {distribution.name: distribution for distribution in (K3s(), Rke2())}


def get_distribution(name: str) -> Distribution:
    """The distribution of that name; raises KeyError."""
    return DISTRIBUTIONS[name]
