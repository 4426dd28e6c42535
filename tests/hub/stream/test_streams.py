"""Watches and sessions: carried as they come, recorded, and ended when their right ends."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import OperationalError

from hub.access.grants import BindingFact
from hub.audit.models import Outcome
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.stream import kubernetes, rights
from hub.stream.audit_writer import AuditEntry
from tests.hub.stream.conftest import HandMade, RunningHub, at, bearer
from tests.hub.stream.raw_client import RawClient, render
from tests.hub.stream.recording_api import RecordingApi, Seen, answer, echo, wait_for_end, watch

WATCH = "/api/v1/namespaces/x/pods?watch=true"
EXEC = "/api/v1/namespaces/x/pods/p/exec?command=sh"
SPDY = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA")


@pytest.fixture
def cluster(hub: RunningHub, api: RecordingApi) -> UUID:
    return hub.rights.cluster(api.url)


@pytest.fixture
def maria(hub: RunningHub) -> str:
    return hub.rights.user("maria")


def open_watch(hub: RunningHub, cluster: UUID, token: str) -> RawClient:
    client = hub.client()
    client.send(render("GET", at(cluster, WATCH), *bearer(token)))
    assert client.head().status == 200
    return client


def test_events_of_a_watch_come_when_they_happen(hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str) -> None:
    more = threading.Event()

    def script(sock: object, seen: Seen) -> bool:
        assert hasattr(sock, "sendall")
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        more.wait(10)
        sock.sendall(b"7\r\nsecond\n\r\n0\r\n\r\n")
        return True

    api.will(script)
    with open_watch(hub, cluster, maria) as client:
        assert client.chunk() == b"first\n"
        more.set()
        assert client.chunk() == b"second\n"
        assert client.chunk() == b""
        assert client.request("GET", at(cluster), *bearer(maria)).status == 200
    assert hub.rights.audited == []


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
def test_a_client_that_leaves_ends_the_member_s_side_too(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, leave: Callable[[RawClient], None]
) -> None:
    api.will(watch(b"e\n"))
    client = open_watch(hub, cluster, maria)
    assert client.chunk() == b"e\n"
    leave(client)
    assert api.wait_for_ends() < 2


def token_revoked(made: HandMade, token: str, cluster: UUID) -> None:
    made.revoke(token)


def binding_gone(made: HandMade, token: str, cluster: UUID) -> None:
    made.bindings[made.tokens[token.split("_")[1]].principal.user_id] = ()
    made.change()


def cluster_gone(made: HandMade, token: str, cluster: UUID) -> None:
    del made.clusters[cluster]
    made.change()


def only_a_viewer_now(made: HandMade, token: str, cluster: UUID) -> None:
    made.bindings[made.tokens[token.split("_")[1]].principal.user_id] = (
        BindingFact("project-viewer", "tenant", uuid7()),
    )
    made.change()


def database_away(made: HandMade, token: str, cluster: UUID) -> None:
    made.database_away = True


@pytest.mark.parametrize("lose", [token_revoked, binding_gone, cluster_gone, only_a_viewer_now, database_away])
@pytest.mark.parametrize("kind", ["watch", "session"])
def test_sec23_sec48_what_is_open_ends_with_its_right_and_nobody_else_s_does(
    hub: RunningHub,
    api: RecordingApi,
    cluster: UUID,
    lose: Callable[[HandMade, str, UUID], None],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rights, "STALE_AFTER", 0.6)
    maria, olga = hub.rights.user("maria"), hub.rights.user("olga")
    other = hub.rights.cluster(api.url)
    api.will(watch(b"e\n") if kind == "watch" else echo("SPDY/3.1"), watch(b"e\n"))
    client = hub.client()
    if kind == "watch":
        client.send(render("GET", at(cluster, WATCH), *bearer(maria)))
        assert client.head().status == 200
    else:
        client.send(render("POST", at(cluster, EXEC), *bearer(maria), *SPDY))
        assert client.head().status == 101
    bystander = open_watch(hub, other, olga)
    assert bystander.chunk() == b"e\n"
    began = time.monotonic()
    lose(hub.rights, maria, cluster)
    client.ended()
    api.wait_for_ends()
    assert time.monotonic() - began < 3
    if lose is database_away:
        bystander.ended()
        assert hub.ask("GET", at(cluster), token=maria).status == 503
        hub.rights.database_away = False
    else:
        assert hub.ask("GET", at(cluster), token=maria).status in {401, 404}
        assert hub.ask("GET", at(other), token=olga).status == 200
        bystander.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            bystander.chunk()
    bystander.close()


def test_sec48_a_watch_ends_when_its_token_expires_though_nothing_was_changed(
    hub: RunningHub, api: RecordingApi, cluster: UUID
) -> None:
    token = hub.rights.user("maria", lifetime=datetime.timedelta(seconds=0.8))
    api.will(watch(b"e\n"))
    began = time.monotonic()
    with open_watch(hub, cluster, token) as client:
        client.ended()
    api.wait_for_ends()
    assert 0.5 < time.monotonic() - began < 4


def test_sec48_nothing_is_open_for_ever(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "LONGEST_STREAM", 0.3)
    api.will(watch(b"e\n"))
    began = time.monotonic()
    with open_watch(hub, cluster, maria) as client:
        client.ended()
    assert time.monotonic() - began < 4


def test_sec26_a_right_that_goes_while_the_request_waits_for_the_database_keeps_it_here(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go = threading.Event(), threading.Event()
    write = hub.rights.write_audit

    def slow(batch: list[AuditEntry]) -> None:
        asked.set()
        go.wait(10)
        write(batch)

    monkeypatch.setattr("hub.stream.audit_writer._write", slow)
    with hub.client() as client:
        client.send(render("POST", at(cluster), *bearer(maria), body=b"{}"))
        assert asked.wait(10)
        hub.rights.revoke(maria)
        client.ended()
        go.set()
    assert hub.ask("GET", at(cluster), token=hub.rights.user("olga")).status == 200
    assert [seen.method for seen in api.requests] == ["GET"]


@pytest.mark.parametrize(("method", "lines", "protocol"), [("POST", SPDY, "SPDY/3.1"), ("GET", WEBSOCKET, "websocket")])
def test_sessions_are_carried_raw_both_ways_and_their_begin_and_end_are_recorded(
    hub: RunningHub,
    api: RecordingApi,
    cluster: UUID,
    maria: str,
    method: str,
    lines: tuple[str, ...],
    protocol: str,
) -> None:
    api.will(echo(protocol))
    with hub.client() as client:
        client.send(render(method, at(cluster, EXEC), *bearer(maria), *lines) + b"\x80early")
        head = client.head()
        assert (head.status, head.all("upgrade"), head.all("connection")) == (101, [protocol], ["Upgrade"])
        (begun,) = hub.rights.audited  # recorded before it was carried
        assert client.read(6) == b"\x80early"
        data = bytes(range(256)) * 1000
        client.send(data)
        assert client.read(len(data)) == data
        client.send(b"bye")
        assert client.read(3) == b"bye"
        assert client.ended() == b""
    seen = api.requests[0]
    assert (seen.all("upgrade"), seen.all("connection")) == ([protocol], ["Upgrade"])
    assert seen.all("x-stream-protocol-version") == [line.split(": ")[1] for line in lines if line.startswith("X-S")]
    verb = "create" if method == "POST" else "get"
    assert (begun.verb, begun.resource, begun.object_name, begun.outcome) == (verb, "pods", "p", Outcome.SUCCEEDED)
    assert (begun.detail["subresource"], begun.namespace) == ("exec", "x")
    ended = until_audited(hub, 2)[1]
    assert (ended.request_id, ended.outcome, ended.detail["status"]) == (begun.request_id, Outcome.SUCCEEDED, 101)
    assert 0 <= ended.detail["session_seconds"] < 20


def until_audited(hub: RunningHub, count: int) -> list[AuditEntry]:
    deadline = time.monotonic() + 10
    while len(hub.rights.audited) < count:
        assert time.monotonic() < deadline, hub.rights.audited
        time.sleep(0.01)
    return hub.rights.audited


def test_a_session_that_the_client_leaves_ends_at_the_member_and_is_recorded(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    api.will(echo("SPDY/3.1"))
    client = hub.client()
    client.send(render("POST", at(cluster, EXEC), *bearer(maria), *SPDY))
    assert client.head().status == 101
    client.reset()
    assert api.wait_for_ends() < 2
    assert until_audited(hub, 2)[1].detail["status"] == 101


def test_a_client_s_half_close_over_tls_is_its_end(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    """TLS has one end for both directions here: who says close_notify gets nothing more, and nothing is left behind."""
    api.will(watch(b"e\n"))
    with open_watch(hub, cluster, maria) as client:
        assert client.chunk() == b"e\n"
        client.sock.unwrap().close()
    assert api.wait_for_ends() < 2


def test_sec19_an_upgrade_that_the_member_refuses_ends_both_connections(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    api.will(answer(b"no", status="403 Forbidden"))
    hidden = render("GET", "/api/v1/secrets")
    with hub.client() as client:
        client.send(render("GET", at(cluster, EXEC), *bearer(maria), *WEBSOCKET) + hidden)
        refused = client.answer()
        assert (refused.status, refused.body, refused.all("connection")) == (403, b"no", ["close"])
        assert client.ended() == b""
    api.wait_for_ends()
    assert b"secrets" not in b"".join(api.received)
    assert until_audited(hub, 2)[1].outcome == Outcome.DENIED
    assert hub.ask("GET", at(cluster), token=maria).status == 200
    assert [seen.connection for seen in api.requests] == [0, 1]


@pytest.mark.parametrize("wish", ["h2c", "TLS/1.0", "websocket, h2c", "foo"])
def test_sec19_an_unknown_protocol_is_not_changed_to(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, wish: str
) -> None:
    with hub.client() as client:
        lines = ["Connection: Upgrade", f"Upgrade: {wish}"]
        assert client.request("GET", at(cluster), *bearer(maria), *lines).status == 200
    assert (api.requests[0].all("upgrade"), api.requests[0].all("connection")) == ([], [])


def test_sec39_a_read_only_token_watches_but_opens_no_session(
    hub: RunningHub, api: RecordingApi, cluster: UUID
) -> None:
    token = hub.rights.user("maria", BindingFact("hub-admin", "hub"), scope=TokenScope(read_only=True))
    for method, lines in (("POST", SPDY), ("GET", WEBSOCKET)):
        refused = hub.ask(method, at(cluster, EXEC), *lines, token=token)
        assert (refused.status, refused.code) == (403, "request.denied")
    assert api.connections == 0
    assert [(entry.outcome, entry.code) for entry in hub.rights.audited] == [(Outcome.DENIED, "request.denied")] * 2
    api.will(watch(b"e\n"), echo("websocket"))
    with open_watch(hub, cluster, token) as client:
        assert client.chunk() == b"e\n"
    with hub.client() as client:
        client.send(render("GET", at(cluster, WATCH), *bearer(token), *WEBSOCKET))
        assert client.head().status == 101


def test_flt32_a_client_that_takes_nothing_does_not_hold_up_another(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    sent = [0]

    def flood(sock: object, seen: Seen) -> bool:
        assert hasattr(sock, "sendall")
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2000):
            sock.sendall(b"8000\r\n" + b"x" * 32768 + b"\r\n")
            sent[0] += 32768
        wait_for_end(sock)  # type: ignore[arg-type]
        return False

    api.will(flood)
    with open_watch(hub, cluster, maria):
        began = time.monotonic()
        for _ in range(20):
            assert hub.ask("GET", at(cluster), token=maria).status == 200
        assert time.monotonic() - began < 5
        assert sent[0] < 32 * 1024 * 1024  # sockets' buffers, not memory


def test_flt29_a_member_that_dies_in_its_answer_is_never_told_as_a_whole_answer(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    def dies(sock: object, seen: Seen) -> bool:
        assert hasattr(sock, "sendall")
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        return False

    api.will(dies)
    with open_watch(hub, cluster, maria) as client:
        assert client.chunk() == b"half"
        with pytest.raises((EOFError, OSError)):
            client.chunk()


def test_sec26_when_the_trail_cannot_be_written_nothing_is_changed_and_reads_go_on(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(batch: object) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr("hub.stream.audit_writer._write", away)
    for method, path in (("POST", "/api/v1/pods"), ("GET", "/api/v1/secrets"), ("DELETE", "/api/v1/pods")):
        refused = hub.ask(method, at(cluster, path), token=maria)
        assert (refused.status, refused.code) == (503, "audit.unavailable")
    assert hub.ask("GET", at(cluster), token=maria).status == 200
    assert [seen.target for seen in api.requests] == ["/api/v1/namespaces/x/pods"]
