"""Real Kubernetes control planes for a test session: one etcd, any number of API servers over it.

The entry to the bed: ``with Bed(binaries) as bed: server = bed.start_api_server("site-a")``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tests.bed.api_client import Object
from tests.bed.apiserver import ApiServer
from tests.bed.binaries import Binaries
from tests.bed.controller_manager import ControllerManager
from tests.bed.crd_snapshots import keep_crds, restore_crds
from tests.bed.crds import ensure_crds, wait_until_served
from tests.bed.etcd import Etcd

__all__ = ["ApiServer", "Bed", "Binaries"]


class Bed:
    """Owns etcd and every server started over it, and the folder with their data, keys and logs."""

    def __init__(self, binaries: Binaries) -> None:
        """Start etcd. Raises ProcessFailed.

        The folder is a temporary one that ``stop`` removes, or a new one below ``PADDOCK_BED_DIR`` that stays, for
        reading logs.
        """
        kept = os.environ.get("PADDOCK_BED_DIR")
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
        self._folder_is_kept = bool(kept)
        self.folder = Path(tempfile.mkdtemp(prefix="paddock-bed-", dir=kept))
        self.binaries = binaries
        self._servers: dict[str, ApiServer] = {}
        self._controller_managers: list[ControllerManager] = []
        self._etcd = Etcd(binaries.etcd, self.folder)

    def __enter__(self) -> Bed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_api_server(
        self, name: str, crds: Sequence[Object] = (), *, controller_manager: bool = False
    ) -> ApiServer:
        """A new, empty cluster called ``name`` that serves ``crds``; call it from the main thread.

        ``controller_manager`` brings what makes default service accounts, ends namespaces and collects garbage.
        Without it service accounts are not looked for when a pod is made, and claims carry no protection finalizer.
        Raises ValueError for a name in use (two servers over one prefix would share their objects), ProcessFailed
        and DeadlinePassed with the name of what did not come.
        """
        if name in self._servers:
            raise ValueError(f"this bed has an API server {name} already")
        folder = self.folder / name
        folder.mkdir()
        binary = self.binaries.kube_apiserver
        server = ApiServer(name, binary, folder, self._etcd.url, controllers=controller_manager)
        self._servers[name] = server
        restored = bool(crds) and restore_crds(self._etcd, server.etcd_prefix, crds)
        server.start()
        if restored:
            wait_until_served(server.client, crds)
        elif crds:
            ensure_crds(server.client, crds)
            keep_crds(self._etcd, server.etcd_prefix, crds)
        if controller_manager:  # after the CRDs: its garbage collector looks for new kinds every 30 s only
            self._controller_managers.append(ControllerManager(self.binaries.kube_controller_manager, server))
        return server

    def forget_before(self, revision: int) -> None:
        """Pages and exact lists of earlier revisions are Expired from now on, for every server of the bed."""
        self._etcd.compact(revision)

    def stop(self) -> None:
        """End every process and remove the folder, unless it is to be kept."""
        with ThreadPoolExecutor() as pool:  # each takes a second or two to go
            list(pool.map(lambda process: process.stop(), [*self._controller_managers, *self._servers.values()]))
        self._etcd.stop()
        if not self._folder_is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)
