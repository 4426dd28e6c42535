"""From a cluster row to a node driver that can act on it. The hub knows drivers by name and contract only."""

from typing import Any

from hub.core.errors import HubError, define
from hub.federation.clients import client_for
from hub.federation.models import Cluster
from node_driver.base import NodeDriver
from node_driver.registry import driver_class

define("driver.unknown", 422, "There is no such node driver")
define("driver.wrong_cluster", 422, "The node driver does not work on this kind of cluster")

# Which kind of cluster each driver makes its machines on.
CLUSTER_KINDS = {"harvester": "harvester"}


def check_driver(name: str, cluster: Cluster) -> None:
    """Raises HubError when the driver is unknown or does not fit the cluster."""
    if name not in CLUSTER_KINDS:
        raise HubError("driver.unknown", pointer="/driver", driver=name, known=sorted(CLUSTER_KINDS))
    if CLUSTER_KINDS[name] != cluster.kind:
        raise HubError("driver.wrong_cluster", pointer="/infrastructure", driver=name, wanted=CLUSTER_KINDS[name])


def open_driver(name: str, cluster: Cluster) -> NodeDriver[Any]:
    """A driver over the cluster's API; it holds no state, so it may be opened for each call."""
    return driver_class(name)(client_for(cluster))
