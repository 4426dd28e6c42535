"""Who is asking: good and bad credentials, and where a password is taken."""

import base64
import datetime

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.identity.login_limits import PAIR_LIMIT
from hub.identity.models import ApiToken, User
from hub.identity.services import create_user
from hub.identity.tokens import issue_token
from tests.hub.api.callers import Answer, Caller
from tests.hub.builders import unique

PASSWORD = "correct horse battery"


@pytest.fixture
def user(db: None) -> User:
    return create_user(SYSTEM, unique("anna"), password=PASSWORD)


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def get_token(headers: dict[str, str]) -> Answer:
    return Caller().call("POST", "tokens", {"name": "first"}, headers=headers)


def test_a_live_token_opens_the_api(admin: Caller) -> None:
    assert admin.get("whoami").body["name"] == admin.user.name


def test_the_scheme_is_read_in_any_case(admin: Caller) -> None:
    answer = Caller().call("GET", "whoami", headers={"Authorization": f"bEaReR  {admin.token}"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer pdk_aaaaaaaaaaaa_" + "a" * 43,
        "Token {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer {token} {token}",
        "Bearer {token}, Bearer {token}",
        "Basic {token}",
        "Bearer \x00",
        "Bearer é",
    ],
)
def test_everything_else_is_the_same_401(admin: Caller, header: str) -> None:
    sent = {"Authorization": header.format(token=admin.token)} if header else {}
    answer = Caller().call("GET", "tenants", headers=sent)
    assert (answer.status, answer.code) == (401, "request.unauthenticated")
    assert answer.response["WWW-Authenticate"] == 'Bearer realm="paddock"'
    assert answer.problem == Caller().get("clusters").problem


@pytest.mark.parametrize("change", [{"expires_at": "past"}, {"revoked_at": "past"}, {"secret_hash": b"x" * 32}])
def test_a_token_that_is_over_opens_nothing(admin: Caller, change: dict[str, object]) -> None:
    past = timezone.now() - datetime.timedelta(seconds=1)
    ApiToken.objects.filter(user_id=admin.user_id).update(
        **{name: past if value == "past" else value for name, value in change.items()}
    )
    assert admin.get("tenants").status == 401


def test_a_token_of_a_user_who_may_not_log_in_opens_nothing(admin: Caller) -> None:
    User.objects.filter(pk=admin.user_id).update(is_active=False)
    assert admin.get("tenants").status == 401


def test_name_and_password_get_a_token_that_works(user: User) -> None:
    answer = get_token(basic(user.username, PASSWORD))
    assert answer.status == 201
    assert Caller(token=answer.body["token"]).get("whoami").body["name"] == user.username


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "tokens"), ("GET", "whoami"), ("POST", "tenants"), ("GET", "/metrics"), ("DELETE", "tokens/x")],
)
def test_name_and_password_open_nothing_else(user: User, method: str, path: str) -> None:
    assert Caller().call(method, path, headers=basic(user.username, PASSWORD)).status == 401


def test_sec56_a_wrong_password_and_a_wrong_name_are_the_same_answer(user: User) -> None:
    wrong = get_token(basic(user.username, "wrong password here"))
    nobody = get_token(basic("nobody-of-this-name", PASSWORD))
    assert wrong.status == 401
    assert wrong.problem == nobody.problem
    assert wrong.response["WWW-Authenticate"].startswith('Bearer realm="paddock", Basic ')
    assert AuditEvent.objects.filter(verb="login", outcome="denied", object_id=user.pk).count() == 1
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "credentials", ["", "x", "!!!!", "bm9jb2xvbg==", "/w==", base64.b64encode(b"a\x00b:c").decode(), "YTpi YTpi"]
)
def test_a_basic_header_that_cannot_be_read_is_a_401(db: None, credentials: str) -> None:
    assert get_token({"Authorization": f"Basic {credentials}"}).status == 401


def test_a_password_may_hold_colons_and_any_letters(db: None) -> None:
    user = create_user(SYSTEM, unique("otto"), password="a:b:c::größer 漢字")
    assert get_token(basic(user.username, "a:b:c::größer 漢字")).status == 201


def test_sec56_guessing_is_slowed_down_and_says_for_how_long(user: User) -> None:
    for _ in range(PAIR_LIMIT):
        assert get_token(basic(user.username, "wrong password here")).status == 401
    answer = get_token(basic(user.username, PASSWORD))
    assert (answer.status, answer.code) == (429, "login.throttled")
    assert int(answer.response["Retry-After"]) > 0


def test_a_token_within_a_narrower_one_cannot_become_wider(user: User) -> None:
    narrow = get_narrow(user)
    answer = narrow.post("tokens", {"name": "wider"})
    assert (answer.status, answer.code) == (403, "token.scope_too_wide")


def get_narrow(user: User) -> Caller:
    answer = Caller().call(
        "POST",
        "tokens",
        {"name": "narrow", "scope": {"verbs": ["create", "get"]}},
        headers=basic(user.username, PASSWORD),
    )
    return Caller(token=answer.body["token"])


def test_the_last_use_of_a_token_is_noted(user: User) -> None:
    token, text = issue_token(SYSTEM, user, name="x")
    Caller(token=text).get("whoami")
    token.refresh_from_db()
    assert token.last_used_at is not None
