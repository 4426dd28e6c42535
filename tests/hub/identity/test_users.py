"""Local users: names, passwords, and logging in by one."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, TokenScope
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.identity import login_limits
from hub.identity.actors import actor_of
from hub.identity.logins import authenticate_password, complete_login
from hub.identity.models import LoginFailures, LoginMethod, User
from hub.identity.passwords import check_fitness, generate_password, hash_password, is_password
from hub.identity.services import create_user, set_display_name, set_password
from tests.hub.builders import unique

GOOD = "correct horse battery staple"
PEER = "192.0.2.7"


@pytest.mark.usefixtures("db")
class TestAccounts:
    def test_a_new_user_is_there_with_his_audit_event(self) -> None:
        user = create_user(SYSTEM, "maria.k", password=GOOD, display_name="Maria")
        assert User.objects.get(username="maria.k").display_name == "Maria"
        event = AuditEvent.objects.get(object_id=user.pk)
        assert (event.verb, event.resource, event.object_name, event.actor_kind) == (
            "create",
            "users",
            "maria.k",
            "system",
        )

    @pytest.mark.parametrize(
        "name", ["", "Maria", "maria k", "-maria", "maria:x", "system:masters\n", "mária", "a" * 65, "maria,bob", "a/b"]
    )
    def test_sec16_a_name_that_could_be_read_in_two_ways_is_refused(self, name: str) -> None:
        with pytest.raises(HubError) as refused:
            create_user(SYSTEM, name)
        assert (refused.value.code, refused.value.pointer) == ("user.name_invalid", "/username")
        assert not User.objects.exists()

    def test_a_name_is_given_once(self) -> None:
        create_user(SYSTEM, "maria")
        with pytest.raises(HubError) as refused:
            create_user(SYSTEM, "maria")
        assert refused.value.code == "user.name_taken"
        assert User.objects.count() == 1

    def test_a_password_that_another_has_set_must_be_changed(self) -> None:
        user = create_user(SYSTEM, "maria", password=GOOD)
        set_password(SYSTEM, user, GOOD + "!")
        assert User.objects.get(pk=user.pk).must_change_password
        set_password(actor_of(user), user, GOOD + "?")
        assert not User.objects.get(pk=user.pk).must_change_password

    def test_sec03_the_audit_trail_knows_that_a_password_changed_and_not_which(self) -> None:
        user = create_user(SYSTEM, "maria", password=GOOD)
        set_password(actor_of(user), user, "another long enough one")
        event = AuditEvent.objects.filter(verb="update", object_id=user.pk).get()
        assert event.changes == {"password": ["***", "***"]}

    @pytest.mark.parametrize("scope", [TokenScope(read_only=True), TokenScope(verbs=frozenset({"update"}))])
    def test_sec32_an_actor_with_a_narrowed_token_sets_no_password(self, scope: TokenScope) -> None:
        user = create_user(SYSTEM, "maria", password=GOOD)
        with pytest.raises(HubError, match=r"token\.scope_too_wide"):
            set_password(replace(actor_of(user), token_scope=scope), user, GOOD + "!")
        set_password(replace(actor_of(user), token_scope=TokenScope()), user, GOOD + "?")
        assert authenticate_password("maria", GOOD + "?", peer=PEER) == user

    def test_a_display_name_changes_for_who_has_read_the_user_as_he_is(self) -> None:
        user = create_user(SYSTEM, "maria")
        set_display_name(SYSTEM, user, "Maria", expected_version=1)
        with pytest.raises(StaleVersion):
            set_display_name(SYSTEM, user, "Mary", expected_version=1)
        assert User.objects.get(pk=user.pk).display_name == "Maria"
        assert AuditEvent.objects.get(verb="update", object_id=user.pk).changes == {"display_name": ["", "Maria"]}


class TestFitness:
    @pytest.mark.parametrize(
        ("password", "problem"),
        [
            ("sh0rt-1", "too_short"),
            ("1234567890123", "all_digits"),
            ("manchesterunited", "too_common"),
            ("x" * 257, "too_long"),
            ("this is maria, hello", "is_name"),
        ],
    )
    def test_a_bad_password_is_refused_with_its_problem(self, password: str, problem: str) -> None:
        with pytest.raises(HubError) as refused:
            check_fitness(password, "maria")
        assert problem in refused.value.params["problems"]
        assert password not in str(refused.value)

    def test_a_generated_password_is_fit_and_never_the_same(self) -> None:
        passwords = {generate_password() for _ in range(20)}
        assert len(passwords) == 20
        for password in passwords:
            check_fitness(password, "admin")

    def test_no_password_matches_an_account_without_one(self) -> None:
        assert not is_password("", "")
        assert not is_password("anything", None)
        assert is_password(GOOD, hash_password(GOOD))

    def test_passwords_are_kept_as_salted_argon2(self) -> None:
        first, second = hash_password(GOOD), hash_password(GOOD)
        assert first.startswith("argon2$argon2id$")
        assert first != second


@pytest.fixture
def maria(transactional_db: None) -> User:
    return create_user(SYSTEM, "maria", password=GOOD)


class TestLoggingIn:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each attempt costs an Argon2 hash, good or not."""
        monkeypatch.setattr(login_limits, "PAIR_LIMIT", 2)

    def test_the_right_password_gives_the_user(self, maria: User) -> None:
        assert authenticate_password("maria", GOOD, peer=PEER) == maria

    @pytest.mark.parametrize(("name", "password"), [("maria", "wrong"), ("nobody", GOOD), ("maria", ""), ("", "")])
    def test_anything_else_gives_nobody(self, maria: User, name: str, password: str) -> None:
        assert authenticate_password(name, password, peer=PEER) is None

    def test_a_disabled_user_does_not_get_in(self, maria: User) -> None:
        User.objects.update(is_active=False)
        assert authenticate_password("maria", GOOD, peer=PEER) is None

    def test_good_and_failed_logins_are_in_the_audit_trail(self, maria: User) -> None:
        authenticate_password("maria", "wrong", peer=PEER)
        found = authenticate_password("maria", GOOD, peer=PEER)
        assert found is not None
        complete_login(found, LoginMethod.PASSWORD)
        events = AuditEvent.objects.filter(verb="login", object_id=maria.pk).order_by("at")
        assert [event.outcome for event in events] == ["denied", "succeeded"]

    def test_sec03_what_was_typed_as_an_unknown_name_is_not_in_the_audit_trail(self, maria: User) -> None:
        authenticate_password("a-password-in-the-wrong-field", "x", peer=PEER)
        event = AuditEvent.objects.get(verb="login")
        assert (event.actor_kind, event.actor_name, event.object_name, event.outcome) == ("anonymous", "", "", "denied")

    def test_sec56_an_unknown_user_takes_as_long_as_a_wrong_password(self, maria: User) -> None:
        is_password("warm up", None)

        def seconds(name: str, attempt: int) -> float:
            began = time.perf_counter()
            authenticate_password(name, "wrong", peer=f"198.51.100.{attempt}")
            return time.perf_counter() - began

        known = min(seconds("maria", attempt) for attempt in range(3))
        unknown = min(seconds("nobody", attempt) for attempt in range(3))
        assert unknown > known * 0.5

    def test_sec56_after_some_failures_even_the_right_password_has_to_wait(self, maria: User) -> None:
        for _ in range(login_limits.PAIR_LIMIT):
            assert authenticate_password("maria", "wrong", peer=PEER) is None
        with pytest.raises(HubError) as refused:
            authenticate_password("maria", GOOD, peer=PEER)
        assert refused.value.code == "login.throttled"
        assert 0 < refused.value.params["retry_after"] <= login_limits.WINDOW_SECONDS

    def test_sec56_an_unknown_account_is_braked_the_same_way(self, maria: User) -> None:
        for _ in range(login_limits.PAIR_LIMIT):
            authenticate_password("nobody", "wrong", peer=PEER)
        with pytest.raises(HubError, match=r"login\.throttled"):
            authenticate_password("nobody", "wrong", peer=PEER)

    def test_the_owner_gets_in_from_elsewhere_meanwhile(self, maria: User) -> None:
        for _ in range(login_limits.PAIR_LIMIT):
            authenticate_password("maria", "wrong", peer=PEER)
        assert authenticate_password("maria", GOOD, peer="203.0.113.9") == maria

    def test_a_good_login_forgets_the_failures_before_it(self, maria: User) -> None:
        for _ in range(3):
            for _ in range(login_limits.PAIR_LIMIT - 1):
                authenticate_password("maria", "wrong", peer=PEER)
            assert authenticate_password("maria", GOOD, peer=PEER) == maria


