"""The two servers that must agree: the simulated one, and the real kube-apiserver of the bed."""

import secrets
from collections.abc import Iterator

import pytest

from kube.resources import NAMESPACES
from simulator.apiserver import ApiServer, Authority
from simulator.kinds import HARVESTER_KINDS
from tests.contracts.cluster import Cluster
from tests.simulator.running import RunningServer


@pytest.fixture(scope="session")
def simulated_cluster() -> Iterator[Cluster]:
    with RunningServer(lambda: ApiServer(HARVESTER_KINDS, Authority.generate("contracts"))) as running:

        async def forget_before(revision: int) -> None:
            for collection in running.server.store:
                collection.compact(revision)

        yield Cluster("simulated", running.admin, lambda revision: running.run(forget_before(revision)))


@pytest.fixture(scope="session")
def real_cluster(request: pytest.FixtureRequest) -> Cluster:
    return _connected("real", request, "kube_apiserver")


@pytest.fixture(scope="session")
def real_crds_cluster(request: pytest.FixtureRequest) -> Cluster:
    """The real server with the CRDs that the upstream projects ship, where they are at hand."""
    return _connected("real CRDs", request, "kube_apiserver_with_real_crds")


def _connected(name: str, request: pytest.FixtureRequest, fixture: str) -> Cluster:
    server = request.getfixturevalue(fixture)
    return Cluster(name, server.admin_credentials, request.getfixturevalue("bed").forget_before)


_ON_REAL = [pytest.mark.kube, pytest.mark.servers]


@pytest.fixture(params=["simulated", pytest.param("real", marks=_ON_REAL)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """One of the servers; both are shared by all cases, each case has names of its own."""
    return _chosen(request)


@pytest.fixture(params=["simulated", pytest.param("real", marks=_ON_REAL), pytest.param("real_crds", marks=_ON_REAL)])
def schema_cluster(request: pytest.FixtureRequest) -> Cluster:
    """For cases about the shape of custom kinds, which the CRDs of the upstream projects must agree with too."""
    return _chosen(request)


def _chosen(request: pytest.FixtureRequest) -> Cluster:
    found: Cluster = request.getfixturevalue(f"{request.param}_cluster")
    return found


@pytest.fixture
def prefix() -> str:
    """A word that no other case uses: for cluster-scoped names and for users."""
    return f"case-{secrets.token_hex(4)}"


@pytest.fixture
def namespace(cluster: Cluster, prefix: str) -> Iterator[str]:
    """A namespace of this case's own."""
    cluster.client.create(NAMESPACES, {"metadata": {"name": prefix}})
    yield prefix
    cluster.client.delete(NAMESPACES, prefix)
