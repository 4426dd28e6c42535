"""Whoever comes with nothing, too much, too slowly or too often takes nobody's place; and the end is orderly."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from hub.core.environment import Environment, InvalidEnvironment
from hub.stream import connection, server
from hub.stream.server import StreamServer, connections_that_files_allow, listen, server_context
from tests.bed.pki import Authority
from tests.hub.stream.conftest import HandMade, RunningHub, at, bearer, free_port
from tests.hub.stream.raw_client import RawClient, render
from tests.hub.stream.recording_api import RecordingApi, raw, watch


@pytest.fixture
def cluster(hub: RunningHub, api: RecordingApi) -> UUID:
    return hub.rights.cluster(api.url)


@pytest.fixture
def maria(hub: RunningHub) -> str:
    return hub.rights.user("maria")


@contextlib.contextmanager
def silent_sockets(port: int, count: int) -> Iterator[list[socket.socket]]:
    """TCP connections that say nothing."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(count)]


def seconds_until_it_is_cut(client: RawClient, data: bytes, *, pause: float = 0.0) -> float:
    """For how long the hub takes these bytes again and again."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 10:
            client.send(data)
            time.sleep(pause)
    return time.monotonic() - began


@pytest.mark.parametrize("bound", ["most_connections", "most_waiting"])
def test_sec72_many_silent_sockets_take_nobody_s_place(
    start_server: Callable[..., tuple[StreamServer, int]],
    hand_made: HandMade,
    authority: Authority,
    api: RecordingApi,
    bound: str,
) -> None:
    running, port = start_server(**{bound: 20})
    hub = RunningHub(running, port, authority.certificate_pem, hand_made)
    cluster, token = hand_made.cluster(api.url), hand_made.user()
    with contextlib.ExitStack() as stack:
        for _ in range(60):  # some through TLS, then silent
            stack.enter_context(hub.client())
        with silent_sockets(port, 200):
            for _ in range(3):
                assert hub.ask("GET", at(cluster), token=token).status == 200
            assert len(running._connections) <= 25


def test_sec72_waiting_connections_stay_below_100_mib() -> None:
    assert server.MOST_WAITING * 80 * 1024 < 100 * 1024 * 1024


async def test_sec72_bodies_that_are_collected_are_bounded_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_HELD", 100)
    waiting = connection.Waiting()

    async def collect(size: int) -> None:
        with waiting.here():
            waiting.hold(size)
            await asyncio.sleep(10)

    tasks = [asyncio.create_task(collect(size)) for size in (0, 60, 30, 60, 40)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.cancelled() for task in tasks] == [False, True, True, False, False]  # the longest that hold any
    assert (len(waiting), waiting._held) == (3, 100)
    waiting.end_all()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (len(waiting), waiting._held) == (0, 0)


def test_sec72_who_is_served_is_not_ended_for_a_newcomer(
    start_server: Callable[..., tuple[StreamServer, int]], hand_made: HandMade, authority: Authority, api: RecordingApi
) -> None:
    running, port = start_server(most_connections=2)
    hub = RunningHub(running, port, authority.certificate_pem, hand_made)
    cluster, token = hand_made.cluster(api.url), hand_made.user()
    api.will(watch(b"e\n"), watch(b"e\n"))
    watchers = [hub.client() for _ in range(2)]
    for client in watchers:
        client.send(render("GET", at(cluster, "/api/v1/pods?watch=1"), *bearer(token)))
        assert client.head().status == 200
        assert client.chunk() == b"e\n"
    with pytest.raises((OSError, EOFError)):
        hub.ask("GET", at(cluster), token=token)
    for client in watchers:
        client.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.chunk()
        client.close()
    deadline = time.monotonic() + 5
    while running._connections:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert hub.ask("GET", at(cluster), token=token).status == 200


def test_sec72_a_head_has_to_come_in_time_and_so_has_a_handshake(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(server, "HANDSHAKE_TIMEOUT", 0.2)
    began = time.monotonic()
    with hub.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n")
        assert client.ended() == b""
    with silent_sockets(hub.port, 1) as (silent,), contextlib.suppress(OSError):
        assert silent.recv(1) == b""
    assert time.monotonic() - began < 3


def test_sec72_a_head_that_drips_is_ended_too(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.3)
    with hub.client() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        assert seconds_until_it_is_cut(client, b"X: y\r\n", pause=0.02) < 3


def test_sec72_a_head_too_large_is_refused(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)
    with hub.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 70_000)
        answer = client.answer()
        assert (answer.status, answer.code) == (431, "request.head_too_large")
        client.ended()


@pytest.mark.parametrize("framing", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_sec72_an_endless_body_of_somebody_unknown_is_not_read(
    hub: RunningHub, api: RecordingApi, cluster: UUID, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.3)
    with hub.client() as client:
        client.send(render("POST", at(cluster), *bearer("pdk_nobody"), framing))
        answer = client.answer()
        assert (answer.status, answer.all("connection")) == (401, ["close"])
        assert seconds_until_it_is_cut(client, b"8000\r\n" + b"x" * 0x8000 + b"\r\n") < 3
    assert api.connections == 0


def test_a_refusal_reaches_a_client_that_is_still_sending(hub: RunningHub, cluster: UUID) -> None:
    """Without lingering the connection would be reset on the unread bytes, and the answer lost."""
    for _ in range(5):
        with hub.client() as client:
            client.send(render("POST", at(cluster), *bearer("pdk_nobody"), body=b"x" * 300_000))
            assert client.answer().status == 401


def test_a_refused_head_request_has_no_body_and_the_connection_goes_on(
    hub: RunningHub, cluster: UUID, maria: str
) -> None:
    with hub.client() as client:
        for path in (at(cluster, "/a//b"), at(cluster), "/livez"):
            assert client.request("HEAD", path).status in {400, 401, 503}
        assert client.request("HEAD", at(cluster), *bearer(maria)).status == 200
        assert client.request("GET", at(cluster), *bearer(maria)).body == b"{}"


def test_a_body_that_is_only_sent_on_demand_is_demanded_only_when_it_is_wanted(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    lines = ["Expect: 100-continue", "Content-Length: 5"]
    with hub.client() as client:
        client.send(render("POST", at(cluster), *bearer("pdk_nobody"), *lines))
        assert client.answer().status == 401
    with hub.client() as client:
        client.send(render("POST", at(cluster), *bearer(maria), *lines))
        assert client.head().status == 100
        client.send(b"hello")
        assert client.answer().status == 200
    assert [seen.body for seen in api.requests] == [b"hello"]


def test_sec72_a_body_that_stops_is_given_up_and_not_forwarded_as_whole(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kube.relay.exchange.BODY_IDLE_TIMEOUT", 0.2)
    with hub.client() as client:
        client.send(render("POST", at(cluster), *bearer(maria), "Content-Length: 100") + b"half")
        answer = client.answer()
        assert (answer.status, answer.code) == (400, "request.body_broken")
    api.wait_for_ends()
    assert api.requests == []


def test_an_idle_connection_is_kept_for_a_while_and_then_closed(
    hub: RunningHub, cluster: UUID, maria: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_TIMEOUT", 0.3)
    with hub.client() as client:
        for _ in range(2):
            assert client.request("GET", at(cluster), *bearer(maria)).status == 200
        assert client.ended() == b""


def test_a_client_may_end_its_connection_with_a_request(hub: RunningHub, cluster: UUID, maria: str) -> None:
    with hub.client() as client:
        answer = client.request("GET", at(cluster), *bearer(maria), "Connection: close")
        assert (answer.status, answer.all("connection")) == (200, ["close"])
        began = time.monotonic()
        assert client.ended() == b""
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("urls", "code"),
    [
        ((f"https://127.0.0.1:{free_port()}",), "upstream.unreachable"),
        (("https://10.255.255.1:6443", "https://[::1]:1"), "upstream.unreachable"),
    ],
)
def test_flt18_a_member_that_is_away_is_told_as_such_and_costs_nobody_else(
    hub: RunningHub, api: RecordingApi, maria: str, urls: tuple[str, ...], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kube.relay.upstream.CONNECT_TIMEOUT", 0.3)
    away, there = hub.rights.cluster(*urls), hub.rights.cluster(api.url)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(hub.ask("GET", at(away), token=maria)))
    waiting.start()
    assert hub.ask("GET", at(there), token=maria).status == 200
    waiting.join(10)
    assert (answers[0].status, answers[0].code) == (503, code)
    assert answers[0].all("retry-after") == []  # client-go would be silent for a minute


@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 nonsense\r\n\r\n", b"\x15\x03\x01\r\n\r\n", b"HTTP/1.1 200 OK\r\nA\r\n\r\n", b""]
)
def test_flt18_a_member_that_talks_nonsense_is_told_as_such(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, nonsense: bytes
) -> None:
    api.will(raw(nonsense))
    answer = hub.ask("GET", at(cluster), token=maria)
    assert (answer.status, answer.code) == (502, "upstream.failed")
    assert nonsense.strip() == b"" or nonsense.strip() not in answer.body


class TestTheEnd:
    def test_what_is_under_way_is_finished_and_who_waits_is_let_go(
        self, hub: RunningHub, stop_server: Callable[[], float], api: RecordingApi, cluster: UUID, maria: str
    ) -> None:
        asked, go = threading.Event(), threading.Event()

        def slowly(sock: socket.socket, seen: object) -> bool:
            asked.set()
            go.wait(10)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
            return True

        api.will(slowly)
        with hub.client() as idle, hub.client() as busy:
            busy.send(render("GET", at(cluster), *bearer(maria)))
            assert asked.wait(10)
            threading.Timer(0.3, go.set).start()
            seconds = stop_server()
            assert busy.answer().body == b"done"
            assert idle.ended() == b""
        assert 0.2 < seconds < 5
        with pytest.raises(OSError):
            RawClient(hub.port, hub.ca_pem)

    def test_a_watch_is_cut_after_a_grace(
        self,
        hub: RunningHub,
        stop_server: Callable[[], float],
        api: RecordingApi,
        cluster: UUID,
        maria: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(server, "DRAIN_SECONDS", 0.4)
        api.will(watch(b"e\n"))
        with hub.client() as client:
            client.send(render("GET", at(cluster, "/api/v1/pods?watch=1"), *bearer(maria)))
            assert client.head().status == 200
            assert 0.3 < stop_server() < 3
            client.ended()
        api.wait_for_ends()


def test_the_listener_takes_ipv4_too_when_it_is_told_all_of_ipv6() -> None:
    with contextlib.closing(listen("::", free_port())) as listener:
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5):
            pass
        with socket.create_connection(("::1", listener.getsockname()[1]), 5):
            pass


def test_a_taken_port_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])


async def test_a_system_without_files_is_waited_for_and_not_given_up(
    certificate_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPT_PAUSE", 0.01)
    settings = Environment(tls_cert_file=certificate_files[0], tls_key_file=certificate_files[1])
    tries: list[int] = []
    tried_often = asyncio.Event()

    async def refuse(listener: socket.socket) -> None:
        tries.append(1)
        if len(tries) == 3:
            tried_often.set()
        await asyncio.sleep(0)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", refuse)
    with contextlib.closing(listen("127.0.0.1", free_port())) as listener:
        accepting = asyncio.create_task(StreamServer(settings)._accept(listener, server_context(settings)))
        await asyncio.wait_for(tried_often.wait(), 5)
        assert not accepting.done()
        accepting.cancel()


def test_sec27_an_ipv4_peer_has_one_name_whatever_the_socket() -> None:
    assert [connection._address(peer) for peer in [("::ffff:10.0.0.1", 1, 0, 0), ("10.0.0.1", 1)]] == ["10.0.0.1"] * 2
    assert connection._address(("fe80::1%eth0", 1, 0, 2)) == "fe80::1"
    assert connection._address(None) == ""


def test_connections_are_bounded_by_the_files_that_the_process_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 5000))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    assert connections_that_files_allow() == (5000 - server.SPARE_FILES) // 2
    assert raised == [(5000, 5000)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert connections_that_files_allow() == server.MOST_CONNECTIONS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_spoken_from_1_2_on(hub: RunningHub, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cadata=hub.ca_pem)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", hub.port), 5)
    with context.wrap_socket(plain, server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_plain_http_is_not_answered(hub: RunningHub) -> None:
    with socket.create_connection(("127.0.0.1", hub.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not plain.recv(100).startswith(b"HTTP")


def test_a_hub_without_a_certificate_does_not_start(hub: RunningHub) -> None:
    settings = hub.server._settings.model_copy(update={"tls_cert_file": None})
    with pytest.raises(InvalidEnvironment, match="HTTPS only"):
        server_context(settings)
    settings = hub.server._settings.model_copy(update={"tls_cert_file": hub.server._settings.tls_key_file})
    with pytest.raises(InvalidEnvironment, match="cannot be used"):
        server_context(settings)
