"""From a cluster or a namespace in it to a node driver that can act there. The hub knows drivers by name and contract only.

What makes, changes and deletes machines is opened over a project's namespace and works as the machines' account there. What
is only looked up, images and networks wherever they lie, is asked by the hub's own account.
"""

from typing import Any

from hub.core.errors import HubError, define
from hub.federation.clients import client_for, machine_client_for
from hub.federation.models import Cluster, ProjectNamespace
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
    """A driver that can look up what an order names, and makes nothing; it holds no state, so it may be opened for each
    call. Raises ClusterUnavailable.
    """
    return driver_class(name)(client_for(cluster))


def open_machine_driver(name: str, namespace: ProjectNamespace) -> NodeDriver[Any]:
    """A driver for the machines of one namespace, and of no other. Raises ClusterUnavailable."""
    return driver_class(name)(machine_client_for(namespace), lookup=client_for(namespace.cluster))
