"""The stream server as it runs in production (uvloop, TLS, its own threads) with a client in front and an API behind.

``hub`` needs no database: the three places that ask one are replaced by rights, members and an audit trail that a test
holds in its hands. ``served`` is the same server on the test database.
"""

from __future__ import annotations

import asyncio
import datetime
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
import uvloop
from django.db import OperationalError, transaction

from hub.access.built_in_roles import ROLES
from hub.access.grants import FULL_SCOPE, BindingFact, ClusterFacts, Holdings
from hub.access.snapshot import LiveKey, Principal, Snapshot
from hub.core.access import SYSTEM, Actor, TokenScope
from hub.core.changes import record_update
from hub.core.environment import Environment
from hub.core.ids import uuid7
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group, project_group
from hub.identity.models import ApiToken
from hub.identity.sessions import COOKIE
from hub.identity.token_format import SESSION, generate_token
from hub.identity.tokens import issue_token
from hub.stream import audit_writer, members, rights
from hub.stream.audit_writer import AuditEntry
from hub.stream.members import Member
from hub.stream.server import StreamServer
from hub.tenancy.models import Project
from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.relay.upstream import TlsDialer, UpstreamPool
from kube.tls import client_context
from tests.bed.pki import Authority, KeyPair
from tests.hub.builders import make_cluster, user_of
from tests.hub.stream.raw_client import Answer, RawClient
from tests.hub.stream.recording_api import RecordingApi

PEPPER = b"p" * 32
MEMBER_TOKEN = "the-hubs-own-account"
IN_A_DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("stream")


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> KeyPair:
    return authority.issue_server("stream", ["127.0.0.1", "localhost"])


