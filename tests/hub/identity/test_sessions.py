"""Sessions: begun, recognised, and ended."""

import datetime

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.core.errors import HubError
from hub.identity.actors import actor_of
from hub.identity.models import ApiToken, LoginMethod, Session, User, UserKind
from hub.identity.querysets import SessionQuerySet
from hub.identity.services import delete_user, end_access, set_password
from hub.identity.sessions import (
    KEPT_AFTER_END,
    authenticate_session,
    check_csrf,
    check_origin,
    csrf_token,
    delete_ended_sessions,
    end_lapsed_sessions,
    end_session,
    end_sessions,
    idle_limit,
    start_session,
)
from hub.identity.tokens import authenticate_token, issue_token
from tests.hub.builders import make_user

PEER = "192.0.2.7"
SECOND = datetime.timedelta(seconds=1)
GOOD = "correct horse battery staple"


@pytest.fixture
def maria(db: None) -> User:
    return make_user("maria")


def begin(user: User) -> tuple[Session, str]:
    return start_session(user, peer=PEER, user_agent="Firefox")


def age(session: Session, **columns: datetime.timedelta) -> None:
    """Moves moments of the session into the past."""
    now = timezone.now()
    Session.objects.filter(pk=session.pk).update(**{name: now - by for name, by in columns.items()})


def test_a_login_is_a_session_whose_cookie_is_recognised(maria: User) -> None:
    session, text = begin(maria)
    found = authenticate_session(text)
    assert found is not None
    actor, recognised = found
    assert (actor.kind, actor.id, actor.session_id, actor.token_id) == ("user", maria.pk, session.pk, None)
    assert recognised == session
    assert session.expires_at - session.created_at == pytest.approx(
        datetime.timedelta(hours=environment().session_hours), abs=SECOND
    )


def test_sec03_a_login_is_in_the_trail_without_its_cookie(maria: User) -> None:
    session, text = begin(maria)
    event = AuditEvent.objects.get(verb="login")
    assert (event.object_id, event.session_id, event.detail) == (maria.pk, session.pk, {"method": "password"})
    maria.refresh_from_db()
    assert maria.last_login_at is not None
    end_session(actor_of(maria), session, "logged_out")
    assert text.rpartition("_")[2] not in str([vars(event) for event in AuditEvent.objects.all()])


def test_sec54_each_login_has_another_key_and_the_secret_is_nowhere(maria: User) -> None:
    (first, first_text), (second, second_text) = begin(maria), begin(maria)
    assert first.key_id != second.key_id
    assert first_text != second_text
    for session, text in ((first, first_text), (second, second_text)):
        secret = text.rpartition("_")[2]
        assert secret.encode() not in bytes(session.secret_hash)
        assert secret not in str(vars(session))


