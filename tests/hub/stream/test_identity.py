"""Header games in front, and what the member sees of them: one identity, built by the hub, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from uuid import UUID

import pytest

from hub.access.grants import BindingFact
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.federation.rights import cluster_group, project_group
from tests.hub.stream.conftest import MEMBER_TOKEN, RunningHub, at, bearer
from tests.hub.stream.raw_client import render
from tests.hub.stream.recording_api import RecordingApi, Seen, raw

ALLOWED = {"accept", "user-agent", "content-type", "content-length", "connection"}
OWN = {"host", "authorization", "impersonate-user", "impersonate-group", "x-request-id"}


def assert_one_identity(seen: Seen, user: str, *groups: str) -> None:
    assert seen.all("authorization") == [f"Bearer {MEMBER_TOKEN}"]
    assert seen.all("impersonate-user") == [f"paddock:user:{user}"]
    assert seen.all("impersonate-group") == list(groups)
    names = {name.lower() for name, _ in seen.headers}
    assert {name for name in names if "impersonate" in name} == {"impersonate-user", "impersonate-group"}
    assert not [name for name in names if "remote" in name or "forwarded" in name or name == "cookie"]
    assert len(seen.all("host")) == 1
    assert all(name == name.strip() for name, _ in seen.headers)


@pytest.fixture
def cluster(hub: RunningHub, api: RecordingApi) -> UUID:
    return hub.rights.cluster(api.url)


@pytest.fixture
def maria(hub: RunningHub) -> str:
    return hub.rights.user("maria")


def test_sec14_the_member_sees_the_caller_with_his_groups_and_the_hub_s_account(
    hub: RunningHub, api: RecordingApi
) -> None:
    tenant, project = uuid7(), uuid7()
    cluster = hub.rights.cluster(api.url, projects={project: tenant})
    token = hub.rights.user("olga", BindingFact("tenant-owner", "tenant", tenant))
    assert hub.ask("GET", at(cluster), token=token).status == 200
    assert_one_identity(api.requests[0], "olga", project_group(project, "tenant-owner"))
    assert api.requests[0].all("host") == [f"127.0.0.1:{api.port}"]
    assert token not in str(api.received)


REFUSED = {
    "a user": "Impersonate-User: root",
    "a group": "Impersonate-Group: system:masters",
    "a uid": "impersonate-uid: 0",
    "an extra": "IMPERSONATE-EXTRA-SCOPES: all",
    "what begins like it": "Impersonate-Userx: root",
    "a blank before the colon": "Impersonate-User : root",
    "a tab before the colon": "Impersonate-User\t: root",
    "a folded line": "X-A: b\r\n Impersonate-User: root",
    "a line folded by a tab": "X-A: b\r\n\tImpersonate-User: root",
    "a leading blank": " Impersonate-User: root",
    "a bare LF": "X-A: b\nImpersonate-User: root",
    "a bare CR": "X-A: b\rImpersonate-User: root",
    "a NUL": "X-A: b\0Impersonate-User: root",
    "a name with NUL": "Impersonate\0-User: root",
    "a name that is not ASCII": "Impersonate\u00ad-User: root",
    "a value that is not ASCII": "X-A: r\u00f6\u00f6t",
    "a second token": "Authorization: Bearer the-hubs-own-account",
    "a second token in another case": "aUTHORIZATION: Bearer the-hubs-own-account",
    "a second host": "Host: 127.0.0.1",
}
DROPPED = {
    "underscores": "Impersonate_User: root",
    "mixed": "Impersonate_Group: system:masters\r\nIMPERSONATE_USER: root",
    "remote user": "X-Remote-User: root\r\nX-Remote-Group: system:masters\r\nX-Remote-Extra-A: b",
    "remote user with underscores": "X_Remote_User: root",
    "forwarded": "X-Forwarded-User: root\r\nX-Forwarded-For: 10.0.0.9\r\nForwarded: for=10.0.0.9",
    "a cookie": "Cookie: session=x",
    "a proxy's word": "Proxy-Authorization: Basic eDp5",
    "a connection that names the user": "Connection: Impersonate-User",
    "a connection that names all": "Connection: authorization, IMPERSONATE-GROUP, impersonate-user, host, x-request-id",
    "a connection with blanks and twice": "Connection: ,, Impersonate-User ,\r\nConnection: Impersonate-Group",
    "a connection that names a header with a value": "Connection: X-A\r\nX-A: Impersonate-User: root",
    "a request id": "X-Request-Id: mine",
    "a value that looks like a header": "User-Agent: a Impersonate-User: root",
}


@pytest.mark.parametrize("game", REFUSED)
def test_sec16_a_game_with_headers_is_refused_and_the_member_hears_nothing(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, game: str
) -> None:
    with hub.client() as client:
        client.send(render("GET", at(cluster), *bearer(maria), REFUSED[game]))
        answer = client.answer()
    assert answer.status in {400, 401, 403}
    assert answer.json["kind"] == "Status"
    assert api.requests == []


@pytest.mark.parametrize("game", DROPPED)
def test_sec15_a_game_with_headers_changes_nothing_of_who_is_seen(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, game: str
) -> None:
    with hub.client() as client:
        client.send(render("GET", at(cluster), *bearer(maria), DROPPED[game]))
        assert client.answer().status == 200
    (seen,) = api.requests
    assert_one_identity(seen, "maria", cluster_group(cluster, "cluster-admin"))
    assert {name.lower() for name, _ in seen.headers} <= ALLOWED | OWN
    assert seen.all("x-request-id") != ["mine"]


def test_sec16_of_500_random_header_lines_none_changes_who_is_seen(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    chance = random.Random(14)
    names = ["impersonate-user", "impersonate-group", "impersonate-extra-a", "authorization", "x-remote-user", "cookie"]
    pieces = [
        "-",
        "_",
        " ",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "\r\n ",
        "\0",
        ":",
        ",",
        "\u00e9",
        "\x7f",
        "",
        "x",
        "%2d",
        "\x0b",
    ]
    through = 0
    client = hub.client()
    for _ in range(500):
        name = chance.choice(names)
        cut = chance.randrange(len(name) + 1)
        name = "".join(letter.upper() if chance.random() < 0.3 else letter for letter in name)
        line = name[:cut] + chance.choice(pieces) + name[cut:] + chance.choice([": ", ":", " :", ""]) + "root"
        if chance.random() < 0.2:
            line = f"Connection: {line.replace(':', ',')}"
        client.send(render("GET", at(cluster), *bearer(maria), line))
        try:
            answer = client.answer()
        except (EOFError, OSError):
            answer = None
        if answer is not None and answer.status == 200:
            through += 1
        if answer is None or answer.all("connection") == ["close"]:
            client.close()
            client = hub.client()
    client.close()
    assert through > 50
    assert len(api.requests) == through
    for seen in api.requests:
        assert_one_identity(seen, "maria", cluster_group(cluster, "cluster-admin"))


@pytest.mark.parametrize("name", ["maria\r\nImpersonate-Group: system:masters", "mar\nia", "мария", "a\0b"])
def test_sec15_an_identity_that_cannot_be_written_is_not_replaced_by_the_hub_s_own(
    hub: RunningHub, api: RecordingApi, cluster: UUID, name: str
) -> None:
    token = hub.rights.user(name)
    with hub.client() as client:
        client.send(render("GET", at(cluster), *bearer(token)))
        assert client.ended() == b""
    assert b"GET" not in b"".join(api.received)


def test_sec16_a_group_with_a_comma_stays_one_group(hub: RunningHub, api: RecordingApi, cluster: UUID) -> None:
    token = hub.rights.user("maria, system:masters")
    assert hub.ask("GET", at(cluster), token=token).status == 200
    assert_one_identity(api.requests[0], "maria, system:masters", cluster_group(cluster, "cluster-admin"))


def test_sec17_a_token_of_one_cluster_does_not_work_on_the_path_of_another(
    hub: RunningHub, make_api: Callable[[], RecordingApi]
) -> None:
    api_a, api_b = make_api(), make_api()
    a, b = hub.rights.cluster(api_a.url), hub.rights.cluster(api_b.url)
    token = hub.rights.user("maria", BindingFact("hub-admin", "hub"), scope=TokenScope(clusters=frozenset({a})))
    with hub.client() as client:  # the same connection: nothing is remembered from request to request
        assert client.request("GET", at(a), *bearer(token)).status == 200
        assert client.request("GET", at(b), *bearer(token)).status == 404
        assert client.request("GET", at(b, f"/../{a}/api"), *bearer(token)).status == 400
        assert client.request("GET", at(a)).status == 401
        assert client.request("GET", at(a), *bearer(token)).status == 200
    assert (len(api_a.requests), api_b.connections) == (2, 0)


def test_sec28_the_host_that_the_client_names_does_not_reach_the_member(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    with hub.client() as client:
        line = f"GET {at(cluster)} HTTP/1.1\r\nHost: other.example\r\nAuthorization: Bearer {maria}\r\n\r\n"
        client.send(line.encode())
        assert client.answer().status == 200
    assert api.requests[0].all("host") == [f"127.0.0.1:{api.port}"]


def test_sec20_a_redirect_to_elsewhere_is_neither_followed_nor_handed_on(
    hub: RunningHub, make_api: Callable[[], RecordingApi], maria: str
) -> None:
    api, elsewhere = make_api(), make_api()
    cluster = hub.rights.cluster(api.url)
    redirect = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
    api.will(raw(redirect % elsewhere.url.encode(), stays=True), raw(redirect % b"/api/v1/x/", stays=True))
    answer = hub.ask("GET", at(cluster), token=maria)
    assert (answer.status, answer.code, answer.all("location")) == (502, "upstream.redirects", [])
    answer = hub.ask("GET", at(cluster), token=maria)
    assert (answer.status, answer.all("location")) == (307, [at(cluster, "/api/v1/x/")])
    assert elsewhere.connections == 0


def test_sec28_a_member_s_cookie_does_not_reach_the_browser(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    api.will(raw(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX-App: c\r\nContent-Length: 0\r\n\r\n", stays=True))
    answer = hub.ask("GET", at(cluster), token=maria)
    assert (answer.all("set-cookie"), answer.all("x-app")) == ([], ["c"])