@pytest.fixture(scope="session")
def certificate_files(certificate: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("stream-tls")
    (folder / "cert.pem").write_text(certificate.certificate_pem)
    (folder / "key.pem").write_text(certificate.key_pem)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def make_api(certificate: KeyPair) -> Iterator[Callable[[], RecordingApi]]:
    made: list[RecordingApi] = []

    def make() -> RecordingApi:
        made.append(RecordingApi(certificate))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def api(make_api: Callable[[], RecordingApi]) -> RecordingApi:
    return make_api()


@dataclass
class HandMade:
    """Rights, members and audit trail in a test's hands; ``change`` makes the next look find them anew."""

    authority: Authority
    tokens: dict[str, LiveKey] = field(default_factory=dict)
    sessions: dict[str, LiveKey] = field(default_factory=dict)
    bindings: dict[UUID, tuple[BindingFact, ...]] = field(default_factory=dict)
    clusters: dict[UUID, ClusterFacts] = field(default_factory=dict)
    urls: dict[UUID, tuple[str, ...]] = field(default_factory=dict)
    epoch: int = 1
    database_away: bool = False
    audit_away: bool = False
    audited: list[AuditEntry] = field(default_factory=list)

    def cluster(self, *urls: str, tenant_id: UUID | None = None, projects: dict[UUID, UUID] | None = None) -> UUID:
        cluster_id = uuid7()
        groups = [cluster_group(cluster_id, role) for role in ROLES]
        groups += [project_group(project, role) for project in projects or {} for role in ROLES]
        self.clusters[cluster_id] = ClusterFacts(tenant_id, None, projects or {}, frozenset(groups))
        self.urls[cluster_id] = urls
        self.change()
        return cluster_id

    def user(
        self,
        name: str = "maria",
        *bindings: BindingFact,
        scope: TokenScope = FULL_SCOPE,
        lifetime: datetime.timedelta = IN_A_DAY,
    ) -> str:
        """A new user with these bindings (none given: an administrator of the hub); the text of a token of his."""
        user_id = uuid7()
        self.bindings[user_id] = bindings or (BindingFact("hub-admin", "hub"),)
        return self.token_of(user_id, name, scope=scope, lifetime=lifetime)

    def token_of(
        self, user_id: UUID, name: str, *, scope: TokenScope = FULL_SCOPE, lifetime: datetime.timedelta = IN_A_DAY
    ) -> str:
        text = generate_token()
        expires_at = datetime.datetime.now(datetime.UTC) + lifetime
        principal = Principal(user_id, name, uuid7(), scope, expires_at)
        self.tokens[text.key_id] = LiveKey(principal, text.hash(PEPPER), "p")
        self.change()
        return text.render()

    def session(self, name: str = "maria", *bindings: BindingFact, lifetime: datetime.timedelta = IN_A_DAY) -> str:
        """A login of a new user with these bindings, as ``user``; the text of its cookie."""
        user_id, text = uuid7(), generate_token(SESSION)
        self.bindings[user_id] = bindings or (BindingFact("hub-admin", "hub"),)
        expires_at = datetime.datetime.now(datetime.UTC) + lifetime
        principal = Principal(user_id, name, None, FULL_SCOPE, expires_at, session_id=uuid7())
        self.sessions[text.key_id] = LiveKey(principal, text.hash(PEPPER), "p")
        self.change()
        return text.render()

    def revoke(self, text: str) -> None:
        """Ends a token or a session."""
        keys = self.sessions if text.startswith(SESSION) else self.tokens
        del keys[text.split("_")[1]]
        self.change()

    def change(self) -> None:
        self.epoch += 1

    def snapshot(self) -> Snapshot:
        holdings = {user_id: Holdings(facts) for user_id, facts in self.bindings.items()}
        clusters = dict(self.clusters)
        return Snapshot(self.epoch, dict(self.tokens), dict(self.sessions), holdings, {}, {}, clusters, {"p": PEPPER})

    # What stands in for the three places that ask the database.

    def read_if_newer(self, known: int | None) -> Snapshot | None:
        if self.database_away:
            raise OperationalError("away")
        return None if known == self.epoch else self.snapshot()

    def read_member(self, cluster_id: UUID, known: Member | None) -> Member | None:
        if cluster_id not in self.urls:
            return None
        if known is not None:
            return known
        credentials = Credentials(self.urls[cluster_id], self.authority.certificate_pem, token=MEMBER_TOKEN)
        dialer = TlsDialer(credentials.servers, client_context(credentials), AddressGuard(["127.0.0.0/8"]))
        return Member(credentials, 1, UpstreamPool(dialer), float("inf"))

    def write_audit(self, batch: list[AuditEntry]) -> None:
        if self.audit_away:
            raise OperationalError("away")
        self.audited.extend(batch)


@dataclass
class RunningHub:
    """A stream server in a thread of its own."""

    server: StreamServer
    port: int
    ca_pem: str
    rights: HandMade

    def client(self) -> RawClient:
        return RawClient(self.port, self.ca_pem)

    def ask(self, method: str, path: str, *lines: str, token: str = "", body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.request(method, path, *bearer(token), *lines, body=body)


def bearer(token: str) -> list[str]:
    return [f"Authorization: Bearer {token}"] if token else []


def cookie(text: str) -> str:
    """The header by which a browser shows its session."""
    return f"Cookie: {COOKIE}={text}"


def at(cluster_id: UUID, path: str = "/api/v1/namespaces/x/pods") -> str:
    """The hub's address of a path in a cluster."""
    return f"/k8s/clusters/{cluster_id}{path}"


@pytest.fixture
def stops() -> Iterator[list[Callable[[], None]]]:
    """What ends the servers of this test."""
    made: list[Callable[[], None]] = []
    yield made
    for stop in made:
        stop()


@pytest.fixture
def stop_server(stops: list[Callable[[], None]]) -> Callable[[], float]:
    """Ends the server now; how many seconds that took."""

    def stop() -> float:
        began = time.monotonic()
        stops.pop()()
        return time.monotonic() - began

    return stop


@pytest.fixture
def start_server(
    certificate_files: tuple[Path, Path], tmp_path: Path, stops: list[Callable[[], None]]
) -> Callable[..., tuple[StreamServer, int]]:
    """Starts a server with these arguments of its own; gives it and its port."""

    def start(**arguments: int) -> tuple[StreamServer, int]:
        port = free_port()
        settings = Environment(
            listen=f"127.0.0.1:{port}",
            tls_cert_file=certificate_files[0],
            tls_key_file=certificate_files[1],
            web_socket=tmp_path / "web.sock",
        )
        server = StreamServer(settings, **arguments)
        stops.append(_run_in_thread(server))
        return server, port

    return start


def _run_in_thread(server: StreamServer) -> Callable[[], None]:
    """Returns when it serves; what it gives back ends it."""
    started = threading.Event()
    held: dict[str, object] = {}

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        held["stop"] = lambda: loop.call_soon_threadsafe(stop.set)
        await server.serve(stop, started.set)

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            held["error"] = error
            raise
        finally:
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(20)
    assert "error" not in held, held["error"]

    def end() -> None:
        stop = held["stop"]
        assert callable(stop)
        stop()
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"

    return end


@pytest.fixture
def hand_made(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> HandMade:
    made = HandMade(authority)
    monkeypatch.setattr(rights, "_read_if_newer", made.read_if_newer)
    monkeypatch.setattr(members, "_read_member", made.read_member)
    monkeypatch.setattr(audit_writer, "_write", made.write_audit)
    monkeypatch.setattr(rights, "POLL_INTERVAL", 0.1)
    monkeypatch.setattr(rights, "SHORTEST_INTERVAL", 0.01)
    monkeypatch.setattr(audit_writer, "RETRY_INTERVAL", 0.05)
    return made


@pytest.fixture
def hub(start_server: Callable[..., tuple[StreamServer, int]], hand_made: HandMade, authority: Authority) -> RunningHub:
    server, port = start_server()
    return RunningHub(server, port, authority.certificate_pem, hand_made)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Served:
    """A running hub and a member with the hub's account."""

    port: int
    authority: Authority
    server: StreamServer
    api: RecordingApi

    def client(self) -> RawClient:
        return RawClient(self.port, self.authority.certificate_pem)

    def ask(self, method: str, path: str, token: str, body: bytes = b"") -> Answer:
        with self.client() as client:
            return client.request(method, path, *bearer(token), body=body)

    def cluster(
        self,
        project: Project | None = None,
        groups: list[str] | None = None,
        *,
        url: str = "",
        ca_pem: str = "",
        token: str = "account-of-the-hub",
    ) -> Cluster:
        """A row as registration leaves it; of the raw server unless told otherwise."""
        cluster = make_cluster(project=project)
        cluster.set_servers([url or self.api.url])
        cluster.ca_pem = ca_pem or self.authority.certificate_pem
        cluster.access_token = token
        cluster.groups = groups or [cluster_group(cluster.pk, role) for role in ROLES]
        with transaction.atomic():
            record_update(cluster, ["endpoints", "ca_pem", "access_token", "groups"])
        return cluster


@pytest.fixture
def served(
    start_server: Callable[..., tuple[StreamServer, int]],
    authority: Authority,
    api: RecordingApi,
    monkeypatch: pytest.MonkeyPatch,
) -> Served:
    monkeypatch.setattr(members, "address_guard", lambda: AddressGuard(["127.0.0.0/8"]))
    server, port = start_server()
    return Served(port, authority, server, api)


def token_of(actor: Actor, scope: TokenScope | None = None) -> tuple[ApiToken, str]:
    return issue_token(SYSTEM, user_of(actor), name="test", scope=scope)
