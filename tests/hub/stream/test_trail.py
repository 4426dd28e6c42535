"""What of proxied requests is in the audit trail, and when."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from hub.access.grants import BindingFact
from hub.audit.models import Outcome
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.stream.audit_writer import AuditEntry
from tests.hub.stream.conftest import RunningHub, at, bearer
from tests.hub.stream.raw_client import render
from tests.hub.stream.recording_api import RecordingApi, answer, raw


def name_of(entry: AuditEntry) -> str:
    assert entry.actor is not None
    return entry.actor.name


@pytest.fixture
def cluster(hub: RunningHub, api: RecordingApi) -> UUID:
    return hub.rights.cluster(api.url)


@pytest.fixture
def maria(hub: RunningHub) -> str:
    return hub.rights.user("maria")


def trail(hub: RunningHub, count: int) -> list[AuditEntry]:
    """The trail once it has this many events, and no more a moment later."""
    deadline = time.monotonic() + 10
    while len(hub.rights.audited) < count:
        assert time.monotonic() < deadline, hub.rights.audited
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(hub.rights.audited) == count, hub.rights.audited
    return hub.rights.audited


@pytest.mark.parametrize(
    ("method", "path", "verb", "resource", "name"),
    [
        ("POST", "/apis/apps/v1/namespaces/x/deployments", "create", "deployments", ""),
        ("PUT", "/api/v1/namespaces/x/pods/p/status", "update", "pods", "p"),
        ("PATCH", "/api/v1/nodes/n", "patch", "nodes", "n"),
        ("DELETE", "/api/v1/namespaces/x/pods/p", "delete", "pods", "p"),
        ("DELETE", "/api/v1/namespaces/x/pods", "deletecollection", "pods", ""),
        ("GET", "/api/v1/namespaces/x/secrets/s", "get", "secrets", "s"),
        ("GET", "/api/v1/secrets", "list", "secrets", ""),
        ("GET", "/api/v1/nodes/n/proxy/metrics", "get", "nodes", "n"),
        ("POST", "/version", "create", "nonresource", ""),
    ],
)
def test_sec22_each_change_and_each_read_of_secrets_is_one_event_written_before_it_leaves(
    hub: RunningHub,
    api: RecordingApi,
    cluster: UUID,
    maria: str,
    method: str,
    path: str,
    verb: str,
    resource: str,
    name: str,
) -> None:
    before: list[int] = []

    def note(sock: object, seen: object) -> bool:
        before.append(len(hub.rights.audited))
        return answer()(sock, seen)  # type: ignore[arg-type]

    api.will(note)
    assert hub.ask(method, at(cluster, path + "?dryRun=All"), token=maria).status == 200
    assert before == [1]
    (event,) = trail(hub, 1)
    assert (event.verb, event.resource, event.object_name, event.outcome) == (verb, resource, name, Outcome.SUCCEEDED)
    assert (name_of(event), event.cluster_id, event.source_ip) == ("maria", cluster, "127.0.0.1")
    assert event.detail["path"] == path
    assert event.request_id == api.requests[0].all("x-request-id")[0]


@pytest.mark.parametrize("path", ["/api/v1/pods", "/api/v1/configmaps", "/version", "/api/v1/namespaces/x/pods/p/log"])
def test_plain_reads_are_not_recorded(hub: RunningHub, cluster: UUID, maria: str, path: str) -> None:
    assert hub.ask("GET", at(cluster, path), token=maria).status == 200
    assert trail(hub, 0) == []


def test_sec27_the_peer_is_who_is_connected_and_not_who_he_says(hub: RunningHub, cluster: UUID, maria: str) -> None:
    hub.ask("POST", at(cluster), "X-Forwarded-For: 10.9.9.9", "Forwarded: for=10.9.9.9", token=maria)
    assert trail(hub, 1)[0].source_ip == "127.0.0.1"


def test_whose_cluster_it_is_is_told_so_that_its_owner_sees_the_event(hub: RunningHub, api: RecordingApi) -> None:
    tenant = uuid7()
    cluster = hub.rights.cluster(api.url, tenant_id=tenant)
    hub.ask("POST", at(cluster), token=hub.rights.user("olga", BindingFact("tenant-owner", "tenant", tenant)))
    assert trail(hub, 1)[0].tenant_id == tenant


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("403 Forbidden", "denied"), ("404 Not Found", "failed"), ("409 Conflict", "failed"), ("500 Oops", "failed")],
)
def test_what_the_member_refuses_is_told_afterwards(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, status: str, outcome: str
) -> None:
    api.will(answer(status=status))
    assert hub.ask("POST", at(cluster), token=maria).status == int(status[:3])
    begun, ended = trail(hub, 2)
    assert (begun.outcome, ended.outcome) == ("succeeded", outcome)
    assert (ended.request_id, ended.detail["status"]) == (begun.request_id, int(status[:3]))


def test_flt22_a_change_whose_answer_is_lost_is_told_as_unknown(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    api.will(raw(b""))
    assert hub.ask("POST", at(cluster), token=maria).code == "upstream.failed"
    assert [event.outcome for event in trail(hub, 2)] == ["succeeded", "unknown"]


def test_flt22_a_client_that_leaves_before_the_answer_leaves_an_unknown(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    api.will(lambda sock, seen: bool(sock.recv(1)))
    client = hub.client()
    client.send(render("POST", at(cluster), *bearer(maria), body=b"{}"))
    api.wait_for(1)
    client.reset()
    assert [event.outcome for event in trail(hub, 2)] == ["succeeded", "unknown"]


def test_a_change_that_never_left_is_told_as_failed(hub: RunningHub, maria: str) -> None:
    cluster = hub.rights.cluster("https://127.0.0.1:1")
    assert hub.ask("POST", at(cluster), token=maria).code == "upstream.unreachable"
    assert [event.outcome for event in trail(hub, 2)] == ["succeeded", "failed"]


def test_denials_of_somebody_known_are_recorded_as_in_the_rest_api(hub: RunningHub, api: RecordingApi) -> None:
    mine, foreign = hub.rights.cluster(api.url), hub.rights.cluster(api.url, tenant_id=uuid7())
    reader = hub.rights.user("reader", BindingFact("hub-admin", "hub"), scope=TokenScope(read_only=True))
    stranger = hub.rights.user("stranger", BindingFact("tenant-owner", "tenant", uuid7()))
    assert hub.ask("GET", at(foreign), token=stranger).status == 404  # polling for what is not there is no denial
    assert hub.ask("GET", at(mine), token="pdk_nobody").status == 401
    assert hub.ask("POST", at(foreign), token=stranger).status == 404
    assert hub.ask("DELETE", at(uuid7()), token=stranger).status == 404
    assert hub.ask("POST", at(mine), token=reader).status == 403
    unknown, *events = trail(hub, 4)
    assert (unknown.actor, unknown.code) == (None, "request.unauthenticated")  # see audit_writer: one for an address
    assert [(name_of(event), event.verb, event.code) for event in events] == [
        ("stranger", "create", "object.not_found"),
        ("stranger", "deletecollection", "object.not_found"),
        ("reader", "create", "request.denied"),
    ]
    assert {event.outcome for event in events} == {Outcome.DENIED}
    assert api.requests == []


@pytest.mark.parametrize(
    "path",
    ["/apis/" + "g" * 3000 + "/v1/namespaces/" + "n" * 3000 + "/" + "r" * 3000 + "/" + "o" * 3000 + "/" + "s" * 3000],
)
def test_sec72_names_of_any_length_fit_into_an_event(hub: RunningHub, cluster: UUID, maria: str, path: str) -> None:
    assert hub.ask("POST", at(cluster, path), token=maria).status == 200
    (event,) = trail(hub, 1)
    assert len(event.resource) <= 120
    assert all(len(str(value)) <= 1024 for value in event.detail.values())


def test_sec03_no_token_header_or_body_is_in_an_event(hub: RunningHub, cluster: UUID, maria: str) -> None:
    body = b'{"kind":"Secret","stringData":{"password":"canary-1"}}'
    path = "/api/v1/namespaces/x/secrets?fieldManager=canary-2"
    hub.ask("POST", at(cluster, path), "Cookie: canary-3", "User-Agent: canary-4", token=maria, body=body)
    (event,) = trail(hub, 1)
    assert "canary" not in repr(event)
    assert maria not in repr(event)


def test_sec25_a_request_s_event_is_its_own_among_many(hub: RunningHub, api: RecordingApi, cluster: UUID) -> None:
    users = [hub.rights.user(f"user-{number}") for number in range(20)]
    clients = [hub.client() for _ in users]
    for number, (client, token) in enumerate(zip(clients, users, strict=True)):
        client.send(render("PUT", at(cluster, f"/api/v1/nodes/n{number}"), *bearer(token)))
    for client in clients:
        assert client.answer().status == 200
        client.close()
    assert {(name_of(event), event.object_name) for event in trail(hub, 20)} == {
        (f"user-{number}", f"n{number}") for number in range(20)
    }
