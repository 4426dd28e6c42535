"""/api/v1/cli-logins: what paddock-login speaks, before it is anybody."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.audit.models import AuditEvent
from hub.core.access import TokenScope
from hub.core.environment import environment
from hub.identity import cli_logins
from hub.identity.actors import actor_of
from hub.identity.cli_logins import approve, deny
from hub.identity.models import ApiToken, CliLogin, Session, User
from hub.identity.sessions import start_session
from hub.identity.tokens import issue_token
from tests.hub.api.callers import Answer, Caller

VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
BROWSER = {
    "flow": "browser",
    "redirect_uri": "http://127.0.0.1:4711/callback",
    "code_challenge": CHALLENGE,
    "state": "s" * 20,
}


@pytest.fixture
def session(nobody: Caller) -> Session:
    return start_session(User.objects.get(pk=nobody.user_id), peer="192.0.2.1", user_agent="test")[0]


def begin(stranger: Caller, **body: Any) -> Any:
    answer = stranger.post("cli-logins", {"flow": "device", "host": "laptop", **body})
    assert answer.status == 201, answer.body
    return answer.body


def poll(stranger: Caller, device_code: str) -> Answer:
    return stranger.post("cli-logins/token", {"device_code": device_code})


def say_yes(session: Session) -> str | None:
    return approve(actor_of(session.user, session=session), session, CliLogin.objects.get())


def test_a_stranger_begins_and_gets_his_token_once_somebody_says_yes(
    stranger: Caller, nobody: Caller, session: Session
) -> None:
    begun = begin(stranger, expires_in_seconds=600, scope={"read_only": True})
    assert begun["verification_uri"] == f"{environment().url}/device"
    assert (len(begun["user_code"]), begun["user_code"][4], begun["interval"]) == (9, "-", 5)
    assert begun["authorization_uri"] is None
    assert poll(stranger, begun["device_code"]).code == "cli_login.authorization_pending"
    assert say_yes(session) is None
    answer = poll(stranger, begun["device_code"])
    assert (answer.status, answer.body["username"]) == (201, nobody.user.name)
    who = Caller(token=answer.body["token"]).get("whoami").body
    assert (who["id"], who["scope"]["read_only"]) == (str(nobody.user_id), True)
    assert poll(stranger, begun["device_code"]).code == "cli_login.unknown"


def test_a_browsers_code_is_exchanged_with_its_verifier(stranger: Caller, session: Session) -> None:
    begun = begin(stranger, **BROWSER)
    assert begun["authorization_uri"] == f"{environment().url}/cli-login?id={CliLogin.objects.get().pk}"
    assert (begun["device_code"], begun["user_code"]) == (None, None)
    code = parse_qs(urlsplit(say_yes(session) or "").query)["code"][0]
    wrong = stranger.post("cli-logins/token", {"code": code, "code_verifier": "w" * 50})
    assert (wrong.status, wrong.code) == (400, "cli_login.unknown")
    assert stranger.post("cli-logins/token", {"code": code, "code_verifier": VERIFIER}).status == 201


def test_polling_follows_rfc_8628(stranger: Caller, session: Session) -> None:
    device_code = begin(stranger)["device_code"]
    pending, fast = (poll(stranger, device_code) for _ in range(2))
    assert (pending.status, pending.code) == (400, "cli_login.authorization_pending")
    assert (fast.status, fast.code) == (400, "cli_login.slow_down")
    deny(actor_of(session.user, session=session), CliLogin.objects.get())
    assert (poll(stranger, device_code).status, poll(stranger, device_code).code) == (400, "cli_login.denied")


def test_who_begins_too_often_is_told_when_to_come_back(stranger: Caller, db: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(cli_logins, "LIMIT_OF_PEER", 1)
    begin(stranger)
    answer = stranger.post("cli-logins", {"flow": "device"})
    assert (answer.status, answer.code) == (429, "cli_login.throttled")
    assert answer.response["Retry-After"] == "60"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"flow": "password"},
        {"flow": "device", "state": "s" * 20},
        {"flow": "device", "redirect_uri": BROWSER["redirect_uri"]},
        {"flow": "browser"},
        {**BROWSER, "state": None},
        {"flow": "device", "host": 5},
        {"flow": "device", "expires_in_seconds": 0},
        {"flow": "device", "scope": {"admin": True}},
        {"flow": "device", "user": "admin"},
    ],
)
def test_a_beginning_that_is_wrong_is_refused(stranger: Caller, db: None, body: dict[str, Any]) -> None:
    answer = stranger.post("cli-logins", body)
    assert (answer.status, answer.code) == (400, "request.invalid")
    assert not CliLogin.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "request.invalid"),
        ({"code": "x"}, "request.invalid"),
        ({"code_verifier": "x"}, "request.invalid"),
        ({"device_code": "x", "code": "x", "code_verifier": "x"}, "request.invalid"),
        ({"device_code": "x", "code_verifier": "x"}, "request.invalid"),
        ({"device_code": 5}, "request.invalid"),
        ({"device_code": "x" * 201}, "request.invalid"),
        ({"device_code": "x"}, "cli_login.unknown"),
        ({"code": "x", "code_verifier": "x"}, "cli_login.unknown"),
    ],
)
def test_an_exchange_that_is_wrong_is_refused(stranger: Caller, db: None, body: dict[str, Any], code: str) -> None:
    assert stranger.post("cli-logins/token", body).code == code


def test_a_wrong_token_does_not_keep_anybody_from_beginning(db: None) -> None:
    assert Caller(token="pdk_" + "a" * 12 + "_" + "b" * 43).post("cli-logins", {"flow": "device"}).status == 201


def test_nothing_is_read_and_nothing_else_is_open(stranger: Caller, db: None) -> None:
    assert stranger.get("cli-logins").status in (401, 405)
    assert stranger.delete("cli-logins").status in (401, 405)
    assert stranger.post("cli-logins/logout", {}).status == 401
    assert stranger.post("cli-logins?token=x", {"flow": "device"}).code == "request.token_in_query"
    assert stranger.post("cli-logins?x=1", {"flow": "device"}).code == "query.unknown"


def test_logging_out_ends_the_very_token_however_narrow_it_is(nobody: Caller) -> None:
    narrow = nobody.narrowed(read_only=True, verbs=frozenset(), projects=frozenset(), clusters=frozenset())
    answer = narrow.post("cli-logins/logout", {})
    assert answer.status == 201
    assert ApiToken.objects.get(pk=answer.body["token_id"]).revoked_at is not None
    assert narrow.get("whoami").status == 401
    assert nobody.get("whoami").status == 200


def test_who_came_without_a_token_has_none_to_end(nobody: Caller, session: Session) -> None:
    _, text = issue_token(nobody.user, session.user, name="x", scope=TokenScope())
    assert Caller(token=text).post("cli-logins/logout", {"all": True}).faults == {"/all": "field.unknown"}
    assert Caller(token=text).get("whoami").status == 200


def test_sec03_neither_code_nor_token_is_in_the_trail(stranger: Caller, session: Session) -> None:
    device_code = begin(stranger)["device_code"]
    say_yes(session)
    text = poll(stranger, device_code).body["token"]
    trail = str(list(AuditEvent.objects.values()))
    assert not any(secret.rpartition("_")[2] in trail for secret in (device_code, text))
