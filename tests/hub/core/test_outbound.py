"""The one way out: where it goes, what it does not follow, and when it stops reading."""

import ast
import gzip
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

import hub
from hub.core.outbound import OutboundError, OutboundRefused, guarded_session
from kube.guard import AddressGuard
from tests.bed.https_server import Asked, HttpsServer, Reply
from tests.bed.pki import Authority

# Each is loopback, metadata or link-local to some reader of URLs.
DENIED_HOSTS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.0.0.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[::1%25lo]",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "169.254.43518",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "127\u30020\u30020\u30021",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "localhost",
]
BAD_ADDRESSES = [
    "http://{}/",
    "ftp://{}/",
    "file:///etc/passwd",
    "gopher://{}/",
    "//{}/",
    "{}",
    "https://",
    "https://user:secret@{}/",
    "https://user@{}/",
    "unix:///run/docker.sock",
    "https://[::1/",
    "https://exa mple/",
]


def loopback_guard(server: HttpsServer) -> AddressGuard:
    return AddressGuard(allow=[f"127.0.0.1:{server.port}", f"[::1]:{server.port}"])


def session_to(server: HttpsServer, **rest: Any) -> requests.Session:
    return guarded_session(**{"guard": loopback_guard(server), "ca_pem": server.ca_pem, **rest})


def session_at_home() -> requests.Session:
    return guarded_session(guard=AddressGuard(allow=["127.0.0.1"]))


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    with HttpsServer(lambda asked: Reply({"path": asked.path})) as running:
        yield running


@pytest.mark.parametrize("host", DENIED_HOSTS)
def test_sec60_no_spelling_of_a_denied_address_is_connected_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: connected.append(args))
    with guarded_session(guard=AddressGuard()) as session, pytest.raises(OutboundRefused):
        session.get(f"https://{host}/latest/meta-data/")
    assert connected == []


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_sec58_only_plain_https_addresses_are_asked(address: str, server: HttpsServer) -> None:
    url = address.format(f"127.0.0.1:{server.port}")
    with session_to(server) as session, pytest.raises(OutboundRefused) as refused:
        session.get(url)
    assert "secret" not in str(refused.value)
    assert server.asked == []


def test_an_allowed_address_is_asked_and_its_answer_is_there(server: HttpsServer) -> None:
    with session_to(server) as session:
        first = session.get(server.url + "/a", allow_redirects=True)
        second = session.post(server.url + "/b", data={"x": "1"}, timeout=0.000001, verify=False)
    assert (first.json(), second.json()) == ({"path": "/a"}, {"path": "/b"})
    assert server.asked[1].form == {"x": "1"}


def test_a_certificate_of_another_authority_is_refused_whatever_the_caller_says(server: HttpsServer) -> None:
    other = Authority("somebody else").certificate_pem
    with session_to(server, ca_pem=other) as session, pytest.raises(OutboundError, match="certificate"):
        session.get(server.url, verify=False)
    assert server.asked == []


def test_a_certificate_for_another_name_is_refused() -> None:
    with (
        HttpsServer(lambda asked: Reply(), "elsewhere.example") as server,
        session_to(server) as session,
        pytest.raises(OutboundError, match="certificate"),
    ):
        session.get(server.url)


def test_what_is_no_certificate_is_refused_at_once() -> None:
    with pytest.raises(OutboundRefused, match="PEM"):
        guarded_session(ca_pem="-----BEGIN NOTHING-----")


def test_sec60_a_name_that_changes_its_address_is_asked_for_once(server: HttpsServer) -> None:
    """The name's second answer would be a denied address: it is never asked for."""
    answers: list[str] = []

    def resolver(host: str, port: int) -> Sequence[str]:
        answers.append("127.0.0.1" if not answers else "169.254.169.254")
        return [answers[-1]]

    with HttpsServer(server.answer, "rebinding.example", authority=server.authority) as rebinding:
        guard = AddressGuard(allow=[f"127.0.0.1:{rebinding.port}"], resolver=resolver)
        with guarded_session(guard=guard, ca_pem=rebinding.ca_pem) as session:
            assert session.get(f"https://rebinding.example:{rebinding.port}/x").status_code == 200
            assert answers == ["127.0.0.1"]
        with guarded_session(guard=guard, ca_pem=rebinding.ca_pem) as session, pytest.raises(OutboundRefused):
            session.get(f"https://rebinding.example:{rebinding.port}/x")


