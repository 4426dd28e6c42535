"""What is learned of users between two logins: here by refresh tokens; in tests/keycloak by a real Keycloak."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import transaction
from django.utils import timezone

from hub.core.access import SYSTEM
from hub.identity.actors import actor_of
from hub.identity.keycloak import Credentials, KeycloakRealm, KeycloakUnavailable, split_issuer
from hub.identity.models import ExternalIdentity, Group, IdentityProvider, Session
from hub.identity.oidc.external_users import finish_login
from hub.identity.oidc.flow import redeem_code
from hub.identity.oidc.sign_on import begin_sign_on, take_sign_on
from hub.identity.provider_sync import REFRESH_AFTER, ProviderSync, apply_groups, lose_user
from hub.identity.providers import ProviderSettings, create_provider, settings_of, update_provider
from hub.identity.sessions import start_session
from hub.identity.tokens import authenticate_token, issue_token
from tests.bed.https_server import Asked, HttpsServer, Reply
from tests.bed.scripted_provider import ScriptedProvider
from tests.hub.identity.scripted_providers import make_provider

pytestmark = pytest.mark.django_db


def log_in(scripted: ScriptedProvider, provider: IdentityProvider, subject: str = "alice-id", **claims: Any) -> Session:
    """A login without a browser's pages."""
    answer = scripted.authorize(begin_sign_on(provider, "browser", "/"), subject, **claims)
    query = {name: values[0] for name, values in parse_qs(urlsplit(answer).query).items()}
    row = take_sign_on(query["state"], "browser", provider.name)
    tokens = redeem_code(provider, query["code"], nonce=row.nonce, code_verifier=row.code_verifier)
    with transaction.atomic():
        user, identity = finish_login(provider, tokens)
        session, _ = start_session(user, identity=identity, peer="192.0.2.7", user_agent="test")
    return session


def age(identity: ExternalIdentity | None) -> None:
    """As if the groups had been told long ago."""
    assert identity is not None
    ExternalIdentity.objects.filter(pk=identity.pk).update(groups_confirmed_at=timezone.now() - 2 * REFRESH_AFTER)


def groups(identity: ExternalIdentity | None) -> set[str]:
    assert identity is not None
    return set(identity.memberships.values_list("group__key", flat=True))


