"""Member clusters for the tests of federation's reconcilers: the simulated API server and the real one, the same way.

The hub's settings allow loopback meanwhile. Reconcilers run in the test's own thread and transaction; ``visit`` lets an
exception through that the runtime would log.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hub.core import work
from hub.core.access import SYSTEM
from hub.core.conditions import condition
from hub.core.ids import uuid7
from hub.core.models import HubIdentity, Reconciled
from hub.federation import clients
from hub.federation.models import Cluster
from hub.federation.services import import_cluster
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.errors import Forbidden
from kube.kubeconfig import render_kubeconfig
from kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, NAMESPACES
from simulator.apiserver import ApiServer, Authority
from simulator.controllers.aggregated import GROUP, VERSION, served_resources
from simulator.kinds import HARVESTER_KINDS
from tests.bed.crds import project_crds
from tests.bed.waiting import wait_for
from tests.hub.builders import unique
from tests.simulator.running import LOOPBACK, RunningServer
from workers.reconcilers.contract import Outcome
from workers.reconcilers.registry import reconcilers

# One hub over all tests of a session, because the real member outlives a test.
HUB_ID = uuid7()
DEADLINE = 40.0


@dataclass
class Member:
    """A cluster to import. ``admin`` are an administrator's credentials, ``client`` a client with them."""

    admin: Credentials
    client: KubeClient
    simulated: RunningServer | None = None
    made: list[str] = field(default_factory=list)

    @property
    def kubeconfig(self) -> str:
        return kubeconfig_of(self.admin)

    def tidy(self) -> None:
        """Takes away what an import leaves, on a member that other tests use too; its namespace may stay."""
        for resource in (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES):
            for obj in self.client.list(resource, label_selector="paddock.io/hub-id"):
                self.client.delete(resource, obj["metadata"]["name"])
        if self.client.find(NAMESPACES, "paddock-system") is not None:
            self.client.delete(CONFIG_MAPS, "paddock-hub-owner", "paddock-system")
        for name in self.made:
            self.client.delete(NAMESPACES, name)


def kubeconfig_of(credentials: Credentials) -> str:
    """What somebody would paste."""
    return render_kubeconfig(
        name="member",
        server=credentials.servers[0],
        ca_pem=credentials.ca_pem,
        token=credentials.token,
        client_cert_pem=credentials.client_cert_pem,
        client_key_pem=credentials.client_key_pem,
    )


@pytest.fixture
def hub(db: None, loopback_allowed: None) -> HubIdentity:
    """This hub's identity, the same in every test."""
    return HubIdentity.objects.create(hub_id=HUB_ID)


@pytest.fixture
def simulated_member() -> Iterator[Member]:
    """A simulated Harvester, new for each test."""

    def build() -> ApiServer:
        server = ApiServer(HARVESTER_KINDS, Authority.generate("member"))
        server.aggregate(GROUP, VERSION, _unused, served_resources())
        return server

    with RunningServer(build) as running, running.client() as client:
        yield Member(running.admin, client, running)


async def _unused(request: Any) -> Any:
    raise AssertionError("no test asks the aggregated API")


@pytest.fixture(scope="module")
def _real_server(request: pytest.FixtureRequest) -> Any:
    bed = request.getfixturevalue("bed")
    return bed.start_api_server(unique("member"), project_crds() or (), controller_manager=True)


@pytest.fixture
def real_member(request: pytest.FixtureRequest) -> Iterator[Member]:
    """A real kube-apiserver, shared by the tests of a module and tidied up between them."""
    server = request.getfixturevalue("_real_server")
    admin = Credentials((server.url,), server.ca_pem, None, server.admin_client_cert_pem, server.admin_client_key_pem)
    with KubeClient(admin, guard=LOOPBACK) as client:
        member = Member(admin, client)
        yield member
        member.tidy()


@pytest.fixture(params=["simulated", pytest.param("real", marks=[pytest.mark.kube, pytest.mark.servers])])
def member(request: pytest.FixtureRequest) -> Member:
    """The same test on both."""
    found: Member = request.getfixturevalue(f"{request.param}_member")
    return found


def visit(row: Reconciled) -> Outcome:
    """One reconcile of the row, which is refreshed afterwards unless it is gone."""
    model = type(row)
    work.wake_by_id(model, row.pk)
    claim = work.claim(model, row.pk, "test", 60)
    assert claim is not None
    outcome = reconcilers()[model.object_kind].reconcile(claim)
    work.release(claim, next_run_in=outcome.next_run_in)
    if model._base_manager.filter(pk=row.pk).exists():
        row.refresh_from_db()
    return outcome


def visit_until(row: Reconciled, done: Callable[[], bool]) -> None:
    """Reconciles until ``done``, pausing as the reconciler asks but never for long."""
    deadline = time.monotonic() + DEADLINE
    while not done():
        outcome = visit(row)
        if done():
            return
        assert time.monotonic() < deadline, f"not done: {row.phase} {row.conditions}"
        time.sleep(min(outcome.next_run_in or 0.0, 0.1))


def is_gone(row: Reconciled) -> bool:
    return not type(row)._base_manager.filter(pk=row.pk).exists()


def status_of(row: Reconciled, type: str) -> tuple[str, str]:
    """A condition's status and reason."""
    found = condition(row, type)
    return (found.status, found.reason) if found else ("", "")


def import_member(member: Member, kind: str = "kubernetes", *, kubeconfig: str | None = None) -> Cluster:
    """The row of a fresh import, nothing done yet."""
    return import_cluster(SYSTEM, unique("member"), kind, kubeconfig or member.kubeconfig)


def ready_cluster(member: Member, kind: str = "kubernetes") -> Cluster:
    """A cluster whose import has come to its end."""
    cluster = import_member(member, kind)
    visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
    return cluster


def as_user(cluster: Cluster, *groups: str) -> KubeClient:
    """A client as the proxy's requests come: the hub's account, acting as somebody in these groups."""
    return KubeClient(
        clients.credentials_of(cluster),
        guard=LOOPBACK,
        impersonate_user="paddock:user:maria",
        impersonate_groups=groups,
    )


def wait_until_allowed(attempt: Callable[[], object]) -> None:
    """A real authorizer sees a new binding a moment later."""

    def allowed() -> bool:
        try:
            attempt()
        except Forbidden:
            return False
        return True

    wait_for("the binding to take effect", allowed, seconds=10)


def check_states(cluster: Cluster) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in cluster.checks}
