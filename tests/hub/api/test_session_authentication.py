"""A session's cookie as credentials of the API, and what a request has to show beside it."""

import base64

import pyotp
import pytest

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.identity.actors import actor_of
from hub.identity.models import ApiToken, Session, User
from hub.identity.second_factor import begin_enrolment, confirm_enrolment
from hub.identity.services import create_user
from hub.identity.sessions import COOKIE, CSRF_HEADER, csrf_token, end_session
from hub.identity.tokens import issue_token
from tests.hub.api.callers import Caller
from tests.hub.api.page_callers import PageCaller, make_page_caller
from tests.hub.builders import bind, unique

PASSWORD = "correct horse battery staple"


@pytest.fixture
def anna(db: None) -> User:
    user = create_user(SYSTEM, unique("anna"), password=PASSWORD)
    bind(actor_of(user), "hub-admin")
    return user


@pytest.fixture
def page(anna: User) -> PageCaller:
    return make_page_caller(anna)


def test_a_cookie_opens_the_api_for_a_page_of_the_hub(page: PageCaller, anna: User) -> None:
    assert page.get("whoami").body["name"] == anna.username
    made = page.post("tenants", {"name": unique("made")})
    assert made.status == 201
    assert page.session is not None
    event = AuditEvent.objects.get(verb="create", resource="tenants")
    assert (event.actor_id, event.session_id, event.token_id) == (anna.pk, page.session.pk, None)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({CSRF_HEADER: ""}, "session.csrf"),
        ({CSRF_HEADER: "0" * 64}, "session.csrf"),
        ({CSRF_HEADER: "é"}, "session.csrf"),
        ({"Origin": "https://evil.test"}, "request.origin_foreign"),
        ({"Origin": "null"}, "request.origin_foreign"),
        ({"Origin": "http://testserver"}, "request.origin_foreign"),
        ({"Sec-Fetch-Site": "cross-site"}, "request.origin_foreign"),
        ({"Sec-Fetch-Site": "same-site"}, "request.origin_foreign"),
    ],
)
def test_sec71_a_change_that_no_page_of_the_hub_asks_for_is_refused(
    page: PageCaller, method: str, headers: dict[str, str], code: str
) -> None:
    path = "tenants" if method == "POST" else f"users/{page.get('session').body['user']}"
    answer = page.call(method, path, {"name": "x"}, headers={"If-Match": "*", **headers})
    assert (answer.status, answer.code) == (403, code)


def test_sec71_the_csrf_token_of_another_session_is_no_proof(page: PageCaller, anna: User) -> None:
    other = make_page_caller(anna)
    assert (
        page.call("POST", "tenants", {"name": "x"}, headers={CSRF_HEADER: csrf_token(other.text)}).code
        == "session.csrf"
    )


def test_sec71_without_proof_a_cookie_reads_and_changes_nothing(page: PageCaller) -> None:
    page.proof = {}
    assert page.get("tenants").status == 200
    assert page.post("tenants", {"name": "x"}).code == "session.csrf"
    assert page.call("POST", "tenants", raw=b"not json").code == "session.csrf"  # before anything is read


def test_a_token_needs_no_proof_and_is_taken_before_a_cookie(page: PageCaller, anna: User) -> None:
    _, text = issue_token(SYSTEM, anna, name="x")
    page.proof = {}
    made = page.call("POST", "tenants", {"name": unique("made")}, headers={"Authorization": f"Bearer {text}"})
    assert made.status == 201
    assert page.call("GET", "whoami", headers={"Authorization": f"Bearer {text}x"}).status == 401
    assert page.call("GET", "whoami", headers={"Authorization": "Negotiate x"}).status == 401


@pytest.mark.parametrize("cookie", ["", "x", "pdk_aaaaaaaaaaaa_" + "a" * 43, "pds_aaaaaaaaaaaa_" + "a" * 43])
def test_a_cookie_that_is_nobodys_is_a_401(db: None, cookie: str) -> None:
    caller = Caller()
    caller.client.cookies[COOKIE] = cookie
    answer = caller.get("whoami")
    assert (answer.status, answer.code) == (401, "request.unauthenticated")
    assert answer.response["WWW-Authenticate"] == 'Bearer realm="paddock"'


