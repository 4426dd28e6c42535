"""What every page stands on: safe headers, proofs of forms, and ways that lead nowhere else."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from hub.core.errors import HubError
from hub.identity.models import User
from hub.identity.sessions import COOKIE
from hub.pages.base import page, render_page, safe_return_to
from hub.pages.forms import BROWSER_COOKIE
from tests.hub.pages.browser import Browser
from tests.hub.pages.conftest import PASSWORD

ELSEWHERE = (
    "https://evil.test/",
    "//evil.test",
    "///evil.test",
    "/\\evil.test",
    "\\evil.test",
    "\\\\evil.test",
    "/\t/evil.test",
    "/%2fevil.test",
    "/%5Cevil.test",
    "/%5cevil.test",
    "/a%0d%0aSet-Cookie:x",
    "/a\r\nLocation: https://evil.test",
    "/%09/evil.test",
    "javascript:alert(1)",
    "data:text/html,x",
    "https:evil.test",
    "account",
    "",
    " /account",
    "/a b",
    "/é",
    "/" + "a" * 500,
    "user@evil.test",
    "/\x00",
    "/a#b",
)


@pytest.mark.parametrize("text", ELSEWHERE)
def test_sec55_nobody_is_led_elsewhere(text: str) -> None:
    assert safe_return_to(text) == "/account"


@pytest.mark.parametrize(
    "text", ["/", "/account", "/clusters/1?tab=nodes&x=%E4%B8%AD", "/device?code=ABCD-EFGH", "/a/@b"]
)
def test_sec55_a_path_of_the_hub_is_kept(text: str) -> None:
    assert safe_return_to(text) == text


@pytest.mark.parametrize("target", ["https://evil.test", "//evil.test", "/%5cevil.test"])
def test_sec55_a_login_leads_to_the_hub_whatever_its_address_says(anna: User, browser: Browser, target: str) -> None:
    assert browser.log_in(anna.username, PASSWORD, target).target == "/account"
    assert browser.get(f"/login?return_to={target}").target == "/account"


def test_sec71_pages_are_in_no_frame_run_no_script_and_stay_in_no_cache(db: None, browser: Browser) -> None:
    response = browser.get("/login").response
    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "script-src" not in policy
    assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert (response["Referrer-Policy"], response["Cache-Control"]) == ("same-origin", "no-store")


def test_a_form_may_lead_to_origins_that_its_page_names(db: None, rf: RequestFactory) -> None:
    request = rf.get("/x")
    response = render_page(request, "pages/logged_out.html", form_targets=["http://127.0.0.1:8000"])
    assert "form-action 'self' http://127.0.0.1:8000;" in response["Content-Security-Policy"] + ";"


def test_the_style_sheet_is_the_hubs_own(db: None, browser: Browser) -> None:
    (link,) = [link for link in browser.get("/login").all("link") if link["rel"] == "stylesheet"]
    answer = browser.get(str(link["href"]))
    assert (answer.status, answer.response["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert browser.post(str(link["href"]), {}).status == 405


def test_sec71_cookies_are_the_hubs_alone_and_no_scripts(anna: User, browser: Browser) -> None:
    browser.log_in(anna.username, PASSWORD)
    for name in (COOKIE, BROWSER_COOKIE):
        morsel = browser.client.cookies[name]
        assert name.startswith("__Host-")
        assert (morsel["secure"], morsel["httponly"], morsel["samesite"]) == (True, True, "Lax")
        assert (morsel["path"], morsel["domain"]) == ("/", "")


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"csrf": ""}, {}),
        ({"csrf": "0" * 64}, {}),
        ({}, {"Origin": "https://evil.test"}),
        ({}, {"Origin": "null"}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_sec54_nobody_is_logged_in_by_another_site(
    anna: User, browser: Browser, fields: dict[str, str], headers: dict[str, str]
) -> None:
    form = browser.get("/login").form("/login")
    sent = {**form.fields, "username": anna.username, "password": PASSWORD, **fields}
    answer = browser.post("/login", sent, **headers)
    assert answer.status == 403
    assert not browser.cookie(COOKIE)


def test_sec54_a_form_of_another_browser_is_no_proof(anna: User, browser: Browser) -> None:
    form = Browser().get("/login").form("/login")
    browser.get("/login")
    answer = browser.post("/login", {**form.fields, "username": anna.username, "password": PASSWORD})
    assert answer.status == 403
    assert not browser.cookie(COOKIE)


def test_sec54_a_form_from_before_the_login_is_no_proof_after_it(anna: User, browser: Browser) -> None:
    before = browser.get("/login").form("/login").fields["csrf"]
    browser.log_in(anna.username, PASSWORD)
    assert browser.post("/logout", {"csrf": before}).status == 403
    assert browser.get("/account").status == 200


def test_a_page_that_needs_a_login_asks_for_it_and_comes_back(anna: User, browser: Browser) -> None:
    target = browser.get("/account/password").target
    assert target == "/login?return_to=%2Faccount%2Fpassword"
    page = browser.get(target)
    sent = browser.submit(page, "/login", username=anna.username, password=PASSWORD)
    assert sent.target == "/account/password"


def test_a_method_that_a_page_does_not_have_is_refused(browser: Browser) -> None:
    assert browser.client.put("/login", secure=True).status_code == 405
    assert browser.get("/account/sessions/end").status == 405


def test_sec71_what_only_a_form_does_is_not_done_by_another_method(logged_in: Browser, anna: User) -> None:
    other = Browser()
    other.log_in(anna.username, PASSWORD)
    for send in (logged_in.client.head, logged_in.client.get, logged_in.client.put, logged_in.client.delete):
        assert send("/account/sessions/end", secure=True).status_code == 405
    assert other.get("/account").status == 200


def test_a_view_that_fails_is_a_page_that_says_so(db: None, rf: RequestFactory) -> None:
    @page("GET")
    def broken(request: HttpRequest) -> HttpResponse:
        raise HubError("login.throttled", retry_after=7)

    response = broken(rf.get("/x"))
    assert (response.status_code, response["Retry-After"]) == (429, "7")
    assert "Try again in 7 seconds" in response.content.decode()
