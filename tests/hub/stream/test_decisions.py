"""Who is let in, as a pure function: rights built by hand, heads as they are parsed."""

from __future__ import annotations

import datetime
from uuid import UUID

import pytest

from hub.access.grants import FULL_SCOPE, BindingFact
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.federation.rights import cluster_group, project_group
from hub.stream.answers import Refusal
from hub.stream.decisions import Ask, Call, NotLetIn, decide, read_ask, still_allowed
from kube.relay.heads import RequestHead, parse_request_head, render_request_head
from tests.bed.pki import Authority
from tests.hub.stream.conftest import HandMade, at, bearer

NOW = datetime.datetime.now(datetime.UTC)
ADMIN = BindingFact("hub-admin", "hub")


@pytest.fixture
def made(authority: Authority) -> HandMade:
    return HandMade(authority)


def head(method: str, path: str, *lines: str) -> RequestHead:
    headers = [
        ("Host", "hub.test:8443"),
        *((name, value) for name, _, value in (line.partition(": ") for line in lines)),
    ]
    return parse_request_head(render_request_head(method, path, headers))


def ask(method: str, path: str, *lines: str, token: str = "") -> Ask:
    return read_ask(head(method, path, *bearer(token), *lines))


def let_in(made: HandMade, token: str, cluster: UUID, method: str = "GET", path: str = "/api/v1/pods") -> Call:
    return decide(made.snapshot(), ask(method, at(cluster, path), token=token), NOW)


def refused(made: HandMade, token: str, cluster: UUID, method: str = "GET", path: str = "/api/v1/pods") -> Refusal:
    with pytest.raises(Refusal) as raised:
        let_in(made, token, cluster, method, path)
    return raised.value


def test_a_caller_gets_the_groups_that_his_bindings_give_him_now(made: HandMade) -> None:
    tenant, project, other = uuid7(), uuid7(), uuid7()
    own = made.cluster(tenant_id=tenant)
    shared = made.cluster(projects={project: tenant, other: uuid7()})
    owner = made.user("owner", BindingFact("tenant-owner", "tenant", tenant))
    viewer = made.user("viewer", BindingFact("project-viewer", "project", project))
    admin = made.user("admin")
    assert let_in(made, owner, own).groups == (cluster_group(own, "cluster-admin"),)
    assert let_in(made, owner, shared).groups == (project_group(project, "tenant-owner"),)
    assert let_in(made, viewer, shared).groups == (project_group(project, "project-viewer"),)
    assert let_in(made, admin, shared).groups == (cluster_group(shared, "cluster-admin"),)
    call = let_in(made, owner, own)
    assert (call.tenant_id, call.principal.impersonated_user) == (tenant, "paddock:user:owner")


@pytest.mark.parametrize("wrong", ["", "nonsense", "pdk_short_x", "{}x", "x{}"])
def test_a_token_that_is_none_is_refused(made: HandMade, wrong: str) -> None:
    cluster, token = made.cluster(), made.user()
    answer = refused(made, wrong.replace("{}", token), cluster)
    assert (answer.status, answer.code) == (401, "request.unauthenticated")


def test_a_token_with_another_secret_or_an_expired_one_is_refused(made: HandMade) -> None:
    cluster, token = made.cluster(), made.user()
    forged = token[:-4] + ("aaaa" if not token.endswith("aaaa") else "bbbb")
    expired = made.user("late", lifetime=datetime.timedelta(hours=-1))
    assert [refused(made, text, cluster).status for text in (forged, expired)] == [401, 401]


@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization: Basic {}"],
        ["Authorization: {}"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer {}, Bearer {}"],
        ["Authorization: Bearer {}", "Authorization: Bearer {}"],
        ["Authorization: Bearer {}", "authorization: Basic x"],
        ["X-Authorization: Bearer {}"],
        ["Cookie: token={}"],
    ],
)
def test_sec16_a_token_counts_as_one_bearer_header_and_nowhere_else(made: HandMade, lines: list[str]) -> None:
    cluster, token = made.cluster(), made.user()
    asked = ask("GET", at(cluster), *[line.replace("{}", token) for line in lines])
    with pytest.raises(NotLetIn) as raised:
        decide(made.snapshot(), asked, NOW)
    assert raised.value.status == 401


