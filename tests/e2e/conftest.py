"""The whole product in processes of its own: one stack for the session, and Harvester clusters to work on.

Everything here is what `quickstart` starts: embedded PostgreSQL and Valkey, web, worker, watcher and stream. Leases are shorter
than in production, so that a killed worker's rows come free in seconds.
"""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.quickstart.hub_client import HubClient
from hub.quickstart.processes import manage
from hub.quickstart.stack import Stack, StackSettings
from tests.bed import crds
from tests.bed.kubernetes import ApiServer, Bed
from tests.e2e.harvester import FaultyHarvester, RealHarvester
from tests.e2e.work import Hub

FAST = {"PADDOCK_STEP_DEADLINE": "5", "PADDOCK_LEASE_SECONDS": "10", "PADDOCK_POLL_INTERVAL": "0.3"}


@pytest.fixture(scope="session")
def hub(kube_binaries: object) -> Iterator[Hub]:
    home = Path(tempfile.mkdtemp(prefix="pdk-e2e-", dir="/tmp"))
    home.chmod(0o711)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stack = Stack(StackSettings(home, f"127.0.0.1:{port}", f"https://127.0.0.1:{port}"), simulate=False)
    # Only while it starts: its processes keep these variables, other tests of this process do not want them.
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATABASE_URL", "REDIS_URL", "PADDOCK_KEYS_FILE", "PADDOCK_HOME"):
            patch.delenv(name, raising=False)
        for name, value in {**FAST, "PADDOCK_ADDRESS_ALLOW": "127.0.0.0/8"}.items():
            patch.setenv(name, value)
        patch.setenv("PADDOCK_FAILPOINTS_FOLDER", str(home))
        stack.__enter__()
    try:
        token = stack.processes.run("token", manage("issue_token", "e2e", "--administrator"), timeout=60)
        yield Hub(stack, HubClient(stack.local_url, stack.ca_file, token.strip()))
    finally:
        stack.__exit__(None, None, None)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def real_server(bed: Bed) -> ApiServer:
    """A kube-apiserver of this folder's own, with the project's CRDs: it is stopped and started by tests."""
    return bed.start_api_server("e2e", crds.project_crds() or (), controller_manager=True)


@pytest.fixture(scope="session")
def harvester(real_server: ApiServer) -> Iterator[RealHarvester]:
    with RealHarvester(real_server) as running:
        yield running


@pytest.fixture(scope="session")
def harvester_with_real_crds(kube_apiserver_with_real_crds: ApiServer) -> Iterator[RealHarvester]:
    with RealHarvester(kube_apiserver_with_real_crds) as running:
        yield running


@pytest.fixture(scope="session")
def faulty_harvester() -> Iterator[FaultyHarvester]:
    with FaultyHarvester() as running:
        yield running
