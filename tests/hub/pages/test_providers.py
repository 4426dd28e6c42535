"""Logging in by a provider that does what no honest one does; and being logged out by it (SEC-47, 49 to 55, FLT-36)."""

import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.identity.actors import actor_of
from hub.identity.models import ExternalIdentity, Group, IdentityProvider, Session, SignOn, User
from hub.identity.oidc import provider_cache
from hub.identity.providers import delete_provider, settings_of, update_provider
from hub.identity.sessions import COOKIE, end_sessions
from hub.identity.tokens import authenticate_token, issue_token
from tests.bed.scripted_provider import ScriptedProvider, SigningKey
from tests.hub.identity.scripted_providers import make_provider
from tests.hub.pages.browser import Browser, Page

pytestmark = pytest.mark.django_db


def begin(browser: Browser, name: str = "sso", return_to: str = "/account") -> str:
    """Where the hub sends the browser."""
    return browser.get(f"/login/{name}?{urlencode({'return_to': return_to})}").target


def come_back(browser: Browser, address: str) -> Page:
    """The browser follows the provider's answer."""
    parts = urlsplit(address)
    return browser.get(f"{parts.path}?{parts.query}")


def log_in(browser: Browser, scripted: ScriptedProvider, subject: str = "alice-id", **changes: Any) -> Page:
    return come_back(browser, scripted.authorize(begin(browser), subject, **changes))


def is_logged_in(browser: Browser) -> bool:
    return browser.get("/account").status == 200


