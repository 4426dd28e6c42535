"""Stages for the tests of the clients, and the credentials and guard that reach them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from kube.aio import AsyncKubeClient
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.guard import AddressGuard
from tests.bed.pki import Authority, KeyPair
from tests.kube.stage import Stage

# Machines that run other tests at the same time are slow now and then; that is no finding.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("stage")


@pytest.fixture(scope="session")
def server_certificate(authority: Authority) -> KeyPair:
    return authority.issue_server("stage", ["127.0.0.1", "localhost", "kube.example"])


@pytest.fixture
def make_stage(authority: Authority, server_certificate: KeyPair) -> Iterator[Callable[[], Stage]]:
    made: list[Stage] = []

    def make() -> Stage:
        made.append(Stage(authority, server_certificate))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(make_stage: Callable[[], Stage]) -> Stage:
    return make_stage()


@pytest.fixture
def guard() -> AddressGuard:
    return AddressGuard(allow=["127.0.0.0/8"])


@pytest.fixture
def credentials(stage: Stage, authority: Authority) -> Credentials:
    return Credentials((stage.url,), authority.certificate_pem, token="sesame")


@pytest.fixture
def client(credentials: Credentials, guard: AddressGuard) -> Iterator[KubeClient]:
    with KubeClient(credentials, guard=guard, timeout=10) as client:
        yield client


@pytest.fixture
def async_client(credentials: Credentials, guard: AddressGuard) -> AsyncKubeClient:
    """To be used with ``async with``."""
    return AsyncKubeClient(credentials, guard=guard, timeout=10)


class BlockingClient:
    """The asynchronous client, driven from a test that knows nothing of event loops."""

    def __init__(self, client: AsyncKubeClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))


Connect = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, guard: AddressGuard) -> Iterator[Connect]:
    """Makes either client from credentials: what both promise is tested with both."""
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def make(credentials: Credentials, **arguments: Any) -> Any:
            arguments = {"guard": guard, "timeout": 10, **arguments}
            if request.param == "sync":
                return stack.enter_context(KubeClient(credentials, **arguments))
            client = AsyncKubeClient(credentials, **arguments)
            stack.callback(lambda: runner.run(client.aclose()))
            return BlockingClient(client, runner)

        yield make


@pytest.fixture
def either(connect: Connect, credentials: Credentials) -> Any:
    """One client or the other, connected to ``stage``."""
    return connect(credentials)


@pytest.fixture
def curtain() -> Iterator[threading.Event]:
    """What silent scenes wait for; falls at the end of the test."""
    event = threading.Event()
    yield event
    event.set()
