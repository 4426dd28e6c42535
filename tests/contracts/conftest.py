"""The two servers that must agree: the simulated one, and the real kube-apiserver of the bed."""

import secrets
from collections.abc import Iterator

import pytest

from kube.credentials import Credentials
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
    server = request.getfixturevalue("kube_apiserver")
    credentials = Credentials(
        servers=(server.url,),
        ca_pem=server.ca_pem,
        client_cert_pem=server.admin_client_cert_pem,
        client_key_pem=server.admin_client_key_pem,
    )
    return Cluster("real", credentials, request.getfixturevalue("bed").forget_before)


@pytest.fixture(params=["simulated", pytest.param("real", marks=[pytest.mark.kube, pytest.mark.servers])])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """One of the servers; both are shared by all cases, each case has names of its own."""
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