def test_the_scheme_is_read_in_any_case(made: HandMade) -> None:
    cluster, token = made.cluster(), made.user()
    assert decide(made.snapshot(), ask("GET", at(cluster), f"aUTHORIZATION: bEARER   {token}"), NOW).groups


def test_sec17_a_token_for_one_cluster_opens_no_other(made: HandMade) -> None:
    a, b = made.cluster(), made.cluster()
    token = made.user("maria", ADMIN, scope=TokenScope(clusters=frozenset({a})))
    assert let_in(made, token, a).groups
    answer = refused(made, token, b)
    assert (answer.status, answer.code) == (404, "object.not_found")


def test_sec40_a_foreign_cluster_and_none_are_refused_in_the_same_words(made: HandMade) -> None:
    foreign, missing = made.cluster(tenant_id=uuid7()), uuid7()
    token = made.user("maria", BindingFact("tenant-owner", "tenant", uuid7()))
    answers = [refused(made, token, cluster) for cluster in (foreign, missing)]
    assert len({(answer.status, answer.code, answer.message) for answer in answers}) == 1


def test_sec26_without_rights_that_are_known_now_nobody_is_let_in(made: HandMade) -> None:
    cluster, token = made.cluster(), made.user()
    with pytest.raises(Refusal) as raised:
        decide(None, ask("GET", at(cluster), token=token), NOW)
    assert (raised.value.status, raised.value.code) == (503, "hub.unavailable")


WRITES = [
    ("POST", "/api/v1/namespaces/x/pods"),
    ("PUT", "/api/v1/namespaces/x/pods/p"),
    ("PATCH", "/api/v1/namespaces/x/pods/p"),
    ("DELETE", "/api/v1/namespaces/x/pods/p"),
    ("DELETE", "/api/v1/pods"),
    ("OPTIONS", "/api/v1/pods"),
    ("POST", "/api/v1/namespaces/x/serviceaccounts/a/token"),
    ("POST", "/api/v1/namespaces/x/pods/p/exec"),
    ("GET", "/api/v1/namespaces/x/pods/p/exec"),
    ("GET", "/api/v1/namespaces/x/pods/p/attach"),
    ("GET", "/api/v1/namespaces/x/pods/p/portforward"),
    ("GET", "/api/v1/namespaces/x/services/s/proxy/delete-all"),
    ("HEAD", "/api/v1/nodes/n/proxy/run"),
    ("GET", "/api/v1/proxy/nodes/n"),
    ("POST", "/api/v1/watch/pods"),
    ("GET", "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachineinstances/v/vnc"),
    ("GET", "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachineinstances/v/console"),
    ("PUT", "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachines/v/start"),
]
READS = [
    ("GET", "/api/v1/namespaces/x/pods"),
    ("GET", "/api/v1/namespaces/x/pods?watch=1"),
    ("HEAD", "/api/v1/namespaces/x/pods/p"),
    ("GET", "/api/v1/namespaces/x/pods/p/log?follow=true"),
    ("GET", "/api/v1/namespaces/x/pods/p/status"),
    ("GET", "/version"),
    ("GET", "/apis"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_sec39_a_read_only_token_changes_nothing_and_opens_no_session(made: HandMade, method: str, path: str) -> None:
    cluster = made.cluster()
    reader = made.user("maria", ADMIN, scope=TokenScope(read_only=True))
    answer = refused(made, reader, cluster, method, path)
    assert (answer.status, answer.code) == (403, "request.denied")
    assert let_in(made, made.user("root"), cluster, method, path).ask.changes


@pytest.mark.parametrize(("method", "path"), READS)
def test_a_read_only_token_reads_as_a_viewer(made: HandMade, method: str, path: str) -> None:
    cluster = made.cluster()
    reader = made.user("maria", ADMIN, scope=TokenScope(read_only=True))
    call = let_in(made, reader, cluster, method, path)
    assert (call.groups, call.ask.changes) == ((cluster_group(cluster, "cluster-viewer"),), False)


UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")


def test_sec22_an_upgrade_of_what_is_no_watch_opens_a_session(made: HandMade) -> None:
    cluster = made.cluster()
    assert ask("GET", at(cluster, "/api/v1/namespaces/x/pods/p/log"), *UPGRADE).changes
    assert ask("GET", at(cluster, "/apis/g.io/v1/namespaces/x/things/t/shell"), *UPGRADE).changes
    assert not ask("GET", at(cluster, "/api/v1/pods?watch=1"), *UPGRADE).changes
    reader = made.user("maria", ADMIN, scope=TokenScope(read_only=True))
    with pytest.raises(NotLetIn) as raised:
        decide(made.snapshot(), ask("GET", at(cluster, "/apis/g.io/v1/things/t/shell"), *UPGRADE, token=reader), NOW)
    assert raised.value.code == "request.denied"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("/", "/"),
        ("?limit=1", "/?limit=1"),
        ("/?", "/?"),
        ("/api/v1/pods?x=%2F..%2f&y=//", "/api/v1/pods?x=%2F..%2f&y=//"),
        ("/api/v1/pods?a?b", "/api/v1/pods?a?b"),
        ("/api/v1/pods/", "/api/v1/pods/"),
        ("/k8s/clusters/x", "/k8s/clusters/x"),
    ],
)
def test_sec21_the_target_is_what_follows_the_prefix_byte_for_byte(path: str, target: str) -> None:
    asked = ask("GET", f"/k8s/clusters/{uuid7()}{path}")
    assert asked.target == target
    assert asked.attributes.path == target.partition("?")[0]