@pytest.mark.usefixtures("transactional_db")
class TestBrakes:
    def test_sec56_one_peer_trying_many_accounts_is_braked(self) -> None:
        for number in range(login_limits.PEER_LIMIT):
            login_limits.count_attempt(f"user{number}", PEER)
        with pytest.raises(HubError, match=r"login\.throttled"):
            login_limits.count_attempt("another", PEER)
        login_limits.count_attempt("another", "203.0.113.9")

    def test_sec56_many_peers_trying_one_account_are_braked(self) -> None:
        for number in range(login_limits.ACCOUNT_LIMIT):
            login_limits.count_attempt("maria", f"peer{number}")
        with pytest.raises(HubError, match=r"login\.throttled"):
            login_limits.count_attempt("maria", "yet another")

    def test_the_case_of_the_name_makes_no_new_account(self) -> None:
        for name in ("maria", "Maria", "MARIA", "mAria", "marIa"):
            login_limits.count_attempt(name, PEER)
        with pytest.raises(HubError, match=r"login\.throttled"):
            login_limits.count_attempt("mariA", PEER)

    def test_an_ended_window_starts_afresh(self) -> None:
        for _ in range(login_limits.PAIR_LIMIT):
            login_limits.count_attempt("maria", PEER)
        LoginFailures.objects.update(window_ends_at=Now() - timedelta(seconds=1))
        login_limits.count_attempt("maria", PEER)
        assert set(LoginFailures.objects.values_list("failures", flat=True)) == {1}

    def test_what_was_typed_as_a_name_is_not_kept(self) -> None:
        typed = unique("a-password-in-the-wrong-field")
        login_limits.count_attempt(typed, PEER)
        assert not LoginFailures.objects.filter(bucket__contains=typed[:10]).exists()
