"""The way to an API server step by step: what each step says when it is the one that fails."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kube.credentials import Credentials, Server
from kube.errors import AddressRefused, TlsRefused, Unavailable
from kube.guard import AddressGuard
from kube.handshake import WrongServerName, check_certificate, find_open_address, read_clock
from simulator.apiserver import ApiServer, Authority
from simulator.kinds import GUEST_KINDS
from tests.bed.processes import free_port
from tests.simulator.running import LOOPBACK, RunningServer

TIMEOUT = 5.0


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with RunningServer(lambda: ApiServer(GUEST_KINDS, Authority.generate("handshake"))) as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> Server:
    return Server.parse(running.admin.servers[0])


def test_the_address_that_answers_is_found_among_those_that_do_not(server: Server) -> None:
    assert find_open_address(["127.0.0.9", "127.0.0.1"], server.port, timeout=TIMEOUT) == "127.0.0.1"


def test_no_listener_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        find_open_address(["127.0.0.1"], free_port(), timeout=TIMEOUT)
    with pytest.raises(Unavailable):
        find_open_address([], 6443, timeout=TIMEOUT)


def test_a_right_certificate_passes(running: RunningServer, server: Server) -> None:
    check_certificate("127.0.0.1", server, running.admin, timeout=TIMEOUT)


def test_a_certificate_of_another_authority_is_refused(running: RunningServer, server: Server) -> None:
    other = replace(running.admin, ca_pem=Authority.generate("other").server_ca.certificate)
    with pytest.raises(TlsRefused) as refused:
        check_certificate("127.0.0.1", server, other, timeout=TIMEOUT)
    assert not isinstance(refused.value, WrongServerName)


def test_a_certificate_for_another_name_tells_its_names(running: RunningServer, server: Server) -> None:
    named = replace(running.admin, tls_server_name="harvester.example")
    with pytest.raises(WrongServerName) as refused:
        check_certificate("127.0.0.1", server, named, timeout=TIMEOUT)
    assert "127.0.0.1" in refused.value.names
    with pytest.raises(WrongServerName):
        check_certificate("127.0.0.1", Server("10.0.0.1", server.port), running.admin, timeout=TIMEOUT)


def test_the_names_of_a_certificate_of_another_authority_are_not_asked_for(
    running: RunningServer, server: Server
) -> None:
    stranger = replace(
        running.admin, ca_pem=Authority.generate("other").server_ca.certificate, tls_server_name="harvester.example"
    )
    with pytest.raises(TlsRefused) as refused:
        check_certificate("127.0.0.1", server, stranger, timeout=TIMEOUT)
    assert not isinstance(refused.value, WrongServerName)


def test_something_that_speaks_no_tls_is_told_apart(running: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        server = Server("127.0.0.1", listener.getsockname()[1])
        with pytest.raises((TlsRefused, Unavailable)):
            check_certificate("127.0.0.1", server, running.admin, timeout=TIMEOUT)
        thread.join(TIMEOUT)


def test_a_peer_that_says_nothing_ends_at_the_deadline(running: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(Unavailable):
            check_certificate("127.0.0.1", server, running.admin, timeout=0.2)


def test_the_servers_clock_is_read_to_the_second(running: RunningServer) -> None:
    told = read_clock(running.admin, LOOPBACK, timeout=TIMEOUT)
    assert told is not None
    assert abs((told - datetime.now(UTC)).total_seconds()) < 5


def test_sec57_the_clock_is_not_asked_of_an_address_that_the_guard_refuses(running: RunningServer) -> None:
    with pytest.raises(AddressRefused):
        read_clock(running.admin, AddressGuard(), timeout=TIMEOUT)


def test_nobody_there_has_no_clock() -> None:
    nobody = Credentials((f"https://127.0.0.1:{free_port()}",), None, "token")
    with pytest.raises(Unavailable):
        read_clock(nobody, LOOPBACK, timeout=TIMEOUT)
