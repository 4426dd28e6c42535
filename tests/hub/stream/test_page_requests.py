"""A session's cookie at the proxy: what a page of the hub may do with it, and a page of anybody else may not."""

from __future__ import annotations

import datetime
from uuid import UUID

import pytest

from hub.access.grants import BindingFact
from hub.core.ids import uuid7
from hub.federation.rights import cluster_group
from hub.identity.sessions import COOKIE, csrf_token
from hub.stream.answers import Refusal
from hub.stream.decisions import Ask, Call, decide, read_ask, still_allowed
from kube.relay.heads import RequestHead, parse_request_head, render_request_head
from tests.bed.pki import Authority
from tests.hub.stream.conftest import HandMade, RunningHub, at, cookie
from tests.hub.stream.raw_client import render
from tests.hub.stream.recording_api import RecordingApi, echo, watch

HOST = "hub.test:8443"
OWN = f"Origin: https://{HOST}"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
EXEC = "/api/v1/namespaces/x/pods/p/exec"
PODS = "/api/v1/namespaces/x/pods"
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def made(authority: Authority) -> HandMade:
    return HandMade(authority)


@pytest.fixture
def cluster(made: HandMade) -> UUID:
    return made.cluster()


@pytest.fixture
def session(made: HandMade) -> str:
    return made.session("maria")


def head(method: str, path: str, *lines: str) -> RequestHead:
    headers = [("Host", HOST), *((name, value) for name, _, value in (line.partition(": ") for line in lines))]
    return parse_request_head(render_request_head(method, path, headers))


def proof(session: str) -> str:
    return f"X-CSRF-Token: {csrf_token(session)}"


def let_in(made: HandMade, method: str, path: str, *lines: str) -> Call:
    return decide(made.snapshot(), read_ask(head(method, path, *lines)), NOW)


def refused(made: HandMade, method: str, path: str, *lines: str) -> str:
    with pytest.raises(Refusal) as raised:
        let_in(made, method, path, *lines)
    return raised.value.code


def test_a_page_of_the_hub_reads_with_the_rights_of_its_user(made: HandMade, cluster: UUID, session: str) -> None:
    call = let_in(made, "GET", at(cluster), cookie(session))
    assert call.groups == (cluster_group(cluster, "cluster-admin"),)
    assert (call.principal.impersonated_user, call.principal.token_id) == ("paddock:user:maria", None)
    assert call.principal.session_id is not None
    others = f"Cookie: theme=dark; {COOKIE}={session}; a=b"
    assert let_in(made, "GET", at(cluster), others).principal == call.principal
    assert let_in(made, "GET", at(cluster), "Cookie: theme=dark", cookie(session)).principal == call.principal


def test_sec40_a_session_reaches_only_what_its_user_may(made: HandMade, cluster: UUID) -> None:
    stranger = made.session("olga", BindingFact("tenant-owner", "tenant", uuid7()))
    assert refused(made, "GET", at(cluster), cookie(stranger)) == "object.not_found"
    assert refused(made, "GET", at(uuid7()), cookie(stranger)) == "object.not_found"


@pytest.mark.parametrize("text", ["", "nonsense", "pds_short_x", "{}x", "pdk{}", "{token}"])
def test_a_cookie_that_is_none_of_a_live_session_is_nobody_s(
    made: HandMade, cluster: UUID, session: str, text: str
) -> None:
    wrong = text.replace("{token}", made.user()).replace("pdk{}", "pdk" + session[3:]).replace("{}", session)
    assert refused(made, "GET", at(cluster), cookie(wrong)) == "request.unauthenticated"


def test_sec52_a_session_is_no_token_and_ends_with_its_time(made: HandMade, cluster: UUID, session: str) -> None:
    assert refused(made, "GET", at(cluster), f"Authorization: Bearer {session}") == "request.unauthenticated"
    late = made.session("late", lifetime=datetime.timedelta(hours=-1))
    assert refused(made, "GET", at(cluster), cookie(late)) == "request.unauthenticated"


@pytest.mark.parametrize("authorization", ["Bearer {}", "Bearer", "Basic eDp5", ""])
def test_sec16_a_session_beside_a_token_is_refused(
    made: HandMade, cluster: UUID, session: str, authorization: str
) -> None:
    line = f"Authorization: {authorization.replace('{}', made.user())}"
    assert refused(made, "GET", at(cluster), cookie(session), line) == "request.two_identities"


def test_sec16_two_sessions_are_refused(made: HandMade, cluster: UUID, session: str) -> None:
    two = f"Cookie: {COOKIE}={session}; {COOKIE}={made.session()}"
    assert refused(made, "GET", at(cluster), two) == "request.two_identities"
    assert refused(made, "GET", at(cluster), cookie(session), cookie(session)) == "request.two_identities"


@pytest.mark.parametrize("name", ["paddock", "__host-paddock", "__Secure-paddock", "Host-paddock", "__Host-paddockx"])
def test_a_cookie_of_another_name_is_no_session(made: HandMade, cluster: UUID, session: str, name: str) -> None:
    """The prefix is what keeps another host, and plain HTTP, from setting it; it counts in this spelling only."""
    assert refused(made, "GET", at(cluster), f"Cookie: {name}={session}") == "request.unauthenticated"


