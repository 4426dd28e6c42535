"""Which language a page speaks."""

import pytest
from django.test import RequestFactory

from hub.pages.languages import COOKIE, language_of
from tests.hub.pages.browser import Browser


@pytest.mark.parametrize(
    ("address", "cookie", "accepted", "language"),
    [
        ("/", "", "", "en"),
        ("/", "", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("/", "", "en-US,en;q=0.9,zh;q=0.8", "en"),
        ("/", "", "fr,de;q=0.9,zh-Hant;q=0.1", "zh"),
        ("/", "", "fr", "en"),
        ("/", "", "zh;q=0", "en"),
        ("/", "", "zh;q=x,;q=,,;;", "en"),
        ("/", "en", "zh", "en"),
        ("/", "xx", "zh", "zh"),
        ("/?lang=zh", "en", "en", "zh"),
        ("/?lang=xx", "", "zh", "zh"),
    ],
)
def test_the_address_decides_then_the_choice_before_then_the_browser(
    rf: RequestFactory, address: str, cookie: str, accepted: str, language: str
) -> None:
    request = rf.get(address, headers={"Accept-Language": accepted})
    if cookie:
        request.COOKIES[COOKIE] = cookie
    assert language_of(request) == language


def test_a_choice_is_remembered_and_keeps_the_rest_of_the_address(db: None, browser: Browser) -> None:
    page = browser.get("/login?return_to=/device")
    (other,) = [values["href"] for values in page.all("a") if values.get("hreflang") == "zh"]
    chosen = browser.get(str(other))
    assert chosen.response["Content-Language"] == "zh"
    assert chosen.form("/login").fields["return_to"] == "/device"
    assert browser.get("/login").response["Content-Language"] == "zh"
    assert chosen.all("html")[0]["lang"] == "zh-Hans"
