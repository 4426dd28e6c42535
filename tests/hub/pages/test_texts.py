"""Texts: the same keys in both languages, every page in both, and nothing that nobody says."""

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from django.test import RequestFactory

import hub.pages
from hub.core.errors import ERROR_CODES, HubError
from hub.identity.models import User
from hub.pages import texts_account, texts_base, texts_login
from hub.pages.base import render_page
from hub.pages.texts import LANGUAGES, TEXTS, error_text
from tests.hub.pages.browser import Browser

ROOT = Path(hub.pages.__file__).parent
TEMPLATES = sorted((ROOT / "templates" / "pages").glob("*.html"))
ALL_KEYS = set(TEXTS["en"])
OWN_KEYS = {key for part in (texts_base, texts_login, texts_account) for key in part.EN}
MODULES = [path for path in ROOT.rglob("*.py") if not path.name.startswith("texts_")]
SOURCES = "".join(path.read_text() for path in [*TEMPLATES, *MODULES])
ADDRESSES = (
    "/login",
    "/logout",
    "/account",
    "/account/password",
    "/account/second-factor",
    "/account/second-factor/remove",
    "/account/recovery-codes",
)


def params_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys_with_the_same_parameters() -> None:
    assert set(TEXTS) == set(LANGUAGES)
    assert set(TEXTS["zh"]) == ALL_KEYS
    for key in ALL_KEYS:
        assert params_of(TEXTS["zh"][key]) == params_of(TEXTS["en"][key]), key
        assert TEXTS["zh"][key].strip(), key
        assert TEXTS["en"][key].strip(), key


@pytest.mark.parametrize("key", sorted(OWN_KEYS - {"base.product", "language.name"}))
def test_chinese_is_chinese_and_english_is_not(key: str) -> None:
    assert re.search(r"[\u4e00-\u9fff]", TEXTS["zh"][key])
    assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", TEXTS["en"][key])
    assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9{]|[A-Za-z0-9}][\u4e00-\u9fff]", TEXTS["zh"][key]), (
        "a space between"
    )
    assert "您" not in TEXTS["zh"][key]


def test_every_text_that_a_template_says_is_there() -> None:
    said = set(re.findall(r"""\{%\s*(?:text|field\s+"\w+")\s+"([a-z0-9_.]+)\"""", SOURCES))
    assert said
    assert said <= ALL_KEYS


@pytest.mark.parametrize("key", sorted(OWN_KEYS))
def test_every_text_is_said_somewhere(key: str) -> None:
    if key.startswith("error."):
        known = any(key.removeprefix("error.").startswith(code) for code in ERROR_CODES)
        assert known or f'"{key}"' in SOURCES
    else:
        group = re.sub(r"^(time|account\.done)\..*", r"\1.{", key)  # told apart while it runs
        assert f'"{key}"' in SOURCES or f'"{group}' in SOURCES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_speaks_both_languages(logged_in: Browser, anna: User, address: str, language: str) -> None:
    browser = Browser() if address == "/login" else logged_in
    if address.endswith(("remove", "codes")):
        User.objects.filter(pk=anna.pk).update(totp_confirmed_at=anna.created_at)
    page = browser.get(f"{address}?lang={language}")
    assert page.status == 200
    assert page.response["Content-Language"] == language
    assert bool(re.search(r"[\u4e00-\u9fff]", page.text.replace("中文", ""))) is (language == "zh")
    check_marks(page)


def check_marks(page: Any) -> None:
    """What holds for every page: one heading, a title, labels for all that is typed, no script, nothing inline."""
    assert len(page.all("h1")) == 1
    assert page.all("title")
    labels = {values["for"] for values in page.all("label")}
    typed = [values for values in page.all("input") if values.get("type") != "hidden" and "hidden" not in values]
    assert all(values["id"] in labels for values in typed)
    assert not page.all("script")
    assert not page.all("style")
    assert all(
        "style" not in values and not any(name.startswith("on") for name in values) for _, values in page.elements
    )
    assert len([values for values in page.all("input") if "autofocus" in values]) <= 1


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", ["recovery_codes", "second_factor", "login_link", "error", "logged_out"])
def test_pages_that_follow_something_speak_both_languages_too(
    db: None, rf: RequestFactory, template: str, language: str
) -> None:
    context = {"codes": ["a-b"], "username": "anna", "message": "x", "faults": {"code": "wrong"}, "return_to": "/"}
    response = render_page(rf.get(f"/x?lang={language}"), f"pages/{template}.html", context)
    assert f'lang="{ {"en": "en", "zh": "zh-Hans"}[language] }"' in response.content.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_error_without_words_of_its_own_says_its_title(language: str) -> None:
    assert ERROR_CODES["object.in_use"].title in error_text(language, HubError("object.in_use"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("problem", ["too_short", "too_long", "too_common", "all_digits", "is_name"])
def test_every_problem_of_a_password_has_words(language: str, problem: str) -> None:
    error = HubError("password.unfit", problems=[problem], minimum_length=12)
    assert error_text(language, error) == TEXTS[language][f"error.password.unfit.{problem}"].format(minimum_length=12)
