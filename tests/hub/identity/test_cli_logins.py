"""Logins of paddock-login: begun by anybody, confirmed by a session, exchanged once."""

import base64
import datetime
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.access import Actor, TokenScope
from hub.core.errors import HubError
from hub.identity import cli_logins
from hub.identity.actors import actor_of
from hub.identity.cli_logins import (
    LoginRequest,
    approve,
    begin_browser_login,
    begin_device_login,
    delete_old_cli_logins,
    deny,
    exchange_code,
    exchange_device_code,
    find_browser_login,
    find_typed_login,
)
from hub.identity.models import ApiToken, CliLogin, Session, TokenPurpose, User
from hub.identity.sessions import end_session, start_session
from hub.identity.tokens import authenticate_token, longest_lifetime
from tests.hub.builders import make_user
from tests.hub.racing import race

PEER = "192.0.2.44"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
STATE = "s" * 20
REDIRECT = "http://127.0.0.1:4711/callback"
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def maria(transactional_db: None) -> User:
    return make_user("maria")


@pytest.fixture
def session(maria: User) -> Session:
    return start_session(maria, peer=PEER, user_agent="test")[0]


@pytest.fixture
def actor(maria: User, session: Session) -> Actor:
    return actor_of(maria, session=session)


def request(**changes: object) -> LoginRequest:
    return LoginRequest(**{"host": "laptop", "peer": PEER, **changes})  # type: ignore[arg-type]


def begin_browser(**changes: str) -> CliLogin:
    wanted = {"redirect_uri": REDIRECT, "code_challenge": CHALLENGE, "state": STATE, **changes}
    return begin_browser_login(request(), **wanted)


def approved_code(actor: Actor, session: Session) -> str:
    target = approve(actor, session, begin_browser())
    assert target is not None
    return parse_qs(urlsplit(target).query)["code"][0]


def refusal(act: object, *arguments: object) -> str:
    with pytest.raises(HubError) as refused:
        act(*arguments)  # type: ignore[operator]
    return refused.value.code


def wait_as_told(login: CliLogin) -> None:
    CliLogin.objects.filter(pk=login.pk).update(last_polled_at=timezone.now() - MINUTE)


def test_a_device_login_gives_a_short_token_of_who_confirmed_it(maria: User, session: Session, actor: Actor) -> None:
    scope = TokenScope(read_only=True)
    login, device_code = begin_device_login(request(scope=scope))
    assert refusal(exchange_device_code, device_code) == "cli_login.authorization_pending"
    typed = f" {login.user_code[:4]}-{login.user_code[4:]} ".lower() if login.user_code else ""
    assert approve(actor, session, find_typed_login(session, typed, PEER)) is None
    token, text = exchange_device_code(device_code)
    assert (token.user, token.session, token.purpose) == (maria, session, TokenPurpose.LOGIN)
    assert token.expires_at <= min(session.expires_at, timezone.now() + longest_lifetime(TokenPurpose.LOGIN))
    found = authenticate_token(text)
    assert found is not None
    assert (found.id, found.token_scope) == (maria.pk, scope)
    end_session(actor, session, "logout")
    assert authenticate_token(text) is None


def test_a_browser_login_needs_code_and_verifier(maria: User, session: Session, actor: Actor) -> None:
    target = approve(actor, session, begin_browser())
    assert target is not None
    assert target.startswith(f"{REDIRECT}?code=pdc_")
    values = parse_qs(urlsplit(target).query)
    assert values["state"] == [STATE]
    code = values["code"][0]
    assert refusal(exchange_code, code, "w" * 50) == "cli_login.unknown"
    assert refusal(exchange_code, code, "short") == "cli_login.unknown"
    assert refusal(exchange_device_code, code) == "cli_login.unknown"
    token, text = exchange_code(code, VERIFIER)
    assert (token.user, token.session) == (maria, session)
    assert authenticate_token(text) is not None


def test_sec54_a_code_that_comes_twice_ends_what_it_gave(session: Session, actor: Actor) -> None:
    code = approved_code(actor, session)
    _, text = exchange_code(code, VERIFIER)
    assert refusal(exchange_code, code, "w" * 50) == "cli_login.unknown"
    assert authenticate_token(text) is not None  # who cannot prove it is nobody, and ends nothing
    assert refusal(exchange_code, code, VERIFIER) == "cli_login.unknown"
    assert authenticate_token(text) is None