class TestWhatChanges:
    METHODS = [("POST", PODS), ("PUT", f"{PODS}/p"), ("PATCH", f"{PODS}/p"), ("DELETE", f"{PODS}/p"), ("OPTIONS", PODS)]

    @pytest.mark.parametrize(("method", "path"), METHODS)
    def test_sec71_needs_the_own_origin_and_the_session_s_proof(
        self, made: HandMade, cluster: UUID, session: str, method: str, path: str
    ) -> None:
        target = at(cluster, path)
        assert let_in(made, method, target, cookie(session), OWN, proof(session)).ask.changes
        same = "Sec-Fetch-Site: same-origin"
        assert let_in(made, method, target, cookie(session), OWN, proof(session), same).ask.changes
        assert refused(made, method, target, cookie(session), proof(session)) == "request.origin_foreign"
        assert refused(made, method, target, cookie(session), OWN) == "session.csrf"

    @pytest.mark.parametrize(
        "wrong", ["", "x", "{}x", "{other}", "{}\r\nX-CSRF-Token: {}", "{session}", "{upper}", "{}, {}"]
    )
    def test_sec71_another_proof_is_none(self, made: HandMade, cluster: UUID, session: str, wrong: str) -> None:
        own = csrf_token(session)
        text = wrong.replace("{other}", csrf_token(made.session())).replace("{session}", session)
        lines = f"X-CSRF-Token: {text.replace('{upper}', own.upper()).replace('{}', own)}".split("\r\n")
        assert refused(made, "POST", at(cluster), cookie(session), OWN, *lines) == "session.csrf"

    @pytest.mark.parametrize(
        "lines",
        [
            ["Origin: https://hub.test"],
            ["Origin: http://hub.test:8443"],
            ["Origin: https://evil.example"],
            ["Origin: https://hub.test:8443.evil.example"],
            ["Origin: https://evil.hub.test:8443"],
            ["Origin: null"],
            ["Origin: "],
            [OWN, OWN],
            [OWN, "Origin: https://evil.example"],
            [OWN, "Sec-Fetch-Site: cross-site"],
            [OWN, "Sec-Fetch-Site: same-site"],
            [OWN, "Sec-Fetch-Site: none"],
            [OWN, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
            ["Referer: https://hub.test:8443/"],
        ],
    )
    def test_sec71_a_page_of_another_origin_changes_nothing_even_with_the_proof(
        self, made: HandMade, cluster: UUID, session: str, lines: list[str]
    ) -> None:
        code = refused(made, "POST", at(cluster), cookie(session), proof(session), *lines)
        assert code == "request.origin_foreign"

    def test_sec71_a_link_into_a_workload_is_no_mere_read(self, made: HandMade, cluster: UUID, session: str) -> None:
        """A GET that a workload answers may do anything; a page gives the proof, a link or an image cannot."""
        target = at(cluster, "/api/v1/namespaces/x/services/s/proxy/delete-all")
        assert refused(made, "GET", target, cookie(session)) == "session.csrf"
        assert refused(made, "GET", target, cookie(session), "Sec-Fetch-Site: none") == "request.origin_foreign"
        assert let_in(made, "GET", target, cookie(session), proof(session)).ask.opens_session


class TestWhatOnlyReads:
    @pytest.mark.parametrize("site", ["same-origin", "none", "SAME-ORIGIN"])
    def test_a_page_of_the_hub_and_the_user_himself_read(
        self, made: HandMade, cluster: UUID, session: str, site: str
    ) -> None:
        assert let_in(made, "GET", at(cluster), cookie(session), f"Sec-Fetch-Site: {site}").groups

    @pytest.mark.parametrize(
        "line",
        [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "Sec-Fetch-Site: x",
            "Origin: https://evil.example",
        ],
    )
    def test_sec71_a_page_of_another_site_does_not(
        self, made: HandMade, cluster: UUID, session: str, line: str
    ) -> None:
        assert refused(made, "GET", at(cluster), cookie(session), line) == "request.origin_foreign"

    def test_programs_are_not_held_to_what_browsers_say(self, made: HandMade, cluster: UUID) -> None:
        bearer = f"Authorization: Bearer {made.user()}"
        assert let_in(made, "GET", at(cluster), bearer, "Sec-Fetch-Site: cross-site").groups
        assert let_in(made, "POST", at(cluster), bearer).ask.changes


class TestSockets:
    @pytest.mark.parametrize("path", [EXEC, f"{PODS}?watch=1"])
    def test_sec71_a_socket_needs_the_own_origin(self, made: HandMade, cluster: UUID, session: str, path: str) -> None:
        target = at(cluster, path)
        assert let_in(made, "GET", target, *UPGRADE, cookie(session), OWN).groups
        for lines in ([], ["Origin: https://evil.example"], ["Origin: null"], [OWN, OWN]):
            assert refused(made, "GET", target, *UPGRADE, cookie(session), *lines) == "request.origin_foreign"
        assert refused(made, "GET", target, *UPGRADE, cookie(session), OWN, "Sec-Fetch-Site: cross-site") == (
            "request.origin_foreign"
        )

    def test_sec71_a_program_with_a_token_needs_none(self, made: HandMade, cluster: UUID) -> None:
        assert let_in(made, "GET", at(cluster, EXEC), *UPGRADE, f"Authorization: Bearer {made.user()}").groups


class TestWhatIsOpen:
    def open(self, made: HandMade, cluster: UUID, session: str) -> Call:
        return let_in(made, "GET", at(cluster, f"{PODS}?watch=1"), cookie(session))

    def test_sec48_it_ends_with_the_session(self, made: HandMade, cluster: UUID, session: str) -> None:
        call = self.open(made, cluster, session)
        assert still_allowed(made.snapshot(), call, NOW)
        assert not still_allowed(made.snapshot(), call, call.principal.expires_at)
        made.revoke(session)
        assert not still_allowed(made.snapshot(), call, NOW)

    def test_sec48_it_ends_with_a_role_that_was_given_for_a_time(self, made: HandMade) -> None:
        tenant, later = uuid7(), NOW + datetime.timedelta(minutes=5)
        cluster = made.cluster(tenant_id=tenant)
        session = made.session("maria", BindingFact("tenant-owner", "tenant", tenant, later))
        call = self.open(made, cluster, session)
        snapshot = made.snapshot()
        assert still_allowed(snapshot, call, later - datetime.timedelta(seconds=1))
        assert not still_allowed(snapshot, call, later)


def test_sec11_a_session_in_the_query_is_refused(made: HandMade, cluster: UUID, session: str) -> None:
    assert refused(made, "GET", at(cluster, f"{PODS}?x={session}"), cookie(session)) == "request.token_in_query"


def test_an_ask_says_by_what_it_comes(made: HandMade, cluster: UUID, session: str) -> None:
    def ask(*lines: str) -> Ask:
        return read_ask(head("GET", at(cluster), *lines))

    token = made.user()
    assert ask(cookie(session)).key_id == session.split("_")[1]
    assert ask(f"Authorization: Bearer {token}").key_id == token.split("_")[1]
    assert [ask(*lines).key_id for lines in ([], [cookie("x")], [cookie(token)])] == [None, None, None]


class TestOnTheWire:
    """Through the running server, with a member behind it."""

    ORIGIN = "Origin: https://hub.test"

    def lines(self, session: str) -> list[str]:
        return [cookie(session), self.ORIGIN, proof(session)]

    def test_sec28_neither_cookie_nor_proof_reaches_the_member(self, hub: RunningHub, api: RecordingApi) -> None:
        cluster, session = hub.rights.cluster(api.url), hub.rights.session("maria")
        assert hub.ask("POST", at(cluster), *self.lines(session), body=b"{}").status == 200
        (seen,) = api.requests
        assert seen.all("impersonate-user") == ["paddock:user:maria"]
        sent = {name.lower() for name, _ in seen.headers}
        assert not sent & {"cookie", "x-csrf-token", "origin", "referer"}
        assert session.encode() not in b"".join(api.received)

    def test_what_a_page_changed_is_recorded_with_its_session(self, hub: RunningHub, api: RecordingApi) -> None:
        cluster, session = hub.rights.cluster(api.url), hub.rights.session("maria")
        assert hub.ask("POST", at(cluster), *self.lines(session), body=b"{}").status == 200
        (entry,) = hub.rights.audited
        assert entry.actor is not None
        principal = hub.rights.sessions[session.split("_")[1]].principal
        assert (entry.actor.session_id, entry.actor.token_id) == (principal.session_id, None)

    def test_sec71_nothing_leaves_for_a_member_without_the_proof(self, hub: RunningHub, api: RecordingApi) -> None:
        cluster, session = hub.rights.cluster(api.url), hub.rights.session("maria")
        answer = hub.ask("DELETE", at(cluster, f"{PODS}/p"), cookie(session), self.ORIGIN)
        assert (answer.status, answer.code) == (403, "session.csrf")
        assert api.requests == []

    def test_sec48_a_watch_and_a_socket_end_when_the_session_does(self, hub: RunningHub, api: RecordingApi) -> None:
        cluster, session = hub.rights.cluster(api.url), hub.rights.session("maria")
        api.will(watch(b"e\n"), echo("websocket"))
        with hub.client() as watching, hub.client() as talking:
            watching.send(render("GET", at(cluster, f"{PODS}?watch=1"), cookie(session)))
            assert watching.head().status == 200
            assert watching.chunk() == b"e\n"
            talking.send(render("GET", at(cluster, EXEC), *UPGRADE, *self.lines(session)))
            assert talking.head().status == 101
            hub.rights.revoke(session)
            watching.ended()
            talking.ended()
            assert api.wait_for_ends(2) < 5.0
        assert hub.ask("GET", at(cluster), cookie(session)).status == 401
