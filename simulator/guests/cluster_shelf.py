"""All guest clusters of one simulator, by id, each with its own folder."""

import json
import shutil
from pathlib import Path

from simulator.guests.cluster import STATE_FILE, ClusterState, GuestCluster
from simulator.guests.timings import GuestTimings


class ClusterShelf:
    """Opens clusters on demand: one whose machines are all off costs nothing."""

    def __init__(self, folder: Path | None, timings: GuestTimings) -> None:
        self._folder = folder
        self._timings = timings
        self._open: dict[str, GuestCluster] = {}

    def found(self, state: ClusterState) -> GuestCluster:
        """A new cluster."""
        cluster = self._open[state.id] = GuestCluster(state, self._path(state.id), self._timings)
        return cluster

    def find(self, cluster_id: str) -> GuestCluster | None:
        """The cluster of that id, opened from its folder when need be."""
        path = self._path(cluster_id)
        if cluster_id not in self._open and path is not None and (path / STATE_FILE).exists():
            self.found(ClusterState(**json.loads((path / STATE_FILE).read_text())))
        return self._open.get(cluster_id)

    async def discard_disk(self, cluster_id: str, disk_id: str) -> None:
        """A machine's disk is destroyed; with its last one a cluster is gone."""
        cluster = self.find(cluster_id)
        if cluster is not None and not cluster.discard_disk(disk_id):
            await self._destroy(cluster)

    async def abandon(self, cluster: GuestCluster) -> None:
        """Destroys a cluster whose first server never came up; any other stays."""
        if not cluster.state.members:
            await self._destroy(cluster)

    async def _destroy(self, cluster: GuestCluster) -> None:
        if self._open.pop(cluster.state.id, None) is None:
            return
        await cluster.close()
        path = self._path(cluster.state.id)
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)

    async def close(self) -> None:
        """Closes all; their folders stay."""
        for cluster in self._open.values():
            await cluster.close()
        self._open.clear()

    def _path(self, cluster_id: str) -> Path | None:
        return None if self._folder is None else self._folder / cluster_id
