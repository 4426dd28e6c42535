"""Requests inside requests, and paths with two meanings: the member sees one request for one, and the path that was judged."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from hub.stream import connection
from kube.relay.attributes import AmbiguousPath, check_path
from tests.hub.stream.conftest import RunningHub, at, bearer
from tests.hub.stream.raw_client import render
from tests.hub.stream.recording_api import RecordingApi


@pytest.fixture(autouse=True)
def short_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)


@pytest.fixture
def cluster(hub: RunningHub, api: RecordingApi) -> UUID:
    return hub.rights.cluster(api.url)


@pytest.fixture
def maria(hub: RunningHub) -> str:
    return hub.rights.user("maria")


# What follows the request line, Host and the token; {inner} is a whole request that must never be seen by the member.
CORPUS = {
    "CL and TE": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "TE and CL": "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{inner}",
    "TE and CL 0": "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n{inner}",
    "two CL": "Content-Length: 0\r\nContent-Length: 40\r\n\r\n{inner}",
    "two CL that agree": "Content-Length: 0\r\nContent-Length: 0\r\n\r\n{inner}",
    "CL list": "Content-Length: 0, 40\r\n\r\n{inner}",
    "CL with plus": "Content-Length: +0\r\n\r\n{inner}",
    "CL with minus": "Content-Length: -1\r\n\r\n{inner}",
    "CL in hex": "Content-Length: 0x0\r\n\r\n{inner}",
    "CL with a blank before the colon": "Content-Length : 5\r\n\r\n{inner}",
    "CL with an underscore inside": "Content-Length: 1_0\r\n\r\n{inner}",
    "CL empty": "Content-Length:\r\n\r\n{inner}",
    "TE twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{inner}",
    "TE unknown": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{inner}",
    "TE with vertical tab": "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{inner}",
    "TE in two codings": "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n{inner}",
    "TE folded": "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{inner}",
    "TE with a tab before the colon": "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{inner}",
    "TE behind a bare LF": "X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "TE behind a bare CR": "X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
    "head ended by bare LFs": "X-A: b\n\n{inner}",
    "head ended by LF CR LF": "X-A: b\n\r\n{inner}",
    "chunk size with extension": "Transfer-Encoding: chunked\r\n\r\n5;a=\n\r\nhello\r\n0\r\n\r\n{inner}",
    "chunk size with plus": "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n{inner}",
    "chunk size with 0x": "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{inner}",
    "chunk size with an underscore": "Transfer-Encoding: chunked\r\n\r\n0_5\r\nhello\r\n0\r\n\r\n{inner}",
    "chunk size that wraps": "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n{inner}",
    "chunk size ended by LF": "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n{inner}",
    "chunk ended by LF": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n{inner}",
    "chunk longer than said": "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n{inner}",
    "trailers": "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n\r\n{inner}",
    "trailers that frame": "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 40\r\n\r\n{inner}",
    "upgrade with a body": "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello{inner}",
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\nPRI * HTTP/2.0\r\n\r\n{inner}",
}


@pytest.mark.parametrize("case", CORPUS)
def test_sec24_a_request_that_hides_another_is_refused_or_seen_as_one(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str, case: str
) -> None:
    inner = render("GET", at(cluster, "/api/v1/secrets/smuggled"), *bearer(maria)).decode()
    first = f"POST {at(cluster)} HTTP/1.1\r\nHost: hub.test\r\nAuthorization: Bearer {maria}\r\n"
    with hub.client() as client:
        client.send((first + CORPUS[case].replace("{inner}", inner)).encode("latin-1"))
        client.ended()
    assert [seen for seen in api.requests if "smuggled" in seen.target] == []
    assert len(api.requests) <= 1
    assert b"smuggled" not in b"".join(api.received)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0"])
def test_sec24_other_versions_are_refused(hub: RunningHub, cluster: UUID, maria: str, version: str) -> None:
    with hub.client() as client:
        head = (
            f"GET {at(cluster)} {version}\r\nHost: h\r\nAuthorization: Bearer {maria}\r\nConnection: keep-alive\r\n\r\n"
        )
        client.send(head.encode())
        answer = client.answer()
        assert (answer.status, answer.code, answer.all("connection")) == (
            505,
            "request.version_unsupported",
            ["close"],
        )
        assert client.ended() == b""


def test_sec24_pipelined_requests_are_answered_in_their_order_each_for_its_own_caller(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    olga = hub.rights.user("olga")
    bodies = [b"one", b"", b"x" * 70_000]
    requests = [
        render("POST", at(cluster, "/api/v1/namespaces/a/pods"), *bearer(maria), body=bodies[0]),
        render("GET", at(cluster, "/api/v1/namespaces/b/pods"), *bearer("pdk_forged")),
        render("GET", at(cluster, "/api/v1/namespaces/c/pods"), *bearer(olga)),
        render("PUT", at(cluster, "/api/v1/namespaces/d/pods/p"), *bearer(maria), body=bodies[2]),
    ]
    with hub.client() as client:
        client.send(b"".join(requests))
        assert [client.answer().status for _ in requests] == [200, 401, 200, 200]
    assert [(seen.target, seen.all("impersonate-user"), seen.body) for seen in api.requests] == [
        ("/api/v1/namespaces/a/pods", ["paddock:user:maria"], b"one"),
        ("/api/v1/namespaces/c/pods", ["paddock:user:olga"], b""),
        ("/api/v1/namespaces/d/pods/p", ["paddock:user:maria"], bodies[2]),
    ]


def test_sec24_a_refused_request_s_body_is_never_taken_for_a_request(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    inner = render("GET", at(cluster, "/api/v1/secrets"), *bearer(maria))
    with hub.client() as client:
        client.send(render("POST", at(cluster), *bearer("pdk_forged"), body=inner))
        assert client.answer().status == 401
        assert client.ended() == b""
    assert api.requests == []


def test_sec24_a_body_in_chunks_of_any_cut_reaches_the_member_the_same(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    chance = random.Random(24)
    body = chance.randbytes(3000).replace(b"\r", b"x")
    framed, rest = b"", body
    while rest:
        size = chance.randint(1, 700)
        framed += b"%X\r\n%b\r\n" % (len(rest[:size]), rest[:size])
        rest = rest[size:]
    sent = render("POST", at(cluster), *bearer(maria), "Transfer-Encoding: chunked") + framed + b"0\r\n\r\n"
    with hub.client() as client:
        while sent:  # in records of any size
            size = chance.randint(1, 400)
            client.send(sent[:size])
            sent = sent[size:]
        assert client.answer().status == 200
    (seen,) = api.requests
    got, left = b"", seen.body
    while left:
        size_line, left = left.split(b"\r\n", 1)
        got, left = got + left[: int(size_line, 16)], left[int(size_line, 16) + 2 :]
    assert got == body


def test_sec21_of_2000_generated_paths_each_is_forwarded_byte_for_byte_or_refused(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    chance = random.Random(21)
    segments = ["api", "apis", "v1", "x", "..", ".", "", "...", "a.b", "%2e%2e", "%2E", "%2f", "%252f", "%5c", "%00"]
    segments += [
        "a;b",
        "a\\b",
        "%C3%A4",
        "%c0%af",
        "%",
        "%zz",
        "a%20b",
        "~",
        "@",
        "pods:8080",
        "k8s",
        "clusters",
        "!$&'()*+,=",
    ]
    queries = ["", "?", "?a=b", "?a=/../", "?a=%2f..%2f", "?x=;y", "?a?b", "?watch=1&limit=5"]
    forwarded: list[str] = []
    with hub.client() as client:
        for _ in range(2000):
            path = "/" + "/".join(chance.choice(segments) for _ in range(chance.randint(1, 5)))
            target = path + chance.choice(queries)
            answer = client.request("GET", at(cluster, target), *bearer(maria))
            if answer.status == 200:
                forwarded.append(target)
                check_path(path)
            else:
                assert (answer.status, answer.code) == (400, "request.path_ambiguous")
                with pytest.raises(AmbiguousPath):
                    check_path(path)
    assert [seen.target for seen in api.requests] == forwarded
    assert 200 < len(forwarded) < 1800


def test_sec21_an_absolute_or_foreign_target_is_refused(
    hub: RunningHub, api: RecordingApi, cluster: UUID, maria: str
) -> None:
    for target in (f"https://hub.test{at(cluster)}", f"{api.url}/api", "*", "api", f"{at(cluster)}#x"):
        assert hub.ask("GET", target, token=maria).status == 400
    assert api.requests == []
