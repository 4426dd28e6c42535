"""The pages on which a provider is tried; what they say is asked of the steps, in both languages."""

from urllib.parse import urlsplit

import pytest

from hub.access.models import RoleBinding
from hub.access.services import bind_role
from hub.core.access import SYSTEM
from hub.identity.models import IdentityProvider, ProviderDraft, User
from hub.identity.provider_drafts import RESULTS
from hub.pages.texts import TEXTS
from tests.bed.scripted_provider import ScriptedProvider
from tests.hub.pages.browser import Browser, Page
from tests.hub.pages.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(anna: User, browser: Browser) -> Browser:
    bind_role(SYSTEM, "hub-admin", anna)
    browser.log_in(anna.username, PASSWORD)
    return browser


def send_settings(browser: Browser, scripted: ScriptedProvider, **changes: str) -> Page:
    fields = {
        "kind": "oidc",
        "name": "sso",
        "issuer": scripted.issuer,
        "client_id": scripted.client_id,
        "client_secret": scripted.client_secret,
        "groups_claim": "groups",
        "group_key": "path",
        "ca_pem": scripted.ca_pem,
        **changes,
    }
    return browser.submit(browser.get("/providers/test"), "/providers/test", **fields)


def states(page: Page) -> list[str]:
    return [str(one["data-state"]) for one in page.all("li") if "data-state" in one]


def press(browser: Browser, path: str, action: str) -> Page:
    return browser.post(path, {**browser.get(path).form(path).fields, "action": action})


def log_in_there(browser: Browser, scripted: ScriptedProvider, path: str, **claims: object) -> Page:
    answer = urlsplit(scripted.authorize(press(browser, path, "login").target, "root-id", **claims))
    assert browser.get(f"{answer.path}?{answer.query}").target == path
    return browser.get(path)


def test_all_steps_and_then_it_is_saved(administrator: Browser, scripted: ScriptedProvider) -> None:
    path = send_settings(administrator, scripted).target
    assert states(administrator.get(path)) == ["passed", "passed", "pending", "pending"]
    assert press(administrator, path, "save").status == 409
    page = log_in_there(administrator, scripted, path, groups=["/staff"])
    assert states(page) == ["passed"] * 4
    assert "/staff" in page.text
    assert press(administrator, path, "save").status == 200
    saved = IdentityProvider.objects.get()
    assert (saved.is_enabled, saved.tested_at is not None) == (True, True)
    assert saved.client_secret.reveal() == scripted.client_secret
    assert not ProviderDraft.objects.exists()
    assert User.objects.count() == 1  # trying it has let nobody in


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({}, "no claim groups"),
        ({"groups": ["staff"]}, "no group of the form"),
        ({"hasgroups": True}, "too many groups"),
    ],
    ids=["absent", "other-form", "overage"],
)
def test_groups_that_are_not_told_are_a_warning(
    administrator: Browser, scripted: ScriptedProvider, claims: dict[str, object], said: str
) -> None:
    page = log_in_there(administrator, scripted, send_settings(administrator, scripted).target, **claims)
    assert states(page) == ["passed", "passed", "passed", "warning"]
    assert said in page.text


def test_a_wrong_secret_is_a_failed_step_with_what_to_do(administrator: Browser, scripted: ScriptedProvider) -> None:
    page = log_in_there(administrator, scripted, send_settings(administrator, scripted, client_secret="wrong").target)
    assert states(page) == ["passed", "passed", "failed", "pending"]
    assert "invalid_client" in page.text
    assert "https://testserver/login/sso/callback" in page.text


def test_a_provider_that_is_down_can_be_asked_again(administrator: Browser, scripted: ScriptedProvider) -> None:
    scripted.broken = True
    path = send_settings(administrator, scripted).target
    assert states(administrator.get(path))[0] == "failed"
    scripted.broken = False
    press(administrator, path, "check")
    assert states(administrator.get(path))[:2] == ["passed", "passed"]


def test_settings_that_cannot_be_are_shown_again_without_the_secret(
    administrator: Browser, scripted: ScriptedProvider
) -> None:
    page = send_settings(administrator, scripted, name="Not a name")
    assert page.status == 400
    assert scripted.client_secret not in page.response.content.decode()
    assert scripted.issuer in page.response.content.decode()
    assert not ProviderDraft.objects.exists()


def test_whoever_is_no_administrator_tries_nothing(administrator: Browser, scripted: ScriptedProvider) -> None:
    path = send_settings(administrator, scripted).target
    RoleBinding.objects.all().delete()
    assert administrator.get("/providers/test").status == 403
    assert administrator.get(path).status == 403
    assert Browser().get(path).target.startswith("/login?")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_result_has_its_words(language: str) -> None:
    for code, (_, _, fix) in RESULTS.items():
        assert f"provider_test.{code}" in TEXTS[language]
        assert (f"provider_test.{code}.fix" in TEXTS[language]) == bool(fix)