def test_sec47_a_cookie_sent_again_after_the_logout_is_a_401(page: PageCaller, anna: User) -> None:
    assert page.session is not None
    _, derived = issue_token(actor_of(anna, session=page.session), anna, name="derived", session=page.session)
    end_session(actor_of(anna), page.session, "logged_out")
    assert page.get("whoami").status == 401
    assert Caller(token=derived).get("whoami").status == 401


class TestWhoMustChangeHisPassword:
    @pytest.fixture(autouse=True)
    def must_change(self, anna: User) -> None:
        User.objects.filter(pk=anna.pk).update(must_change_password=True)

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "tenants"), ("GET", "whoami"), ("POST", "tenants"), ("GET", "sessions")]
    )
    def test_his_session_opens_nothing(self, page: PageCaller, method: str, path: str) -> None:
        answer = page.call(method, path, {"name": "x"} if method == "POST" else None)
        assert (answer.status, answer.code) == (403, "password.must_change")

    def test_but_tells_him_so(self, page: PageCaller) -> None:
        assert page.get("session").body["must_change_password"] is True

    def test_his_password_gets_no_token(self, anna: User) -> None:
        answer = Caller().call("POST", "tokens", {"name": "x"}, headers=basic(anna.username))
        assert (answer.status, answer.code) == (403, "password.must_change")
        assert not ApiToken.objects.exists()

    def test_his_tokens_open_nothing(self, anna: User) -> None:
        _, text = issue_token(SYSTEM, anna, name="x")
        assert Caller(token=text).get("whoami").status == 401

    def test_he_changes_it_with_name_and_password_and_gets_in(self, anna: User) -> None:
        body = {"current": PASSWORD, "new": "another " + PASSWORD}
        assert Caller().call("POST", "whoami/password", body, headers=basic(anna.username)).status == 204
        answer = Caller().call("POST", "tokens", {"name": "x"}, headers=basic(anna.username, "another " + PASSWORD))
        assert answer.status == 201

    def test_he_changes_it_in_his_browser_and_goes_on(self, page: PageCaller) -> None:
        assert page.post("whoami/password", {"current": PASSWORD, "new": "another " + PASSWORD}).status == 204
        assert page.get("tenants").status == 200


def test_a_password_alone_is_not_enough_for_who_has_a_second_factor(anna: User) -> None:
    begin_enrolment(actor_of(anna), anna)
    code = pyotp.TOTP(anna.totp_secret.reveal()).now()
    confirm_enrolment(actor_of(anna), anna, code, peer="192.0.2.7")
    answer = Caller().call("POST", "tokens", {"name": "x"}, headers=basic(anna.username))
    assert (answer.status, answer.code) == (403, "login.second_factor_required")
    assert Caller().call("POST", "tokens", {"name": "x"}, headers=basic(anna.username, "wrong password")).status == 401
    assert not ApiToken.objects.exists()
    assert not AuditEvent.objects.filter(verb="login", outcome="succeeded").exists()


def test_hidden_local_logins_are_closed_for_programs_too(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_LOCAL_LOGIN", "hidden")
    environment.cache_clear()
    try:
        answer = Caller().call("POST", "tokens", {"name": "x"}, headers=basic(anna.username))
    finally:
        monkeypatch.undo()
        environment.cache_clear()
    assert (answer.status, answer.code) == (403, "login.local_hidden")


def test_a_session_is_seen_by_its_use(page: PageCaller) -> None:
    assert page.session is not None
    before = Session.objects.get(pk=page.session.pk).last_seen_at
    Session.objects.filter(pk=page.session.pk).update(last_seen_at=before.replace(minute=0, second=0))
    page.get("whoami")
    assert Session.objects.get(pk=page.session.pk).last_seen_at >= before


def basic(username: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