CLUSTER = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/k8s/", 404),
        ("/k8s/clusters", 404),
        ("/k8s/clusters/", 404),
        ("/k8s/clusters/local/api", 404),
        (f"/k8s/clusters/{CLUSTER.upper()}/api", 404),
        (f"/k8s/clusters/{CLUSTER}x/api", 404),
        (f"/k8s/clusters/{CLUSTER}%2fapi", 404),
        (f"/k8s/clusters/{{{CLUSTER}}}/api", 404),
        (f"/k8s/clusters/{CLUSTER.replace('-', '')}/api", 404),
        (f"/k8s//clusters/{CLUSTER}/api", 404),
        (f"/k8s/clusters/../clusters/{CLUSTER}/api", 404),
        (f"/k8s/clusters/{CLUSTER}/../{CLUSTER}/api", 400),
        (f"/k8s/clusters/{CLUSTER}//api", 400),
        (f"/k8s/clusters/{CLUSTER}/api/%2e%2e/x", 400),
        (f"/k8s/clusters/{CLUSTER}/api/v1/pods%2f..", 400),
        (f"/k8s/clusters/{CLUSTER}/api\\..", 400),
    ],
)
def test_sec21_a_path_cannot_leave_the_prefix_of_its_cluster(path: str, status: int) -> None:
    with pytest.raises(Refusal) as raised:
        ask("GET", path)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "query",
    ["access_token=x", "a=b&token=x", "Authorization=x", "a=pdk_abcdefghijkl_secret", "x&PDK_=1"],
)
def test_sec11_a_token_in_the_query_is_refused(query: str) -> None:
    with pytest.raises(Refusal) as raised:
        ask("GET", f"/k8s/clusters/{CLUSTER}/api/v1/pods?{query}")
    assert raised.value.code == "request.token_in_query"