class TestLogin:
    def test_it_leads_to_a_user_a_session_and_on(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        page = come_back(
            browser, scripted.authorize(begin(browser, return_to="/device"), email="a@x.org", email_verified=True)
        )
        assert page.target == "/device"
        session = Session.objects.select_related("user", "identity").get()
        assert (session.user.username, session.user.display_name, session.user.email) == ("alice", "Alice", "a@x.org")
        assert session.identity is not None
        assert (session.identity.issuer, session.identity.subject) == (scripted.issuer, "alice-id")
        assert (session.provider_session_id, session.method) == ("sid-alice-id", "provider")
        assert is_logged_in(browser)

    def test_the_provider_is_asked_by_code_with_pkce_and_its_own_redirect_uri(
        self, provider: IdentityProvider, browser: Browser
    ) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(begin(browser)).query).items()}
        assert asked["redirect_uri"] == "https://testserver/login/sso/callback"
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert asked["scope"].split() == ["openid", "profile", "email"]
        assert len(asked["nonce"]) >= 32
        assert len(asked["state"]) >= 32
        row = SignOn.objects.get()
        assert asked["state"].encode() not in bytes(row.pk)
        assert "client_secret" not in asked

    def test_the_second_login_is_the_same_user(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        first = Session.objects.get()
        log_in(browser, scripted, name="Alice B.")
        assert User.objects.get().display_name == "Alice B."
        first.refresh_from_db()
        assert first.end_reason == "replaced"
        assert Session.objects.filter(ended_at=None).count() == 1

    def test_sec51_a_name_and_an_address_link_to_nobody(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, anna: User
    ) -> None:
        User.objects.filter(pk=anna.pk).update(email="anna@example.com")
        log_in(
            browser, scripted, "x-id", preferred_username=anna.username, email="anna@example.com", email_verified=True
        )
        made = ExternalIdentity.objects.get().user
        assert made != anna
        assert made.username == f"{anna.username}@sso"

    @pytest.mark.parametrize("verified", ["true", "false", 1, 0, None, [True], {}], ids=repr)
    def test_sec51_an_address_counts_as_verified_only_by_jsons_true(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, verified: Any
    ) -> None:
        log_in(browser, scripted, email="alice@example.com", email_verified=verified)
        assert User.objects.get().email == ""

    def test_sec51_one_subject_at_two_providers_is_two_users(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        with ScriptedProvider() as other:
            make_provider(other, "other")
            second = Browser()
            come_back(second, other.authorize(begin(second, "other")))
        assert is_logged_in(browser)
        assert is_logged_in(second)
        assert set(User.objects.values_list("username", flat=True)) == {"alice", "alice@other"}

    @pytest.mark.parametrize(
        ("claimed", "username"),
        [
            ("system:masters", "system-masters"),
            ("Ünal Köse", "nal-k-se"),
            ("../admin", "admin"),
            ("a" * 300, "a" * 64),
            ("", "s-1"),
            (["root"], "s-1"),
        ],
        ids=["reserved", "letters", "path", "long", "empty", "list"],
    )
    def test_names_become_plain_ones(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, claimed: Any, username: str
    ) -> None:
        log_in(browser, scripted, "s-1", preferred_username=claimed)
        assert User.objects.get().username == username

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/%5cevil",
            "/x\r\nSet-Cookie: a=b",
            "javascript:1",
        ],
    )
    def test_sec55_nobody_is_led_elsewhere(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, target: str
    ) -> None:
        page = come_back(browser, scripted.authorize(begin(browser, return_to=target)))
        assert page.target == "/account"

    def test_a_disabled_user_does_not_come_in(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        User.objects.update(is_active=False)
        other = Browser()
        assert log_in(other, scripted).status == 403
        assert not is_logged_in(other)


class TestGroups:
    def groups(self) -> set[str]:
        return set(ExternalIdentity.objects.get().memberships.values_list("group__key", flat=True))

    def test_they_are_replaced_at_each_login(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted, groups=["/a", "/b"])
        assert self.groups() == {"/a", "/b"}
        log_in(browser, scripted, groups=["/b", "/c"])
        assert self.groups() == {"/b", "/c"}
        log_in(browser, scripted)
        assert self.groups() == set()

    @pytest.mark.parametrize(
        "claimed",
        [
            None, "/admins", {"/admins": True}, 7, [7], [["/admins"]], ["admins"], ["/"], [""], [" /admins"], ["/admins "],
            ["/ad\nmins"], ["/" + "x" * 500], ["system:masters"], ["/system:masters"], ["/SYSTEM:masters"],
            [f"/g{number}" for number in range(1001)],
        ],
        ids=[
            "absent", "text", "object", "number", "list-of-numbers", "nested", "name-without-path", "root", "empty",
            "blank-before", "blank-after", "line-break", "long", "reserved", "reserved-as-path", "reserved-shouted", "too-many",
        ],
    )  # fmt: skip
    def test_sec50_an_odd_claim_is_no_groups(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, claimed: Any
    ) -> None:
        log_in(browser, scripted, groups=claimed)
        assert self.groups() == set()
        assert not Group.objects.exists()

    @pytest.mark.parametrize(
        "overage", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": True}], ids=["claim-names", "hasgroups"]
    )
    def test_sec50_too_many_groups_to_tell_are_none_and_not_all(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, overage: dict[str, Any]
    ) -> None:
        log_in(browser, scripted, groups=["/a"], **overage)
        assert self.groups() == set()

    def test_sec50_paths_are_matched_whole(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted, groups=["/team/admins-not", "/x/team/admins", "/Team/admins"])
        assert "/team/admins" not in self.groups()

    def test_a_provider_that_tells_ids_has_groups_without_slash(
        self, scripted: ScriptedProvider, browser: Browser
    ) -> None:
        make_provider(scripted, group_key="id")
        log_in(browser, scripted, groups=["2b1c", "system:x"])
        assert self.groups() == {"2b1c"}

    @pytest.mark.parametrize(
        ("groups", "status"), [(["/staff"], 303), (["/staff/x"], 403), (["/Staff"], 403), (None, 403), ("/staff", 403)],
        ids=["in-it", "below-it", "other-case", "absent", "text"],
    )  # fmt: skip
    def test_a_restricted_provider_lets_in_who_is_in_an_allowed_group(
        self, scripted: ScriptedProvider, browser: Browser, groups: Any, status: int
    ) -> None:
        make_provider(scripted, access_mode="restricted", allowed_groups=("/staff",))
        assert log_in(browser, scripted, groups=groups).status == status
        assert User.objects.count() == (1 if status == 303 else 0)


class TestGames:
    def test_sec54_an_answer_counts_only_in_the_browser_that_began(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        """Login CSRF: somebody's own answer, put before a victim's browser."""
        answer = scripted.authorize(begin(Browser()), "attacker-id")
        assert come_back(browser, answer).status == 400
        assert not is_logged_in(browser)
        victim = Browser()
        begin(victim)
        assert come_back(victim, answer).status == 400
        assert not Session.objects.exists()

    def test_sec54_an_answer_counts_once_and_its_repetition_ends_the_session(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        answer = scripted.authorize(begin(browser))
        assert come_back(browser, answer).status == 303
        assert is_logged_in(browser)
        assert come_back(Browser(), answer).status == 400
        assert Session.objects.get().end_reason == "sign_on_repeated"
        assert not is_logged_in(browser)

    def test_sec54_a_code_of_another_login_does_not_fit_the_verifier(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        stolen = parse_qs(urlsplit(scripted.authorize(begin(Browser()), "victim-id")).query)["code"][0]
        own = scripted.authorize(begin(browser))
        forged = own.replace(parse_qs(urlsplit(own).query)["code"][0], stolen)
        assert come_back(browser, forged).status == 403
        assert not Session.objects.exists()

    def test_sec54_a_provider_that_ignores_pkce_still_cannot_inject_a_code(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        """The nonce of the token is that of the login in which it was asked for."""
        victim = begin(Browser())
        own = begin(browser)
        answer = scripted.authorize(own, "victim-id", nonce=parse_qs(urlsplit(victim).query)["nonce"][0])
        assert come_back(browser, answer).status == 403

    def test_sec54_a_late_answer_is_none(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        answer = scripted.authorize(begin(browser))
        SignOn.objects.update(expires_at="2020-01-01T00:00:00Z")
        assert come_back(browser, answer).status == 400

    @pytest.mark.parametrize(
        "state", ["", "x", "a" * 5000, "\x00", "é"], ids=["empty", "short", "long", "zero", "letters"]
    )
    def test_sec54_a_made_up_state_is_none(self, provider: IdentityProvider, browser: Browser, state: str) -> None:
        begin(browser)
        assert browser.get(f"/login/sso/callback?{urlencode({'code': 'x', 'state': state})}").status == 400

    def test_sec54_an_answer_by_another_providers_address_is_none(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        """Mix-up: the honest provider's code is to be shown to the dishonest one."""
        with ScriptedProvider() as evil:
            make_provider(evil, "evil")
            answer = scripted.authorize(begin(browser)).replace("/login/sso/", "/login/evil/")
            assert come_back(browser, answer).status == 400
            assert evil.count("/token") == 0

    @pytest.mark.parametrize("named", ["https://evil.example", "", None], ids=["another", "empty", "none"])
    def test_sec54_an_answer_names_its_issuer(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, named: str | None
    ) -> None:
        parts = urlsplit(scripted.authorize(begin(browser)))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        del query["iss"]
        if named is not None:
            query["iss"] = named
        assert browser.get(f"{parts.path}?{urlencode(query)}").status == 403
        assert scripted.count("/token") == 0

    def test_a_login_that_was_refused_there_is_refused_here(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        state = parse_qs(urlsplit(begin(browser)).query)["state"][0]
        query = urlencode({"error": "access_denied", "state": state, "iss": scripted.issuer, "code": "x"})
        assert browser.get(f"/login/sso/callback?{query}").status == 403
        assert scripted.count("/token") == 0

    @pytest.mark.parametrize(
        "changes",
        [
            {"nonce": "other"}, {"nonce": None}, {"aud": "other"}, {"iss": "https://evil.example"}, {"exp": 1},
            {"sub": None}, {"azp": "other"}, {"events": {}}, {"typ": "Bearer"}, {"iat": 4_000_000_000},
        ],
        ids=["nonce", "no-nonce", "aud", "iss", "exp", "sub", "azp", "logout-token", "access-token", "iat"],
    )  # fmt: skip
    def test_sec52_a_bad_token_opens_nothing_and_is_on_record(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, changes: dict[str, Any]
    ) -> None:
        assert log_in(browser, scripted, **changes).status == 403
        assert not Session.objects.exists()
        assert not User.objects.exists()
        event = AuditEvent.objects.get(verb="login")
        assert (event.outcome, event.object_id) == ("denied", provider.pk)

    def test_sec52_a_token_signed_by_somebody_else_opens_nothing(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        scripted.key = SigningKey(kid=scripted.key.kid)
        assert log_in(browser, scripted).status == 403


class TestOutage:
    def test_flt36_a_rotated_key_is_no_outage(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        scripted.rotate()
        assert log_in(browser, scripted).status == 303
        assert scripted.count("/jwks") == 2

    def test_flt36_unknown_key_ids_are_no_load_on_the_provider(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        stranger = SigningKey()
        for _ in range(20):
            token = stranger.token(scripted.logout_claims())
            assert (
                browser.client.post("/logout/sso/backchannel", {"logout_token": token}, secure=True).status_code == 400
            )
        assert scripted.count("/jwks") <= provider_cache.FETCHES

    def test_flt36_while_the_provider_is_down_sessions_go_on_and_logins_fail_clearly(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        scripted.broken = True
        provider_cache.forget_providers()
        assert is_logged_in(browser)
        page = Browser().get("/login/sso")
        assert page.status == 503
        assert "does not answer" in page.text
        assert page.response["Retry-After"]
        scripted.broken = False
        assert log_in(Browser(), scripted).status == 303

    def test_flt36_metadata_and_keys_are_remembered_while_the_provider_is_down(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log_in(browser, scripted)
        scripted.broken = True
        moment = time.monotonic()
        monkeypatch.setattr(provider_cache, "clock", lambda: moment + provider_cache.FRESH_SECONDS + 1)
        assert urlsplit(begin(Browser())).path == "/authorize"
        monkeypatch.setattr(provider_cache, "clock", lambda: moment + provider_cache.STALE_SECONDS + 300)
        assert Browser().get("/login/sso").status == 503

    @pytest.mark.parametrize(
        "metadata",
        [
            {"issuer": "https://evil.example"},
            {"token_endpoint": "http://127.0.0.1/token"},
            {"jwks_uri": "file:///etc/passwd"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"authorization_endpoint": None},
            {"token_endpoint": "https://user:pw@127.0.0.1/token"},
            {"code_challenge_methods_supported": ["plain"]},
            {"response_types_supported": ["token"]},
            {"id_token_signing_alg_values_supported": ["HS256", "none"]},
        ],
        ids=["issuer", "http", "file", "script", "missing", "userinfo", "no-pkce", "no-code", "no-algorithm"],
    )
    def test_sec58_metadata_that_leads_elsewhere_is_refused(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, metadata: dict[str, Any]
    ) -> None:
        scripted.metadata = metadata
        assert browser.get("/login/sso").status == 503

    def test_sec58_an_endpoint_at_a_denied_address_is_not_asked(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        scripted.metadata = {"token_endpoint": "https://169.254.169.254/token"}
        assert log_in(browser, scripted).status == 503


class TestLogout:
    def test_sec47_the_browser_goes_on_to_the_provider(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        cookie = browser.cookie(COOKIE)
        page = browser.submit(browser.get("/account"), "/logout")
        assert page.target == "/logout"
        refresh = browser.get("/logout").response["Refresh"]
        target = urlsplit(refresh.removeprefix("0; url="))
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        assert f"{target.scheme}://{target.netloc}{target.path}" == f"{scripted.issuer}/logout"
        assert query["post_logout_redirect_uri"] == "https://testserver/logout"
        assert query["id_token_hint"].count(".") == 2
        assert "Refresh" not in browser.get("/logout").response  # once
        browser.client.cookies[COOKIE] = cookie
        assert not is_logged_in(browser)

    def test_a_local_logout_leads_nowhere(self, logged_in: Browser) -> None:
        logged_in.submit(logged_in.get("/account"), "/logout")
        assert "Refresh" not in logged_in.get("/logout").response

    def test_flt36_logging_out_works_while_the_provider_is_down(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        scripted.broken = True
        provider_cache.forget_providers()
        browser.submit(browser.get("/account"), "/logout")
        assert browser.get("/logout").status == 200
        assert not is_logged_in(browser)

    def post(self, token: str, name: str = "sso") -> int:
        return Browser().client.post(f"/logout/{name}/backchannel", {"logout_token": token}, secure=True).status_code

    def test_sec47_the_back_channel_ends_the_session_and_what_was_derived_from_it(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        session = Session.objects.select_related("user").get()
        _, text = issue_token(actor_of(session.user), session.user, name="derived", session=session)
        assert self.post(scripted.key.token(scripted.logout_claims())) == 200
        assert not is_logged_in(browser)
        assert authenticate_token(text) is None
        session.refresh_from_db()
        assert session.end_reason == "provider_logout"

    def test_a_sid_ends_that_login_and_a_sub_all_of_them(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        second, stranger = Browser(), Browser()
        log_in(browser, scripted, sid="one")
        log_in(second, scripted, sid="two")
        log_in(stranger, scripted, "bob-id", sid="three")
        assert self.post(scripted.key.token(scripted.logout_claims(sid="one", sub=None))) == 200
        assert [is_logged_in(one) for one in (browser, second, stranger)] == [False, True, True]
        assert self.post(scripted.key.token(scripted.logout_claims(sid="three"))) == 200  # of alice there is no such
        assert is_logged_in(stranger)
        assert self.post(scripted.key.token(scripted.logout_claims(sid=None))) == 200
        assert [is_logged_in(one) for one in (second, stranger)] == [False, True]

    def test_sec53_a_logout_token_is_taken_once(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        token = scripted.key.token(scripted.logout_claims())
        assert self.post(token) == 200
        log_in(browser, scripted)
        assert self.post(token) == 400
        assert is_logged_in(browser)

    def test_sec53_tokens_of_other_kinds_log_nobody_out(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        bad = [
            scripted.key.token(scripted.id_claims()),
            scripted.key.token(scripted.logout_claims(events=None)),
            scripted.key.token(scripted.logout_claims(nonce="x")),
            scripted.key.token(scripted.logout_claims(aud="other")),
            SigningKey(kid=scripted.key.kid).token(scripted.logout_claims()),
            "",
            "x.y.z",
        ]
        assert [self.post(token) for token in bad] == [400] * len(bad)
        assert is_logged_in(browser)

    def test_sec53_one_providers_token_logs_nobody_out_of_another(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        with ScriptedProvider() as evil:
            make_provider(evil, "evil")
            assert self.post(evil.key.token(evil.logout_claims()), "evil") == 200
            assert self.post(evil.key.token(evil.logout_claims(iss=scripted.issuer)), "sso") == 400
        assert is_logged_in(browser)
        assert self.post("x", "nobody") == 404

    def test_the_back_channel_is_posted_to_and_nothing_else(self, provider: IdentityProvider, browser: Browser) -> None:
        assert browser.get("/logout/sso/backchannel").status == 405


class TestLossOfTheProvider:
    @pytest.mark.parametrize("how", ["disabled", "deleted"])
    def test_sec46_who_loses_his_provider_is_out_at_once(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser, how: str
    ) -> None:
        log_in(browser, scripted)
        user = User.objects.get()
        _, text = issue_token(actor_of(user), user, name="mine")
        assert authenticate_token(text) is not None
        if how == "deleted":
            delete_provider(SYSTEM, provider)
        else:
            update_provider(SYSTEM, provider, settings_of(provider), is_enabled=False)
        assert authenticate_token(text) is None
        assert not is_logged_in(browser)
        assert browser.get("/login/sso").status == 404
        assert "sso" not in browser.get("/login").text

    def test_sec46_a_login_under_way_does_not_come_in_any_more(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        answer = scripted.authorize(begin(browser))
        update_provider(SYSTEM, provider, settings_of(provider), is_enabled=False)
        assert come_back(browser, answer).status == 403
        assert not Session.objects.exists()

    def test_sec47_killed_sessions_are_dead_for_their_cookie(
        self, scripted: ScriptedProvider, provider: IdentityProvider, browser: Browser
    ) -> None:
        log_in(browser, scripted)
        end_sessions(SYSTEM, Session.objects.all(), "killed")
        assert not is_logged_in(browser)
