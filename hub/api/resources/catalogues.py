"""What can be ordered: the releases of the guests' distributions, and the node drivers with their settings."""

from collections.abc import Iterable
from typing import Any

from hub.api.actions import Catalogue
from hub.api.documents import Shown
from hub.core.environment import environment
from hub.provisioning.bootstrap.releases import load_releases
from hub.provisioning.drivers import CLUSTER_KINDS
from node_driver.capabilities import capabilities_of
from node_driver.registry import driver_class


class ReleaseShown(Shown):
    """``channels`` are the names under which it may be the newest."""

    distribution: str
    version: str
    kubernetes_minor: str
    channels: list[str]
    architectures: list[str]


class NodeDriverShown(Shown):
    """``settings`` is the JSON Schema (Draft 2020-12) of a pool's settings; secret ones have ``writeOnly``."""

    name: str
    cluster_kind: str
    capabilities: list[str]
    settings: dict[str, Any]


class ReleaseViewSet(Catalogue):
    resource = "releases"
    shown = ReleaseShown

    def entries(self) -> Iterable[ReleaseShown]:
        for release in load_releases(environment().releases_file):
            yield ReleaseShown(
                distribution=release.distribution,
                version=release.version,
                kubernetes_minor=release.kubernetes_minor,
                channels=list(release.channels),
                architectures=sorted(release.artifacts),
            )


class NodeDriverViewSet(Catalogue):
    resource = "node-drivers"
    shown = NodeDriverShown

    def entries(self) -> Iterable[NodeDriverShown]:
        for name, cluster_kind in sorted(CLUSTER_KINDS.items()):
            driver = driver_class(name)
            yield NodeDriverShown(
                name=name,
                cluster_kind=cluster_kind,
                capabilities=sorted(capabilities_of(driver)),
                settings=driver.settings.json_schema(),
            )