def test_sec54_of_two_polls_at_once_one_gets_the_token(session: Session, actor: Actor) -> None:
    login, device_code = begin_device_login(request())
    approve(actor, session, login)
    got, refused = race(lambda: exchange_device_code(device_code))
    assert (len(got), refused) == (1, ["cli_login.unknown"])
    assert ApiToken.objects.count() == 1
    assert authenticate_token(got[0][1]) is not None


def test_of_two_answers_at_once_one_counts(session: Session, actor: Actor) -> None:
    login, _ = begin_device_login(request())
    got, refused = race(lambda: approve(actor, session, login))
    assert (got, refused) == ([None], ["cli_login.unknown"])


def test_who_polls_too_fast_is_told_to_slow_down_and_gets_his_token_all_the_same(
    session: Session, actor: Actor
) -> None:
    login, device_code = begin_device_login(request())
    assert refusal(exchange_device_code, device_code) == "cli_login.authorization_pending"
    assert refusal(exchange_device_code, device_code) == "cli_login.slow_down"
    wait_as_told(login)
    assert refusal(exchange_device_code, device_code) == "cli_login.authorization_pending"
    approve(actor, session, login)
    assert exchange_device_code(device_code)[0].session == session


def test_what_was_denied_stays_denied(session: Session, actor: Actor) -> None:
    login, device_code = begin_device_login(request())
    assert deny(actor, login) is None
    assert refusal(exchange_device_code, device_code) == "cli_login.denied"
    assert refusal(approve, actor, session, login) == "cli_login.unknown"
    target = deny(actor, begin_browser())
    assert target == f"{REDIRECT}?error=access_denied&state={STATE}"


@pytest.mark.parametrize("answered", [False, True])
def test_a_login_that_took_too_long_is_over(session: Session, actor: Actor, answered: bool) -> None:
    login, device_code = begin_device_login(request())
    if answered:
        approve(actor, session, login)
    CliLogin.objects.filter(pk=login.pk).update(expires_at=timezone.now())
    assert refusal(exchange_device_code, device_code) == "cli_login.expired"
    assert refusal(find_typed_login, session, login.user_code, PEER) == "cli_login.user_code_unknown"
    assert refusal(approve, actor, session, login) == "cli_login.unknown"


def test_a_code_in_the_browser_is_good_for_a_minute(session: Session, actor: Actor) -> None:
    code = approved_code(actor, session)
    login = CliLogin.objects.get()
    assert login.expires_at <= timezone.now() + MINUTE
    CliLogin.objects.update(expires_at=timezone.now())
    assert refusal(exchange_code, code, VERIFIER) == "cli_login.expired"


def test_sec54_a_session_that_has_ended_lets_nobody_in(session: Session, actor: Actor) -> None:
    login, device_code = begin_device_login(request())
    approve(actor, session, login)
    end_session(actor, session, "logout")
    assert refusal(exchange_device_code, device_code) == "cli_login.denied"
    assert not ApiToken.objects.exists()


def test_sec54_a_device_login_is_found_by_its_typed_code_alone(session: Session) -> None:
    login, _ = begin_device_login(request())
    assert find_browser_login(login.pk) is None
    browser = begin_browser()
    assert find_browser_login(browser.pk) == browser
    assert refusal(find_typed_login, session, "", PEER) == "cli_login.user_code_unknown"


def test_sec56_guessing_user_codes_is_braked(session: Session) -> None:
    login, _ = begin_device_login(request())
    codes = [refusal(find_typed_login, session, "BBBB-BBBB", PEER) for _ in range(6)]
    assert codes == ["cli_login.user_code_unknown"] * 5 + ["login.throttled"]
    assert refusal(find_typed_login, session, login.user_code, PEER) == "login.throttled"


def test_right_codes_are_not_counted(session: Session) -> None:
    login, _ = begin_device_login(request())
    assert {find_typed_login(session, str(login.user_code), PEER) for _ in range(7)} == {login}