class TestRefresh:
    def test_sec49_groups_follow_the_refreshed_token(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider, groups=["/a"])
        age(session.identity)
        scripted.claims = {"groups": ["/b"]}
        assert ProviderSync().run_once() == 1
        assert groups(session.identity) == {"/b"}
        provider.refresh_from_db()
        assert (provider.sync_error, provider.synced_at is not None) == ("", True)

    def test_each_refresh_token_is_used_once(self, scripted: ScriptedProvider, provider: IdentityProvider) -> None:
        session = log_in(scripted, provider)
        for _ in range(3):
            age(session.identity)
            assert ProviderSync().run_once() == 1
        session.refresh_from_db()
        assert session.ended_at is None

    def test_who_was_told_of_lately_is_not_asked_for(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        log_in(scripted, provider)
        assert ProviderSync().run_once() == 0

    def test_who_has_nothing_open_is_not_asked_for(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider)
        age(session.identity)
        Session.objects.update(ended_at=timezone.now())
        assert ProviderSync().run_once() == 0

    def test_sec46_a_login_that_is_over_there_is_over_here(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider)
        _, derived = issue_token(actor_of(session.user), session.user, name="x", session=session)
        age(session.identity)
        scripted.refresh_error = "invalid_grant"
        ProviderSync().run_once()
        session.refresh_from_db()
        assert session.end_reason == "provider_session_over"
        assert authenticate_token(derived) is None
        assert not ExternalIdentity.objects.get().refresh_token

    @pytest.mark.parametrize("error", ["invalid_client", "server_error"])
    def test_a_fault_of_the_provider_ends_nobodys_session(
        self, scripted: ScriptedProvider, provider: IdentityProvider, error: str
    ) -> None:
        session = log_in(scripted, provider)
        age(session.identity)
        scripted.refresh_error = error
        assert ProviderSync().run_once() == 0
        session.refresh_from_db()
        provider.refresh_from_db()
        assert session.ended_at is None
        assert provider.sync_error

    def test_a_provider_that_is_down_ends_nobodys_session(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider)
        age(session.identity)
        scripted.broken = True
        ProviderSync().run_once()
        session.refresh_from_db()
        assert session.ended_at is None

    def test_sec52_a_refreshed_token_of_somebody_else_changes_nothing(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider, groups=["/a"])
        age(session.identity)
        scripted.claims = {"sub": "mallory", "groups": ["/admins"]}
        ProviderSync().run_once()
        assert groups(session.identity) == {"/a"}
        assert not Group.objects.filter(key="/admins").exists()

    def test_a_disabled_provider_is_not_asked(self, scripted: ScriptedProvider, provider: IdentityProvider) -> None:
        log_in(scripted, provider)
        before = len(scripted.asked)
        update_provider(SYSTEM, provider, settings_of(provider), is_enabled=False)
        assert ProviderSync().run_once() == 0
        assert len(scripted.asked) == before


class TestWhatFollows:
    def test_sec46_a_lost_user_has_no_session_no_token_and_no_groups_that_count(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider, groups=["/a"])
        _, text = issue_token(actor_of(session.user), session.user, name="mine")
        identity = ExternalIdentity.objects.get()
        lose_user(identity)
        lose_user(identity)  # the next round sees him again
        session.refresh_from_db()
        identity.refresh_from_db()
        assert session.end_reason == "disabled_at_provider"
        assert authenticate_token(text) is None
        assert identity.disabled_at is not None

    def test_the_next_login_makes_him_known_again(self, scripted: ScriptedProvider, provider: IdentityProvider) -> None:
        log_in(scripted, provider)
        lose_user(ExternalIdentity.objects.get())
        log_in(scripted, provider)
        assert ExternalIdentity.objects.get().disabled_at is None

    def test_who_leaves_the_allowed_groups_is_out(self, scripted: ScriptedProvider) -> None:
        restricted = make_provider(scripted, access_mode="restricted", allowed_groups=("/staff",))
        session = log_in(scripted, restricted, groups=["/staff"])
        apply_groups(ExternalIdentity.objects.get(), frozenset({"/staff", "/more"}))
        session.refresh_from_db()
        assert session.ended_at is None
        apply_groups(ExternalIdentity.objects.get(), frozenset({"/more"}))
        session.refresh_from_db()
        assert session.end_reason == "not_in_allowed_group"

    def test_groups_that_stay_the_same_write_nothing(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        log_in(scripted, provider, groups=["/a"])
        identity = ExternalIdentity.objects.get()
        apply_groups(identity, frozenset({"/a"}))
        after = ExternalIdentity.objects.get()
        assert (after.version, after.groups_confirmed_at) == (identity.version, identity.groups_confirmed_at)


class TestKeycloak:
    """Answers that no Keycloak gives, and those of one that is not ready."""

    @pytest.fixture(autouse=True)
    def _loopback(self, loopback: None) -> None:
        pass

    def ask(self, answer: Any) -> str:
        with HttpsServer(answer) as server:
            realm = KeycloakRealm(f"{server.url}/realms/r", Credentials("sync", "secret"), ca_pem=server.ca_pem)
            with realm, pytest.raises(KeycloakUnavailable) as failed:
                realm.search_groups("x")
        return failed.value.reason

    @pytest.mark.parametrize(
        "answer",
        [
            lambda asked: Reply({}, 500),
            lambda asked: Reply(b"<html>", 200),
            lambda asked: Reply([1, 2], 200),
            lambda asked: Reply({"error": "x"}, 401),
            lambda asked: Reply({"access_token": "x"}) if asked.path.endswith("/token") else Reply([{"no": "id"}]),
            lambda asked: Reply({"access_token": "x"}) if asked.path.endswith("/token") else Reply({"error": "x"}, 403),
            lambda asked: Reply(b"x" * 5_000_000),
        ],
        ids=["error", "page", "list", "unauthorized", "odd-group", "forbidden", "huge"],
    )
    def test_a_bad_answer_is_one_error_that_tells_nothing_of_it(self, answer: Any) -> None:
        reason = self.ask(answer)
        assert reason
        assert "html" not in reason

    def test_sec58_a_redirect_is_not_followed_and_a_denied_address_not_asked(self) -> None:
        def lead_away(asked: Asked) -> Reply:
            return Reply(status=302, headers={"Location": "https://169.254.169.254/"})

        assert self.ask(lead_away)
        realm = KeycloakRealm("https://169.254.169.254/realms/r", Credentials("sync", "secret"))
        with realm, pytest.raises(KeycloakUnavailable, match="not allowed"):
            realm.search_users("x")

    @pytest.mark.parametrize(
        "issuer", ["https://x.test", "https://x.test/realms/", "https://x.test/realms/a/b", "/realms/x"]
    )
    def test_another_issuer_is_none_of_keycloaks(self, issuer: str) -> None:
        with pytest.raises(ValueError, match="realms"):
            split_issuer(issuer)

    def test_one_that_cannot_be_asked_says_so_and_others_are_asked(
        self, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        session = log_in(scripted, provider)
        age(session.identity)
        dead = ProviderSettings(name="dead", kind="keycloak", issuer="https://127.0.0.1:9/realms/r", client_id="c")
        create_provider(SYSTEM, dead, is_enabled=True)
        assert ProviderSync().run_once() == 1
        assert "reached" in IdentityProvider.objects.get(name="dead").sync_error