def test_sec11_a_token_in_a_subprotocol_is_refused() -> None:
    line = "Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.cGRrX2E"
    with pytest.raises(Refusal) as raised:
        ask("GET", f"/k8s/clusters/{CLUSTER}/api/v1/namespaces/x/pods/p/exec", *UPGRADE, line)
    assert raised.value.code == "request.token_in_subprotocol"


@pytest.mark.parametrize(
    "name", ["Impersonate-User", "impersonate-group", "IMPERSONATE-UID", "Impersonate-Extra-a%2fb"]
)
def test_sec14_who_asks_to_act_as_another_is_refused_and_not_misunderstood(name: str) -> None:
    with pytest.raises(Refusal) as raised:
        ask("GET", f"/k8s/clusters/{CLUSTER}/api", f"{name}: root")
    assert (raised.value.status, raised.value.code) == (403, "request.impersonates")


@pytest.mark.parametrize(
    ("origins", "fine"),
    [
        ([], True),
        (["https://hub.test:8443"], True),
        (["HTTPS://HUB.test:8443"], True),
        (["https://hub.test"], False),
        (["http://hub.test:8443"], False),
        (["https://hub.test:8443.evil.example"], False),
        (["https://evil.example"], False),
        (["null"], False),
        ([""], False),
        (["https://hub.test:8443", "https://evil.example"], False),
    ],
)
def test_sec71_a_page_of_another_origin_opens_no_socket(origins: list[str], fine: bool) -> None:
    path = f"/k8s/clusters/{CLUSTER}/api/v1/namespaces/x/pods/p/exec"
    lines = [f"Origin: {origin}" for origin in origins]
    assert ask("GET", path, *lines).cluster_id  # only sockets are opened by pages without being asked
    if fine:
        assert ask("GET", path, *UPGRADE, *lines).opens_session
        return
    with pytest.raises(Refusal) as raised:
        ask("GET", path, *UPGRADE, *lines)
    assert raised.value.code == "request.origin_foreign"


class TestWhatIsOpen:
    def test_stays_while_nothing_changes_or_rights_are_added(self, made: HandMade) -> None:
        cluster, token = made.cluster(), made.user("maria", BindingFact("tenant-owner", "tenant", uuid7()), ADMIN)
        call = let_in(made, token, cluster)
        assert still_allowed(made.snapshot(), call, NOW)
        made.bindings[call.principal.user_id] += (BindingFact("tenant-owner", "tenant", uuid7()),)
        assert still_allowed(made.snapshot(), call, NOW)

    def test_sec48_ends_with_the_token_the_binding_the_cluster_or_the_rights_themselves(self, made: HandMade) -> None:
        cluster, token = made.cluster(), made.user()
        call = let_in(made, token, cluster)
        good = made.snapshot()
        assert not still_allowed(None, call, NOW)
        assert not still_allowed(good, call, call.principal.expires_at)
        made.bindings[call.principal.user_id] = ()
        assert not still_allowed(made.snapshot(), call, NOW)
        made.bindings[call.principal.user_id] = (ADMIN,)
        del made.clusters[cluster]
        assert not still_allowed(made.snapshot(), call, NOW)
        made.clusters[cluster] = good.clusters[cluster]
        made.revoke(token)
        assert not still_allowed(made.snapshot(), call, NOW)

    def test_sec48_ends_when_an_administrator_becomes_a_viewer(self, made: HandMade) -> None:
        tenant = uuid7()
        cluster = made.cluster(tenant_id=tenant)
        call = let_in(made, made.user("maria", BindingFact("tenant-owner", "tenant", tenant)), cluster)
        made.bindings[call.principal.user_id] = (BindingFact("project-viewer", "tenant", tenant),)
        assert not still_allowed(made.snapshot(), call, NOW)

    def test_full_scope_is_what_tokens_have_that_are_not_narrowed(self, made: HandMade) -> None:
        cluster, token = made.cluster(), made.user()
        assert let_in(made, token, cluster).principal.scope == FULL_SCOPE