@pytest.mark.parametrize(
    "change",
    [lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"), lambda text: text.replace("pds", "pdk"), str.upper],
)
def test_a_cookie_that_is_wrong_in_any_way_is_nobodys(maria: User, change: object) -> None:
    _, text = begin(maria)
    assert callable(change)
    assert authenticate_session(change(text)) is None
    assert authenticate_session("") is None


def test_a_token_is_no_cookie_and_a_cookie_no_token(maria: User) -> None:
    _, token = issue_token(SYSTEM, maria, name="x")
    _, cookie = begin(maria)
    assert authenticate_session(token) is None
    assert authenticate_token(cookie) is None


@pytest.mark.parametrize("column", ["expires_at", "last_seen_at", "ended_at"])
def test_a_session_that_is_over_opens_nothing(maria: User, column: str) -> None:
    session, text = begin(maria)
    age(session, **{column: idle_limit() + SECOND})
    assert authenticate_session(text) is None


def test_a_session_that_is_used_stays_and_is_written_at_most_once_a_minute(maria: User) -> None:
    session, text = begin(maria)
    for unseen, written in ((datetime.timedelta(seconds=30), False), (datetime.timedelta(seconds=90), True)):
        age(session, last_seen_at=unseen)
        before = Session.objects.get(pk=session.pk).last_seen_at
        assert authenticate_session(text) is not None
        assert (Session.objects.get(pk=session.pk).last_seen_at > before) is written


def test_use_does_not_move_the_absolute_end(maria: User) -> None:
    session, text = begin(maria)
    age(session, last_seen_at=datetime.timedelta(minutes=5))
    assert authenticate_session(text) is not None
    assert Session.objects.get(pk=session.pk).expires_at == session.expires_at


@pytest.mark.parametrize("column", [{"is_active": False}, {"kind": UserKind.SERVICE_ACCOUNT}])
def test_who_cannot_log_in_gets_no_session(maria: User, column: dict[str, object]) -> None:
    User.objects.filter(pk=maria.pk).update(**column)
    maria.refresh_from_db()
    with pytest.raises(HubError, match=r"request\.denied"):
        begin(maria)
    assert not Session.objects.exists()


def test_a_disabled_users_session_opens_nothing(maria: User) -> None:
    _, text = begin(maria)
    User.objects.filter(pk=maria.pk).update(is_active=False)
    assert authenticate_session(text) is None


def test_sec47_an_ended_session_takes_its_tokens_along_and_its_cookie_is_worth_nothing(maria: User) -> None:
    session, text = begin(maria)
    _, derived = issue_token(actor_of(maria, session=session), maria, name="derived", session=session)
    _, other = issue_token(SYSTEM, maria, name="other")
    assert authenticate_token(derived) is not None
    end_session(actor_of(maria), session, "logged_out")
    assert authenticate_session(text) is None
    assert authenticate_token(derived) is None
    assert authenticate_token(other) is not None


def test_an_end_is_told_once(maria: User) -> None:
    session, _ = begin(maria)
    assert end_sessions(SYSTEM, all_of(maria), "first") == 1
    assert end_sessions(SYSTEM, all_of(maria), "second") == 0
    session.refresh_from_db()
    assert session.end_reason == "first"
    assert AuditEvent.objects.filter(verb="delete", resource="sessions").count() == 1


def test_the_job_ends_what_is_idle_or_expired_and_nothing_else(maria: User) -> None:
    idle, expired, fresh = (begin(maria)[0] for _ in range(3))
    age(idle, last_seen_at=idle_limit() + SECOND)
    age(expired, expires_at=SECOND)
    assert end_lapsed_sessions() == 2
    assert end_lapsed_sessions() == 0
    reasons = {row.pk: row.end_reason for row in Session.objects.all()}
    assert reasons == {idle.pk: "idle", expired.pk: "expired", fresh.pk: ""}


def test_sessions_that_ended_long_ago_are_deleted_with_their_dead_tokens(maria: User) -> None:
    old, recent, open_one = (begin(maria)[0] for _ in range(3))
    issue_token(SYSTEM, maria, name="derived", session=old)
    age(old, ended_at=KEPT_AFTER_END + SECOND)
    age(recent, ended_at=SECOND)
    assert delete_ended_sessions() == 1
    assert set(Session.objects.all()) == {recent, open_one}
    assert not ApiToken.objects.exists()


def test_a_new_password_ends_the_other_sessions_and_by_another_hand_the_tokens_too(maria: User) -> None:
    (own, own_text), (_, other_text) = begin(maria), begin(maria)
    _, token = issue_token(SYSTEM, maria, name="x")
    set_password(actor_of(maria, session=own), maria, GOOD)
    assert authenticate_session(own_text) is not None
    assert authenticate_session(other_text) is None
    assert authenticate_token(token) is not None
    set_password(SYSTEM, maria, GOOD + "!")
    assert authenticate_session(own_text) is None
    assert authenticate_token(token) is None


def test_who_must_change_his_password_is_recognised_by_his_session_and_by_no_token(maria: User) -> None:
    _, token = issue_token(SYSTEM, maria, name="x")
    User.objects.filter(pk=maria.pk).update(must_change_password=True)
    _, text = begin(maria)
    found = authenticate_session(text)
    assert found is not None
    assert found[1].user.must_change_password
    assert authenticate_token(token) is None


def test_ending_all_access_ends_sessions_and_tokens(maria: User) -> None:
    _, text = begin(maria)
    _, token = issue_token(SYSTEM, maria, name="x")
    end_access(SYSTEM, maria, "ended_by_other")
    assert authenticate_session(text) is None
    assert authenticate_token(token) is None


def test_a_deleted_user_leaves_nothing_that_opens(maria: User) -> None:
    _, text = begin(maria)
    _, token = issue_token(SYSTEM, maria, name="x")
    delete_user(SYSTEM, maria)
    assert not User.objects.filter(username=maria.username).exists()
    assert authenticate_session(text) is None
    assert authenticate_token(token) is None


def test_a_link_is_told_as_what_it_is(maria: User) -> None:
    session, _ = start_session(maria, method=LoginMethod.LINK, peer=PEER, user_agent="x" * 500)
    assert (session.method, len(session.user_agent)) == ("link", 300)


def test_sec71_the_csrf_token_belongs_to_one_session_and_does_not_tell_it(maria: User) -> None:
    (_, first), (_, second) = begin(maria), begin(maria)
    check_csrf(first, csrf_token(first))
    assert first.rpartition("_")[2] not in csrf_token(first)
    for offered in ("", csrf_token(second), csrf_token(first)[:-1], "é"):
        with pytest.raises(HubError, match=r"session\.csrf"):
            check_csrf(first, offered)


@pytest.mark.parametrize(
    ("origin", "site"),
    [(None, None), ("https://hub.test:8443", None), ("https://HUB.test:8443", "same-origin"), (None, "none")],
)
def test_sec71_a_page_of_the_hub_is_let_through(origin: str | None, site: str | None) -> None:
    check_origin(origin, site, "hub.test:8443")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://hub.test", None),
        ("http://hub.test:8443", None),
        ("https://hub.test:8443.evil.test", None),
        ("https://evil.test", "same-origin"),
        ("null", None),
        ("", None),
        (None, "cross-site"),
        (None, "same-site"),
        ("https://hub.test:8443", "cross-site"),
    ],
)
def test_sec71_a_page_of_another_origin_is_not(origin: str | None, site: str | None) -> None:
    with pytest.raises(HubError, match=r"request\.origin_foreign"):
        check_origin(origin, site, "hub.test:8443")


def all_of(user: User) -> SessionQuerySet:
    sessions: SessionQuerySet = Session.objects.filter(user=user)
    return sessions
