"""Faults on request: each does what it says, to the requests it names, as often as it was asked."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kube.aio import AsyncKubeClient
from kube.client import KubeClient
from kube.errors import (
    Expired,
    Garbled,
    KubeError,
    RequestTimeout,
    ServerError,
    TooManyRequests,
    Unavailable,
)
from kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS
from simulator.apiserver.faults import Fault, FaultKind, Faults
from simulator.apiserver.requests import parse_request
from tests.bed.waiting import wait_for
from tests.simulator.running import LOOPBACK, RunningServer

MAPS = CONFIG_MAPS.path("default")


@pytest.fixture
def server(shared: RunningServer) -> Iterator[RunningServer]:
    yield shared
    shared.server.faults.clear()


@pytest.fixture
def client(server: RunningServer) -> Iterator[KubeClient]:
    with server.client(timeout=5) as client:
        yield client


def add(server: RunningServer, kind: FaultKind, **more: Any) -> None:
    server.server.faults.add(Fault(kind, **more))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.TOO_MANY_REQUESTS, TooManyRequests),
        (FaultKind.SERVER_ERROR, ServerError),
        (FaultKind.UNAVAILABLE, Unavailable),
        (FaultKind.EXPIRED, Expired),
        (FaultKind.RESET, Unavailable),
    ],
)
def test_flt18_a_refused_or_broken_request_and_then_none(
    server: RunningServer, client: KubeClient, kind: FaultKind, error: type[KubeError]
) -> None:
    add(server, kind, resource="configmaps")
    with pytest.raises(error):
        client.list(CONFIG_MAPS, "default") if kind != FaultKind.EXPIRED else client.get(CONFIG_MAPS, "a", "default")
    assert client.list(CONFIG_MAPS, "default")


def test_flt17_too_many_requests_says_how_long_to_wait(server: RunningServer, client: KubeClient) -> None:
    add(server, FaultKind.TOO_MANY_REQUESTS, seconds=7)
    with pytest.raises(TooManyRequests) as refused:
        client.get(NAMESPACES, "default")
    assert refused.value.retry_after == 7


def test_a_slow_answer_is_a_right_one(server: RunningServer, client: KubeClient) -> None:
    add(server, FaultKind.SLOW, seconds=0.3)
    start = time.monotonic()
    assert client.get(NAMESPACES, "default")
    assert time.monotonic() - start >= 0.3


def test_flt18_a_truncated_answer_is_told_as_garbled(server: RunningServer, client: KubeClient) -> None:
    add(server, FaultKind.TRUNCATED)
    with pytest.raises((Garbled, Unavailable)):
        client.list(NAMESPACES)
    assert client.list(NAMESPACES)


def test_flt22_a_lost_answer_leaves_its_effect(server: RunningServer, client: KubeClient) -> None:
    add(server, FaultKind.LOST_RESPONSE, method="POST", resource="configmaps")
    with pytest.raises(Unavailable):
        client.create(CONFIG_MAPS, {"metadata": {"name": "lost", "namespace": "default"}})
    assert client.get(CONFIG_MAPS, "lost", "default")
    client.delete(CONFIG_MAPS, "lost", "default")


def test_flt20_a_silent_server_times_out(server: RunningServer) -> None:
    add(server, FaultKind.HALF_OPEN)
    with server.client(timeout=0.5) as client, pytest.raises(RequestTimeout):
        client.get(NAMESPACES, "default")


async def test_flt20_a_half_open_watch_begins_and_says_nothing(server: RunningServer) -> None:
    add(server, FaultKind.HALF_OPEN, verb="watch")
    async with AsyncKubeClient(server.admin, guard=LOOPBACK) as client:
        events = client.watch(SECRETS, "default", timeout_seconds=60, idle_timeout=0.5)
        with pytest.raises(KubeError) as error:
            async for _ in events:
                pass
    assert error.value.retryable


async def test_flt19_a_watch_that_expires_says_so(server: RunningServer) -> None:
    add(server, FaultKind.EXPIRED, verb="watch")
    async with AsyncKubeClient(server.admin, guard=LOOPBACK) as client:
        with pytest.raises(Expired):
            async for _ in client.watch(SECRETS, "default", timeout_seconds=60):
                pass


def test_a_server_that_is_away_comes_back_under_its_address(running: RunningServer) -> None:
    add(running, FaultKind.AWAY, seconds=0.5)
    with running.client(timeout=2) as client:
        url = running.server.url
        with pytest.raises(Unavailable):
            client.get(NAMESPACES, "default")
        wait_for("the server to be back", lambda: _answers(client), seconds=10)
        assert running.server.url == url


def _answers(client: KubeClient) -> bool:
    try:
        return bool(client.get(NAMESPACES, "default"))
    except KubeError:
        return False


@pytest.mark.parametrize(
    ("conditions", "method", "path", "fits"),
    [
        ({}, "GET", "/version", True),
        ({"method": "POST"}, "GET", MAPS, False),
        ({"verb": "list"}, "GET", MAPS, True),
        ({"verb": "list"}, "GET", f"{MAPS}/a", False),
        ({"resource": "configmaps", "namespace": "default"}, "GET", MAPS, True),
        ({"namespace": "other"}, "GET", MAPS, False),
        ({"path": "/apis/subresources.kubevirt.io/*/start"}, "PUT", "/apis/subresources.kubevirt.io/v1/x/start", True),
        ({"path": "/api/v1/pods"}, "GET", MAPS, False),
    ],
)
def test_a_fault_meets_the_requests_that_it_names(conditions: Any, method: str, path: str, fits: bool) -> None:
    fault = Fault(FaultKind.RESET, **conditions)
    assert fault.fits(method, parse_request(method, path, {})) is fits


def test_a_fault_counts_down() -> None:
    faults = Faults()
    faults.add(Fault(FaultKind.RESET, count=2))
    info = parse_request("GET", "/version", {})
    assert [faults.take("GET", info) is not None for _ in range(3)] == [True, True, False]


def test_a_fault_without_count_stays_until_it_is_removed() -> None:
    faults = Faults()
    number = faults.add(Fault(FaultKind.RESET, count=None))
    info = parse_request("GET", "/version", {})
    assert all(faults.take("GET", info) for _ in range(50))
    faults.remove(number)
    faults.remove(number)
    assert faults.take("GET", info) is None


def test_a_probable_fault_meets_some_requests_the_same_each_run() -> None:
    def run() -> list[bool]:
        faults = Faults(chance=random.Random(7))
        faults.add(Fault(FaultKind.RESET, count=None, probability=0.3))
        info = parse_request("GET", "/version", {})
        return [faults.take("GET", info) is not None for _ in range(100)]

    assert run() == run()
    assert 10 < sum(run()) < 50
