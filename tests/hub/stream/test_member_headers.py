"""Which headers pass, in either direction; only what is known to be harmless."""

from __future__ import annotations

import pytest

from hub.stream.answers import Refusal
from hub.stream.decisions import Call, decide, read_ask
from hub.stream.member_headers import answer_headers, member_headers
from kube.relay.heads import Headers, parse_request_head, parse_response_head, render_request_head
from tests.bed.pki import Authority
from tests.hub.stream.conftest import HandMade, at
from tests.hub.stream.test_decisions import NOW


@pytest.fixture
def made(authority: Authority) -> HandMade:
    return HandMade(authority)


def call_of(made: HandMade, path: str = "/api/v1/pods", *headers: tuple[str, str]) -> tuple[Headers, Call]:
    """What goes to the member for a request with these headers, and the call."""
    cluster, token = made.cluster(), made.user()
    own = [("Host", "hub.test"), ("Authorization", f"Bearer {token}"), *headers]
    head = parse_request_head(render_request_head("GET", at(cluster, path), own))
    call = decide(made.snapshot(), read_ask(head), NOW)
    return member_headers(head, call, "account", "id-1"), call


def came(call: Call, *lines: str, status: str = "200 OK") -> Headers:
    """What the caller gets of an answer with these header lines."""
    raw = "\r\n".join([f"HTTP/1.1 {status}", *lines]) + "\r\n\r\n"
    return answer_headers(parse_response_head(raw.encode("latin-1"), "GET"), call, "id-1")


def test_sec14_the_member_gets_one_identity_and_it_is_built_here(made: HandMade) -> None:
    sent, call = call_of(made)
    assert sent == [
        ("Authorization", "Bearer account"),
        ("Impersonate-User", "paddock:user:maria"),
        ("Impersonate-Group", call.groups[0]),
        ("X-Request-Id", "id-1"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "accept-encoding",
        "Content-Type",
        "If-None-Match",
        "User-Agent",
        "Kubectl-Command",
        "X-Stream-Protocol-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Key",
        "Range",
    ],
)
def test_what_clients_say_of_the_request_itself_goes_on(made: HandMade, name: str) -> None:
    sent, _ = call_of(made, "/api", (name, "a"), (name, "b"))
    assert sent[:2] == [(name, "a"), (name, "b")]


@pytest.mark.parametrize(
    "name",
    [
        "Cookie",
        "X-Remote-User",
        "X-Remote-Group",
        "X-Remote-Extra-Scopes",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "Forwarded",
        "X-Real-Ip",
        "X-Request-Id",
        "Proxy-Authorization",
        "X-Api-Key",
        "Origin",
        "Referer",
        "Via",
        "X-Anything-Else",
    ],
)
def test_sec28_anything_else_stays_here(made: HandMade, name: str) -> None:
    plain, _ = call_of(made)
    sent, _ = call_of(made, "/api", (name, "mine"))
    assert "mine" not in dict(sent).values()
    assert [pair[0] for pair in sent] == [pair[0] for pair in plain]


def test_sec15_a_connection_header_takes_nothing_from_the_hub_s_own(made: HandMade) -> None:
    options = "Impersonate-User, Impersonate-Group, Authorization, X-Request-Id, Accept"
    sent, _ = call_of(made, "/api", ("Connection", options), ("Accept", "json"))
    names = [name for name, _ in sent]
    assert names == ["Authorization", "Impersonate-User", "Impersonate-Group", "X-Request-Id"]


@pytest.mark.parametrize(
    "line",
    [
        "Set-Cookie: session=mine; Path=/",
        "Set-Cookie2: a",
        "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Credentials: true",
        "Strict-Transport-Security: max-age=0",
        "Clear-Site-Data: *",
        "Service-Worker-Allowed: /",
        'Alt-Svc: h3="evil:443"',
        "Refresh: 0; url=https://evil",
        "WWW-Authenticate: Basic",
        "Connection: X-Named",
        "X-Named: 1",
        "Keep-Alive: 5",
    ],
)
def test_sec28_what_would_act_on_the_hub_s_origin_does_not_come_back(made: HandMade, line: str) -> None:
    _, call = call_of(made)
    plain = came(call, "Content-Length: 0", "Connection: X-Named")
    assert came(call, "Content-Length: 0", "Connection: X-Named", line) == plain


def test_sec69_no_page_of_a_member_runs_in_the_hub_s_origin(made: HandMade) -> None:
    _, call = call_of(made)
    headers = came(call, "Content-Type: text/html", "Content-Security-Policy: script-src *", "X-Request-Id: theirs")
    assert headers == [
        ("Content-Type", "text/html"),
        ("X-Request-Id", "id-1"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ]


def test_what_kubernetes_says_of_the_answer_comes_back(made: HandMade) -> None:
    _, call = call_of(made)
    lines = [
        "Content-Type: application/json",
        'Warning: 299 - "old"',
        "Audit-Id: a",
        "X-Kubernetes-Pf-Flowschema-Uid: u",
    ]
    headers = came(call, *lines, 'Warning: 299 - "older"', "Content-Encoding: gzip")
    assert headers[:-3] == [
        tuple(line.split(": ", 1)) for line in [*lines, 'Warning: 299 - "older"', "Content-Encoding: gzip"]
    ]


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/api/v1/namespaces/x/services/s/proxy/", "{}/api/v1/namespaces/x/services/s/proxy/"),
        ("/?x=http://a", "{}/?x=http://a"),
        ("below/", "below/"),
        ("?page=2", "?page=2"),
    ],
)
def test_sec20_a_place_in_the_same_cluster_is_told_as_it_is_called_here(
    made: HandMade, location: str, told: str
) -> None:
    _, call = call_of(made)
    headers = came(call, f"Location: {location}", status="302 Found")
    assert headers[0] == ("Location", told.replace("{}", f"/k8s/clusters/{call.ask.cluster_id}"))


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/",
        "http://127.0.0.1:6443/",
        "//evil.example/x",
        "/\t/evil.example",
        "\\\\evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://[::1",
        "HTTPS:evil.example",
    ],
)
def test_sec20_a_place_elsewhere_is_not_handed_on(made: HandMade, location: str) -> None:
    _, call = call_of(made)
    with pytest.raises(Refusal) as raised:
        came(call, f"Location: {location}", status="302 Found")
    assert (raised.value.status, raised.value.code) == (502, "upstream.redirects")


def test_a_member_that_does_not_know_the_hub_does_not_make_the_caller_s_token_look_wrong(made: HandMade) -> None:
    _, call = call_of(made)
    with pytest.raises(Refusal) as raised:
        came(call, "Content-Length: 0", status="401 Unauthorized")
    assert (raised.value.status, raised.value.code) == (503, "cluster.account_refused")
    _, proxied = call_of(made, "/api/v1/namespaces/x/services/s/proxy/")
    assert came(proxied, "X-App: 1", status="401 Unauthorized")[0] == ("X-App", "1")
