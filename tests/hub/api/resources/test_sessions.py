"""/api/v1/sessions, /api/v1/session and /api/v1/whoami/password"""

import datetime

import pytest

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.identity.login_limits import PAIR_LIMIT
from hub.identity.models import Session, User
from hub.identity.services import create_user
from hub.identity.sessions import csrf_token, start_session
from hub.identity.tokens import issue_token
from tests.hub.api.callers import Caller, make_caller
from tests.hub.api.page_callers import PageCaller, make_page_caller
from tests.hub.builders import make_user, unique, user_of

PASSWORD = "correct horse battery staple"
BETTER = "quite another long password"
PEER = "192.0.2.7"


@pytest.fixture
def anna(db: None) -> User:
    return create_user(SYSTEM, unique("anna"), password=PASSWORD, display_name="Anna")


@pytest.fixture
def page(anna: User) -> PageCaller:
    return make_page_caller(anna)


def test_a_session_is_shown_without_anything_that_opens(page: PageCaller, anna: User) -> None:
    (shown,) = page.items("sessions")
    assert shown == page.get(f"sessions/{shown['id']}").body
    assert set(shown) == {
        "id",
        "version",
        "created_at",
        "updated_at",
        "user",
        "username",
        "method",
        "peer",
        "user_agent",
        "last_seen_at",
        "expires_at",
        "ended_at",
        "end_reason",
        "can",
    }
    assert (shown["user"], shown["username"], shown["method"]) == (str(anna.pk), anna.username, "password")
    assert (shown["peer"], shown["user_agent"], shown["ended_at"]) == (PEER, "Firefox", None)


def test_everybody_sees_his_own_and_an_administrator_all(page: PageCaller, admin: Caller) -> None:
    other = make_page_caller(make_user())
    assert page.session is not None
    assert other.session is not None
    assert page.ids("sessions") == {str(page.session.pk)}
    assert page.get(f"sessions/{other.session.pk}").status == 404
    assert page.delete(f"sessions/{other.session.pk}").status == 404
    assert {str(page.session.pk), str(other.session.pk)} <= admin.ids("sessions")
    assert admin.ids(f"sessions?user={other.session.user_id}") == {str(other.session.pk)}


def test_sec47_an_ended_session_is_over_at_once_and_stays_in_the_list(page: PageCaller, admin: Caller) -> None:
    assert page.session is not None
    path = f"sessions/{page.session.pk}"
    assert admin.delete(path).status == 204
    assert page.get("whoami").status == 401
    assert admin.get(path).body["end_reason"] == "ended_by_other"
    assert admin.ids("sessions?open=true") == set()
    assert admin.ids("sessions?open=false") == {str(page.session.pk)}
    assert admin.get("sessions?open=maybe").code == "query.invalid"
    event = AuditEvent.objects.get(verb="delete", resource="sessions")
    assert (event.actor_id, event.object_id) == (admin.user_id, page.session.pk)


def test_ones_own_session_is_ended_by_its_own_hand(page: PageCaller, anna: User) -> None:
    other, _ = start_session(anna, peer=PEER, user_agent="")
    assert page.delete(f"sessions/{other.pk}").status == 204
    assert Session.objects.get(pk=other.pk).end_reason == "logged_out"
    assert page.get("whoami").status == 200


def test_the_current_session_says_who_it_is_and_until_when(page: PageCaller, anna: User) -> None:
    assert page.session is not None
    body = page.get("session").body
    assert (body["id"], body["user"], body["username"]) == (str(page.session.pk), str(anna.pk), anna.username)
    assert (body["display_name"], body["method"], body["second_factor"]) == ("Anna", "password", False)
    assert body["csrf_token"] == csrf_token(page.text)
    assert moment(body["expires_at"]) == page.session.expires_at
    idle = datetime.timedelta(minutes=environment().session_idle_minutes)
    assert moment(body["idle_expires_at"]) == page.session.last_seen_at + idle


def test_a_token_has_no_session(db: None) -> None:
    assert make_caller().get("session").code == "session.none"


class TestOwnPassword:
    def test_who_knows_it_changes_it(self, page: PageCaller, anna: User) -> None:
        _, token = issue_token(SYSTEM, anna, name="x")
        other = make_page_caller(anna)
        assert page.post("whoami/password", {"current": PASSWORD, "new": BETTER}).status == 204
        assert page.get("whoami").status == 200
        assert other.get("whoami").status == 401
        assert Caller(token=token).get("whoami").status == 200
        event = AuditEvent.objects.filter(object_id=anna.pk, verb="update").get()
        assert BETTER not in str(vars(event))

    @pytest.mark.parametrize(
        ("body", "status", "faults"),
        [
            ({"current": "wrong", "new": BETTER}, 403, {"/current": "password.wrong"}),
            ({"current": PASSWORD, "new": PASSWORD}, 400, {"/new": "password.unchanged"}),
            ({"current": PASSWORD, "new": "short"}, 400, {"/new": "password.unfit"}),
            ({"current": PASSWORD, "new": "x" * 300}, 400, {"/new": "field.length"}),
            ({"new": BETTER}, 400, {"/current": "field.required"}),
            ({"current": PASSWORD}, 400, {"/new": "field.required"}),
            ({"current": PASSWORD, "new": BETTER, "username": "x"}, 400, {"/username": "field.unknown"}),
        ],
    )
    def test_anything_else_is_refused_with_its_place(
        self, page: PageCaller, anna: User, body: dict[str, str], status: int, faults: dict[str, str]
    ) -> None:
        answer = page.post("whoami/password", body)
        assert (answer.status, answer.faults) == (status, faults)
        assert User.objects.get(pk=anna.pk).password_hash == anna.password_hash

    def test_sec56_guessing_the_current_one_is_braked(self, page: PageCaller) -> None:
        for _ in range(PAIR_LIMIT):
            assert page.post("whoami/password", {"current": "wrong", "new": BETTER}).code == "password.wrong"
        assert page.post("whoami/password", {"current": PASSWORD, "new": BETTER}).code == "login.throttled"

    def test_sec32_a_narrowed_token_changes_none(self, anna: User) -> None:
        made = make_caller()
        user = user_of(made.user)
        User.objects.filter(pk=user.pk).update(password_hash=anna.password_hash)
        narrow = made.narrowed(read_only=True)
        assert narrow.post("whoami/password", {"current": PASSWORD, "new": BETTER}).code == "token.scope_too_wide"

    def test_who_has_no_password_changes_none(self, db: None) -> None:
        answer = make_page_caller(make_user()).post("whoami/password", {"current": "", "new": BETTER})
        assert (answer.status, answer.code) == (409, "password.none")

    def test_nobody_changes_none(self, db: None) -> None:
        assert Caller().post("whoami/password", {"current": PASSWORD, "new": BETTER}).status == 401


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
