"""What both clients make of servers that fail and of addresses and certificates that are wrong."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from kube import async_transport, transport
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.errors import (
    AddressRefused,
    Garbled,
    KubeError,
    Redirected,
    RequestTimeout,
    ResponseTooLarge,
    ServerError,
    TlsRefused,
    TooManyRequests,
    Unavailable,
)
from kube.guard import AddressGuard
from kube.resources import NODES
from tests.bed.pki import Authority, KeyPair
from tests.kube.conftest import Connect
from tests.kube.stage import Scene, Stage, answer, drip, hold, raw, reset, status, status_object

NODE = {"metadata": {"name": "n1"}}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port at which nobody listens, and nobody else can begin to."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (raw(HEAD + b"Content-Length: 1000\r\n\r\n" + b'{"metadata"'), Garbled),
        (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n20\r\n" + b'{"meta'), Garbled),
        (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"), Garbled),
        (raw(HEAD + b'Connection: close\r\n\r\n{"metadata": {'), Garbled),
        (answer(200, b"<html>login</html>", content_type="text/html"), Garbled),
        (answer(200, b"{'single': 1}"), Garbled),
        (answer(200, b"\xff\xfe{}"), Garbled),
        (answer(200, b'{"a": NaN}'), Garbled),
        (answer(200, b"[" * 100_000), Garbled),
        (answer(200, gzip.compress(b"{}"), headers=[("Content-Encoding", "gzip")]), Garbled),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Garbled),
        (raw(b"HTTP/1.1 abc\r\n\r\n"), Garbled),
        (raw(), Unavailable),
        (raw(b"HTTP/1.1 200"), KubeError),
        (reset(), Unavailable),
        (reset(HEAD + b"Content-Length: 1000\r\n\r\n{"), KubeError),
        (answer(502, b"<html>Bad Gateway</html>"), ServerError),
        (answer(503, b"no healthy upstream"), Unavailable),
        (status(500, "InternalError"), ServerError),
    ],
)
def test_flt18_a_broken_answer_is_an_error_that_may_pass(
    stage: Stage, either: Any, scene: Scene, kind: type[KubeError]
) -> None:
    stage.will(scene)
    with pytest.raises(kind) as caught:
        either.get(NODES, "n1")
    assert caught.value.retryable
    assert "html" not in caught.value.message
    assert len(stage.requests) == 1, "it was sent once"


def test_flt18_after_a_broken_answer_the_client_goes_on(stage: Stage, either: Any) -> None:
    stage.will(raw(HEAD + b"Content-Length: 9\r\n\r\n{"), answer(200, NODE))
    with pytest.raises(Garbled):
        either.get(NODES, "n1")
    assert either.get(NODES, "n1") == NODE


def test_flt17_a_server_that_sheds_load_says_for_how_long(stage: Stage, either: Any) -> None:
    stage.will(
        answer(429, status_object(429, "TooManyRequests"), headers=[("Retry-After", "7")]),
        answer(429, b"slow down", headers=[("Retry-After", "11")]),
        status(429, "TooManyRequests", retryAfterSeconds=3),
    )
    waits = []
    for _ in range(3):
        with pytest.raises(TooManyRequests) as caught:
            either.get(NODES, "n1")
        waits.append(caught.value.retry_after)
    assert waits == [7.0, 11.0, 3.0]
    assert len(stage.requests) == 3, "nothing is retried here"


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\n", HEAD + b"Content-Length: 1000\r\n\r\n{"],
    ids=["no head", "half a head", "half a body"],
)
def test_flt18_a_silent_server_is_left_in_time(
    stage: Stage, either: Any, curtain: threading.Event, first: bytes
) -> None:
    stage.will(hold(curtain, first))
    began = time.monotonic()
    with pytest.raises(RequestTimeout):
        either.call("GET", "/api/v1/nodes", timeout=0.3)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("first", "each"),
    [(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), (HEAD + b"Content-Length: 100000\r\n\r\n", b" ")],
    ids=["the head", "the body"],
)
def test_sec73_a_server_that_drips_is_left_in_time(
    stage: Stage, either: Any, curtain: threading.Event, first: bytes, each: bytes
) -> None:
    stage.will(drip(curtain, first, each))
    began = time.monotonic()
    with pytest.raises(RequestTimeout):
        either.call("GET", "/api/v1/nodes", timeout=0.5)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_sec73_an_answer_beyond_the_limit_is_not_read(
    stage: Stage, connect: Connect, credentials: Credentials, framing: str
) -> None:
    body = b'{"a": "' + b"x" * 200_000 + b'"}'
    if framing == "length":
        stage.will(answer(200, body))
    else:
        stage.will(
            raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", f"{len(body):x}\r\n".encode(), body, b"\r\n0\r\n\r\n")
        )
    client = connect(credentials, max_response_bytes=100_000)
    with pytest.raises(ResponseTooLarge):
        client.get(NODES, "n1")
    stage.will(answer(200, NODE))
    assert client.get(NODES, "n1") == NODE


def test_sec73_an_error_answer_beyond_the_limit_is_not_read_either(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stage.will(answer(500, b"x" * 200_000))
    with pytest.raises(ResponseTooLarge):
        connect(credentials, max_response_bytes=100_000).get(NODES, "n1")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_sec60_a_redirect_is_not_followed(
    stage: Stage, make_stage: Callable[[], Stage], either: Any, code: int
) -> None:
    elsewhere = make_stage()
    stage.will(answer(code, b"", headers=[("Location", f"{elsewhere.url}/api/v1/nodes/n1")]))
    with pytest.raises(Redirected):
        either.get(NODES, "n1")
    assert elsewhere.requests == []
    assert len(stage.requests) == 1


@pytest.mark.parametrize("verb", ["get", "create", "replace", "delete"])
def test_flt29_a_request_on_a_warm_connection_that_breaks_is_not_sent_again(
    stage: Stage, either: Any, verb: str
) -> None:
    stage.will(answer(200, NODE), raw())
    stage.always(answer(200, NODE))
    either.get(NODES, "n1")
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: either.get(NODES, "n1"),
        "create": lambda: either.create(NODES, NODE),
        "replace": lambda: either.replace(NODES, NODE),
        "delete": lambda: either.delete(NODES, "n1"),
    }
    with pytest.raises(Unavailable):
        calls[verb]()
    assert len(stage.requests) == 2
    assert stage.requests[1].connection == stage.requests[0].connection == 1, "the connection was warm"


def test_a_connection_is_kept_warm(stage: Stage, either: Any) -> None:
    stage.always(answer(200, NODE))
    for _ in range(5):
        either.get(NODES, "n1")
    assert stage.connections == 1


def test_a_connection_that_the_server_ended_meanwhile_is_not_used(stage: Stage, client: KubeClient) -> None:
    stage.always(answer(200, NODE))
    client.get(NODES, "n1")
    stage.cut_connections()
    assert client.get(NODES, "n1") == NODE
    assert stage.connections == 2


def test_the_next_server_is_tried_when_no_connection_can_be_made(
    stage: Stage, connect: Connect, credentials: Credentials, dead_port: int
) -> None:
    stage.always(answer(200, NODE))
    client = connect(replace(credentials, servers=(f"https://127.0.0.1:{dead_port}", stage.url)))
    assert client.get(NODES, "n1") == NODE
    assert client.create(NODES, NODE) == NODE
    assert len(stage.requests) == 2


def test_a_server_that_came_back_later_is_found_when_the_other_dies(
    make_stage: Callable[[], Stage], connect: Connect, credentials: Credentials
) -> None:
    first, second = make_stage(), make_stage()
    first.always(answer(200, {"metadata": {"name": "first"}}))
    second.always(answer(200, {"metadata": {"name": "second"}}))
    client = connect(replace(credentials, servers=(first.url, second.url)))
    assert client.get(NODES, "n1")["metadata"]["name"] == "first"
    first.close()
    answers: list[str] = []
    while len(answers) < 2:
        try:
            answers.append(client.get(NODES, "n1")["metadata"]["name"])
        except Unavailable:
            assert not answers, "only the request that was under way may be lost"
    assert answers == ["second", "second"]


def test_a_request_that_may_have_arrived_is_not_sent_to_the_next_server(
    make_stage: Callable[[], Stage], connect: Connect, credentials: Credentials
) -> None:
    first, second = make_stage(), make_stage()
    first.will(raw())
    client = connect(replace(credentials, servers=(first.url, second.url)))
    with pytest.raises(Unavailable):
        client.create(NODES, NODE)
    assert (len(first.requests), len(second.requests)) == (1, 0)


def test_an_error_answer_is_an_answer_and_asks_no_other_server(
    make_stage: Callable[[], Stage], connect: Connect, credentials: Credentials
) -> None:
    first, second = make_stage(), make_stage()
    first.will(status(503, "ServiceUnavailable"))
    with pytest.raises(Unavailable):
        connect(replace(credentials, servers=(first.url, second.url))).get(NODES, "n1")
    assert second.requests == []


def test_no_server_that_can_be_reached_is_unavailable(
    connect: Connect, credentials: Credentials, dead_port: int
) -> None:
    client = connect(replace(credentials, servers=(f"https://127.0.0.1:{dead_port}",)))
    with pytest.raises(Unavailable, match="refused or no route"):
        client.get(NODES, "n1")


def test_a_connection_that_is_never_taken_is_given_up(
    connect: Connect, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(async_transport, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes TCP, never begins TLS
        client = connect(replace(credentials, servers=(f"https://127.0.0.1:{deaf.getsockname()[1]}",)))
        began = time.monotonic()
        with pytest.raises(Unavailable, match="in time"):
            client.get(NODES, "n1")
        assert time.monotonic() - began < 5


def test_a_server_that_takes_no_connection_leaves_time_for_the_next(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stage.will(answer(200, NODE))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        servers = (f"https://127.0.0.1:{deaf.getsockname()[1]}", stage.url)
        client = connect(replace(credentials, servers=servers))
        assert client.call("GET", "/api/v1/nodes/n1", timeout=1) == NODE


def test_a_certificate_of_another_authority_is_refused(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stranger = Authority("stranger").certificate_pem
    with pytest.raises(TlsRefused, match="certificate is refused"):
        connect(replace(credentials, ca_pem=stranger)).get(NODES, "n1")
    with pytest.raises(TlsRefused):
        connect(replace(credentials, ca_pem=None)).get(NODES, "n1")
    assert stage.requests == []


def test_a_certificate_for_another_name_is_refused(stage: Stage, connect: Connect, credentials: Credentials) -> None:
    stage.always(answer(200, NODE))
    with pytest.raises(TlsRefused):
        connect(replace(credentials, tls_server_name="other.example")).get(NODES, "n1")
    assert stage.requests == []
    assert connect(replace(credentials, tls_server_name="kube.example")).get(NODES, "n1") == NODE


def test_the_next_server_is_tried_when_the_first_has_the_wrong_certificate(
    stage: Stage, connect: Connect, credentials: Credentials, make_stage: Callable[[], Stage]
) -> None:
    stranger = Authority("stranger")
    impostor = Stage(stranger, stranger.issue_server("x", ["127.0.0.1"]))
    try:
        stage.will(answer(200, NODE))
        client = connect(replace(credentials, servers=(impostor.url, stage.url)))
        assert client.get(NODES, "n1") == NODE
        assert impostor.requests == []
    finally:
        impostor.close()


def test_a_server_without_tls_is_refused(connect: Connect, credentials: Credentials) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer_plainly() -> None:
            sock, _ = plain.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer_plainly, daemon=True).start()
        client = connect(replace(credentials, servers=(f"https://127.0.0.1:{plain.getsockname()[1]}",)))
        with pytest.raises(TlsRefused):
            client.get(NODES, "n1")


def test_a_client_certificate_is_shown(authority: Authority, server_certificate: KeyPair, connect: Connect) -> None:
    stage = Stage(authority, server_certificate, client_authority=authority)
    try:
        stage.always(answer(200, NODE))
        pair = authority.issue_client("admin", ["system:masters"])
        credentials = Credentials(
            (stage.url,),
            authority.certificate_pem,
            client_cert_pem=pair.certificate_pem,
            client_key_pem=pair.key_pem,
        )
        assert connect(credentials).get(NODES, "n1") == NODE
        assert "authorization" not in stage.requests[0].headers
        with pytest.raises(KubeError) as caught:
            connect(Credentials((stage.url,), authority.certificate_pem)).get(NODES, "n1")
        assert isinstance(caught.value, TlsRefused | Unavailable)
    finally:
        stage.close()


def test_sec57_a_refused_address_is_not_connected_to(stage: Stage, connect: Connect, credentials: Credentials) -> None:
    for guard in (AddressGuard(), AddressGuard(allow=[f"127.0.0.1:{stage.port + 1}"])):
        with pytest.raises(AddressRefused):
            connect(credentials, guard=guard).get(NODES, "n1")
    assert stage.connections == 0


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "0177.0.0.1"])
def test_sec60_an_odd_form_of_the_address_is_not_connected_to(
    stage: Stage, connect: Connect, credentials: Credentials, host: str
) -> None:
    client = connect(replace(credentials, servers=(f"https://{host}:{stage.port}",)), guard=AddressGuard())
    with pytest.raises(AddressRefused):
        client.get(NODES, "n1")
    assert stage.connections == 0


class ScriptedDns:
    """Answers in turn, the last for ever; counts how often it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_name_is_resolved_and_its_certificate_checked_by_name(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stage.always(answer(200, NODE))
    guard = AddressGuard(allow=["127.0.0.1"], resolver=ScriptedDns(["127.0.0.1"]))
    good = replace(credentials, servers=(f"https://kube.example:{stage.port}",))
    assert connect(good, guard=guard).get(NODES, "n1") == NODE
    assert stage.requests[0].headers["host"] == [f"kube.example:{stage.port}"]
    bad = replace(credentials, servers=(f"https://other.example:{stage.port}",))
    with pytest.raises(TlsRefused):
        connect(bad, guard=guard).get(NODES, "n1")


def test_sec60_a_rebinding_dns_changes_nothing_for_a_connection_that_stands(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stage.always(answer(200, NODE))
    dns = ScriptedDns(["127.0.0.1"], ["127.0.0.2"])
    guard = AddressGuard(allow=[f"127.0.0.1:{stage.port}"], resolver=dns)
    client = connect(replace(credentials, servers=(f"https://kube.example:{stage.port}",)), guard=guard)
    for _ in range(3):
        assert client.get(NODES, "n1") == NODE
    assert dns.asked == 1
    assert stage.connections == 1


def test_sec60_a_rebinding_dns_is_refused_at_the_next_connection(
    stage: Stage, make_stage: Callable[[], Stage], connect: Connect, credentials: Credentials
) -> None:
    stage.always(answer(200, NODE, headers=[("Connection", "close")]))
    dns = ScriptedDns(["127.0.0.1"], ["127.0.0.2"])
    guard = AddressGuard(allow=[f"127.0.0.1:{stage.port}"], resolver=dns)
    client = connect(replace(credentials, servers=(f"https://kube.example:{stage.port}",)), guard=guard)
    assert client.get(NODES, "n1") == NODE
    stage.close()
    for _ in range(3):
        with pytest.raises((Unavailable, AddressRefused)):
            client.get(NODES, "n1")
    with pytest.raises(AddressRefused):
        client.get(NODES, "n1")


def test_sec60_of_a_mixed_answer_only_the_permitted_address_is_used(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stage.will(answer(200, NODE))
    dns = ScriptedDns(["169.254.169.254", "::1", "127.0.0.1"])
    guard = AddressGuard(allow=[f"127.0.0.1:{stage.port}"], resolver=dns)
    client = connect(replace(credentials, servers=(f"https://kube.example:{stage.port}",)), guard=guard)
    assert client.get(NODES, "n1") == NODE


def test_a_name_with_two_addresses_uses_the_one_that_answers(
    stage: Stage, connect: Connect, credentials: Credentials
) -> None:
    stage.will(answer(200, NODE))
    guard = AddressGuard(allow=["127.0.0.0/8"], resolver=ScriptedDns(["127.0.0.9", "127.0.0.1"]))
    client = connect(replace(credentials, servers=(f"https://kube.example:{stage.port}",)), guard=guard)
    assert client.get(NODES, "n1") == NODE


def test_a_proxy_in_the_environment_is_not_used(
    stage: Stage, connect: Connect, credentials: Credentials, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{dead_port}")
    stage.will(answer(200, NODE))
    assert connect(credentials).get(NODES, "n1") == NODE


def test_a_server_behind_a_path_gets_the_path(stage: Stage, connect: Connect, credentials: Credentials) -> None:
    stage.will(answer(200, NODE))
    connect(replace(credentials, servers=(f"{stage.url}/k8s/clusters/x/",))).get(NODES, "n1")
    assert stage.requests[0].path == "/k8s/clusters/x/api/v1/nodes/n1"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_a_server_like_another(authority: Authority, connect: Connect) -> None:
    stage = Stage(authority, authority.issue_server("stage", ["::1", "kube.example"]), address="::1")
    try:
        stage.always(answer(200, NODE))
        guard = AddressGuard(allow=["::1"], resolver=ScriptedDns(["::1"]))
        for url in (stage.url, f"https://kube.example:{stage.port}"):
            client = connect(Credentials((url,), authority.certificate_pem, token="sesame"), guard=guard)
            assert client.get(NODES, "n1") == NODE
        assert stage.requests[0].headers["host"] == [f"[::1]:{stage.port}"]
    finally:
        stage.close()


def test_a_cookie_that_the_server_sets_is_not_kept(stage: Stage, either: Any) -> None:
    stage.will(answer(200, NODE, headers=[("Set-Cookie", "a=b; Path=/")]), answer(200, NODE))
    either.get(NODES, "n1")
    either.get(NODES, "n1")
    assert "cookie" not in stage.requests[1].headers


def test_one_client_serves_many_threads(stage: Stage, client: KubeClient) -> None:
    stage.always(answer(200, NODE))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.get(NODES, "n1"), range(80)))
    assert answers == [NODE] * 80
    assert stage.connections <= 8


def test_a_thread_that_gives_a_server_up_does_not_harm_another(
    stage: Stage, credentials: Credentials, guard: AddressGuard, dead_port: int
) -> None:
    stage.always(answer(200, NODE))
    servers = (f"https://127.0.0.1:{dead_port}", stage.url)
    with (
        KubeClient(replace(credentials, servers=servers), guard=guard) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        assert list(threads.map(lambda _: client.get(NODES, "n1"), range(40))) == [NODE] * 40