def test_sec60_of_mixed_answers_only_permitted_addresses_are_tried() -> None:
    with HttpsServer(lambda asked: Reply(), "mixed.example") as server:
        guard = AddressGuard(
            allow=[f"127.0.0.1:{server.port}"], resolver=lambda host, port: ["169.254.169.254", "127.0.0.1"]
        )
        with guarded_session(guard=guard, ca_pem=server.ca_pem) as session:
            assert session.get(f"https://mixed.example:{server.port}/").status_code == 200


def test_sec60_where_the_connection_led_is_looked_at_again(
    server: HttpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        closed = False

        def getpeername(self) -> tuple[str, int]:
            return ("169.254.169.254", server.port)

        def close(self) -> None:
            self.closed = True

    led = Elsewhere()
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: led)
    with session_to(server) as session, pytest.raises(OutboundRefused, match="led to an address"):
        session.get(server.url)
    assert led.closed


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_sec60_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    def redirect(asked: Asked) -> Reply:
        return Reply(status=status, headers={"Location": "https://169.254.169.254/latest"})

    with HttpsServer(redirect) as server:
        with session_to(server) as session:
            answer = session.get(server.url, allow_redirects=True)
        assert answer.status_code == status
        assert len(server.asked) == 1


def test_sec60_proxies_of_the_environment_and_of_the_caller_are_not_used(
    server: HttpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with session_to(server) as session:
        session.proxies.update(https="http://127.0.0.1:9")
        assert session.get(server.url, proxies={"https": "http://127.0.0.1:9"}).status_code == 200


def test_an_oversized_answer_is_not_read_to_its_end() -> None:
    with (
        HttpsServer(lambda asked: Reply(b"x" * 200_000)) as server,
        session_to(server, maximum_bytes=100_000) as session,
        pytest.raises(OutboundRefused, match="larger than 100000"),
    ):
        session.get(server.url)


def test_an_answer_that_says_less_than_it_sends_is_no_second_answer() -> None:
    with (
        HttpsServer(lambda asked: Reply(b"{}" + b"x" * 200_000, headers={"Content-Length": "2"})) as server,
        session_to(server) as session,
    ):
        assert session.get(server.url).json() == {}


def test_a_compressed_answer_is_refused_unread() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    with (
        HttpsServer(lambda asked: Reply(bomb, headers={"Content-Encoding": "gzip"})) as server,
        session_to(server) as session,
        pytest.raises(OutboundRefused, match="compressed"),
    ):
        session.get(server.url)


@pytest.mark.parametrize("part", ["body", "silence"])
def test_an_answer_that_drips_or_never_comes_ends_at_the_deadline(part: str) -> None:
    given_up = threading.Event()

    def pieces() -> Iterator[bytes]:
        while not given_up.wait(0.05):
            yield b"x"

    def drip(asked: Asked) -> Reply:
        if part == "silence":
            given_up.wait(20)
        return Reply(headers={"Content-Length": "1000"}, rest=pieces())

    with HttpsServer(drip) as server:
        started = time.monotonic()
        with session_to(server, timeout=0.4) as session, pytest.raises(OutboundError, match="in time"):
            session.get(server.url)
        given_up.set()
    assert time.monotonic() - started < 3


def test_the_text_of_a_failure_shows_nothing_of_the_answer() -> None:
    """A service that speaks another protocol answers with its banner, which is none of the caller's business."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def greet() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"SSH-2.0-secret-banner\r\n")
                connection.recv(1000)

        threading.Thread(target=greet, daemon=True).start()
        with session_at_home() as session, pytest.raises(OutboundError) as failed:
            session.get(f"https://127.0.0.1:{port}/")
    assert "banner" not in str(failed.value)


def test_nothing_listening_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with session_at_home() as session, pytest.raises(OutboundError, match="cannot be reached"):
        session.get(f"https://127.0.0.1:{port}/")


def test_sec58_nothing_else_in_the_hub_opens_connections_by_the_standard_library() -> None:
    """import-linter holds the rest; each of these exceptions asks this machine's own servers."""
    banned = {"urllib.request", "http.client", "smtplib", "ftplib", "xmlrpc.client", "telnetlib"}
    own = {"hub/quickstart/hub_client.py", "hub/quickstart/stack.py", "hub/core/management/commands/health.py"}
    root = Path(hub.__file__).parents[1]
    found = set()
    for folder in ("hub", "workers", "node_driver"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if banned & set(names):
                    found.add(str(path.relative_to(root)))
    assert found == own
