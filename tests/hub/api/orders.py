"""Orders of guest clusters as a client writes them, and the place that they are for."""

from dataclasses import dataclass
from typing import Any

from hub.federation.models import Cluster, ClusterKind, ProjectNamespace
from hub.tenancy.models import Project, Tenant
from tests.hub.builders import grant_everything, make_cluster, make_namespace, make_project

SETTINGS = {"image": "fake/image", "network": "fake/network"}


@dataclass(frozen=True)
class Place:
    """A project with a namespace in an infrastructure cluster and grants for all it has, so that its owner may order there."""

    project: Project
    cluster: Cluster
    namespace: ProjectNamespace


def make_place(tenant: Tenant) -> Place:
    project, cluster = make_project(tenant), make_cluster(kind=ClusterKind.HARVESTER)
    grant_everything(tenant, cluster)
    return Place(project, cluster, make_namespace(project, cluster))


def pool(name: str, role: str, count: Any, **changes: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "count": count, "settings": dict(SETTINGS), **changes}


def order(place: Place, **changes: Any) -> dict[str, Any]:
    """The body of a good order, changed."""
    return {
        "name": "web",
        "project": str(place.project.pk),
        "infrastructure": str(place.cluster.pk),
        "distribution": "k3s",
        "driver": "fake",
        "pools": [pool("servers", "server", 3), pool("workers", "worker", 2)],
        **changes,
    }