def test_beginning_is_limited_by_peer(monkeypatch: pytest.MonkeyPatch, maria: User) -> None:
    monkeypatch.setattr(cli_logins, "LIMIT_OF_PEER", 2)
    begin_device_login(request())
    begin_browser()
    assert refusal(begin_device_login, request()) == "cli_login.throttled"
    begin_device_login(request(peer="192.0.2.45"))
    CliLogin.objects.filter(peer=PEER).update(created_at=timezone.now() - cli_logins.OPEN_FOR)
    begin_device_login(request())


def test_beginning_is_limited_in_sum_also_for_many_at_once(monkeypatch: pytest.MonkeyPatch, maria: User) -> None:
    monkeypatch.setattr(cli_logins, "LIMIT_IN_SUM", 1)
    got, refused = race(lambda: begin_device_login(request()), runners=3)
    assert (len(got), refused) == (1, ["cli_login.throttled"] * 2)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://127.0.0.1:4711/callback",
        "http://127.0.0.1/callback",
        "http://localhost:4711/callback",
        "http://127.0.0.1:4711@evil.example/callback",
        "http://127.0.0.1.evil.example:4711/callback",
        "http://127.0.0.1:4711/callback?next=http://evil.example",
        "http://127.0.0.1:4711/callback#x",
        "http://127.0.0.1:4711/call\r\nback",
        "http://192.0.2.1:4711/callback",
        "//127.0.0.1:4711/callback",
        "",
    ],
)
def test_sec55_a_code_goes_to_loopback_only(maria: User, redirect_uri: str) -> None:
    assert refusal(lambda: begin_browser(redirect_uri=redirect_uri)) == "cli_login.request_invalid"


@pytest.mark.parametrize(
    "changes",
    [{"code_challenge": "plain"}, {"code_challenge": CHALLENGE + "="}, {"state": "short"}, {"state": "a b" * 9}],
)
def test_a_login_by_browser_needs_pkce_and_a_state(maria: User, changes: dict[str, str]) -> None:
    assert refusal(lambda: begin_browser(**changes)) == "cli_login.request_invalid"


@pytest.mark.parametrize("host", ["x" * 254, "a\nb", "büro", "a\x00b"])
def test_a_host_name_is_plain(maria: User, host: str) -> None:
    assert refusal(begin_device_login, request(host=host)) == "cli_login.request_invalid"


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
def test_a_login_is_short(maria: User, seconds: int) -> None:
    lifetime = datetime.timedelta(seconds=seconds)
    assert refusal(begin_device_login, request(lifetime=lifetime)) == "token.lifetime_invalid"


@pytest.mark.parametrize("text", ["", "pdc_x", "pdk_" + "a" * 12 + "_" + "b" * 43, "pdc_" + "a" * 12 + "_" + "b" * 43])
def test_a_code_that_is_none_is_unknown(maria: User, text: str) -> None:
    assert refusal(exchange_device_code, text) == "cli_login.unknown"
    assert refusal(exchange_code, text, VERIFIER) == "cli_login.unknown"


def test_sec03_no_code_is_stored_or_recorded(session: Session, actor: Actor) -> None:
    login, device_code = begin_device_login(request())
    approve(actor, session, login)
    _, text = exchange_device_code(device_code)
    code = approved_code(actor, session)
    kept = str(list(CliLogin.objects.values())) + str(list(AuditEvent.objects.values()))
    assert not any(secret.rpartition("_")[2] in kept for secret in (device_code, text, code))
    verbs = AuditEvent.objects.filter(resource="cli-logins").values_list("verb", "object_name", "session_id")
    assert list(verbs) == [("approve", "laptop", session.pk)] * 2


def test_old_logins_are_deleted(session: Session, actor: Actor) -> None:
    login, device_code = begin_device_login(request())
    approve(actor, session, login)
    token, _ = exchange_device_code(device_code)
    assert delete_old_cli_logins(datetime.timedelta(0)) == 0
    CliLogin.objects.update(expires_at=timezone.now() - MINUTE)
    assert delete_old_cli_logins(datetime.timedelta(0)) == 1
    assert ApiToken.objects.filter(pk=token.pk).exists()
