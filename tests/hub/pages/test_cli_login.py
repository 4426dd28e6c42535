"""/device and /cli-login: somebody logged in says who may act as him."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.core.access import TokenScope
from hub.identity.cli_logins import (
    LoginRequest,
    begin_browser_login,
    begin_device_login,
    exchange_code,
    exchange_device_code,
)
from hub.identity.models import CliLogin, CliLoginState, User
from tests.hub.pages.browser import Browser

NO_LOGIN = "01a21074-0000-7000-8000-000000000000"  # fixed, because a test is named after it
PEER = "192.0.2.7"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def device_login(**changes: Any) -> tuple[CliLogin, str]:
    return begin_device_login(LoginRequest(**{"host": "laptop.example", "peer": "198.51.100.9", **changes}))


def browser_login() -> CliLogin:
    return begin_browser_login(
        LoginRequest(host="laptop", peer=PEER),
        redirect_uri="http://127.0.0.1:4711/callback",
        code_challenge=CHALLENGE,
        state="s" * 20,
    )


def type_code(browser: Browser, code: str | None) -> Any:
    return browser.submit(browser.get("/device"), "/device", user_code=code or "")


def test_sec54_the_question_shows_who_asks_for_how_long_and_for_what(logged_in: Browser, anna: User) -> None:
    login, _ = device_login(scope=TokenScope(read_only=True))
    page = type_code(logged_in, login.user_code)
    assert page.status == 200
    for words in ("laptop.example", "198.51.100.9 (not the address of this browser)", "12 h 0 min", anna.username):
        assert words in page.text
    assert "read, change nothing" in page.text


@pytest.mark.parametrize(("answer", "state"), [("approve", "approved"), ("deny", "denied"), ("perhaps", "denied")])
def test_the_answer_is_what_was_pressed_and_no_without_a_yes(logged_in: Browser, answer: str, state: str) -> None:
    login, _ = device_login()
    page = logged_in.submit(type_code(logged_in, login.user_code), "/device", answer=answer)
    assert page.status == 200
    assert CliLogin.objects.get().state == state
    assert ("Logged in" if state == "approved" else "Denied") in page.text


def test_an_approved_program_gets_a_token_of_this_browsers_user(logged_in: Browser, anna: User) -> None:
    login, device_code = device_login()
    logged_in.submit(type_code(logged_in, login.user_code), "/device", answer="approve")
    token, _ = exchange_device_code(device_code)
    assert token.user == anna
    assert token.session is not None


def test_a_browser_on_the_same_machine_carries_the_code_back(logged_in: Browser, anna: User) -> None:
    path = f"/cli-login?id={browser_login().pk}"
    page = logged_in.get(path)
    assert f"{PEER} (the address of this browser)" in page.text
    assert "form-action 'self' http://127.0.0.1:4711" in page.response["Content-Security-Policy"]
    answered = logged_in.post(path, {**page.form("/cli-login").fields, "answer": "approve"})
    assert answered.target.startswith("http://127.0.0.1:4711/callback?code=")
    code = parse_qs(urlsplit(answered.target).query)["code"][0]
    assert exchange_code(code, VERIFIER)[0].user == anna


def test_a_denied_browser_is_told(logged_in: Browser) -> None:
    path = f"/cli-login?id={browser_login().pk}"
    answered = logged_in.post(path, {**logged_in.get(path).form("/cli-login").fields, "answer": "deny"})
    assert answered.target.startswith("http://127.0.0.1:4711/callback?error=access_denied&state=")


def test_sec54_no_link_leads_to_the_question_of_a_device_login(logged_in: Browser) -> None:
    login, _ = device_login()
    assert logged_in.get(f"/cli-login?id={login.pk}").status == 400
    page = logged_in.get(f"/device?user_code={login.user_code}")
    assert "laptop.example" not in page.text
    assert page.form("/device").fields["user_code"] == ""


@pytest.mark.parametrize("path", ["/device", "/cli-login?id=00000000-0000-0000-0000-000000000000"])
def test_who_is_not_logged_in_is_sent_to_the_login_and_back(
    transactional_db: None, browser: Browser, path: str
) -> None:
    target = browser.get(path).target
    assert urlsplit(target).path == "/login"
    assert parse_qs(urlsplit(target).query) == {"return_to": [path]}


def test_sec71_an_answer_from_another_site_counts_for_nothing(logged_in: Browser) -> None:
    login, _ = device_login()
    question = type_code(logged_in, login.user_code)
    fields = {**question.form("/device").fields, "answer": "approve"}
    foreign = logged_in.post("/device", fields, Origin="https://evil.example")
    assert foreign.status == 403
    forged = logged_in.post("/device", {**fields, "csrf": "x"})
    assert forged.status == 403
    assert CliLogin.objects.get().state == CliLoginState.PENDING


@pytest.mark.parametrize("code", ["", "BBBB-BBBB", "x" * 500, "<script>", "'; --"])
def test_a_code_that_nobody_waits_for_is_asked_for_again(logged_in: Browser, code: str) -> None:
    page = type_code(logged_in, code)
    assert page.status == 404
    assert "No login waits for this code" in page.text
    assert b"<script>" not in page.response.content


def test_sec56_typing_codes_at_random_is_braked(logged_in: Browser) -> None:
    login, _ = device_login()
    statuses = [type_code(logged_in, "BBBB-BBBB").status for _ in range(6)]
    assert statuses == [404] * 5 + [429]
    assert type_code(logged_in, login.user_code).status == 429


def test_an_answered_question_is_over(logged_in: Browser) -> None:
    path = f"/cli-login?id={browser_login().pk}"
    page = logged_in.get(path)
    fields = {**page.form("/cli-login").fields, "answer": "approve"}
    assert logged_in.post(path, fields).status == 303
    assert logged_in.post(path, fields).status == 400
    assert logged_in.get(path).status == 400


@pytest.mark.parametrize("query", ["", "?id=", "?id=x", f"?id={NO_LOGIN}"])
def test_a_login_that_is_none_is_over(logged_in: Browser, query: str) -> None:
    page = logged_in.get(f"/cli-login{query}")
    assert page.status == 400
    assert "This login is over" in page.text


def test_the_pages_speak_chinese(logged_in: Browser) -> None:
    login, _ = device_login()
    logged_in.headers["Accept-Language"] = "zh-CN"
    assert "允许此程序登录？" in type_code(logged_in, login.user_code).text
