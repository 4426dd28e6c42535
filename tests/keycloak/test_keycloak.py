"""Logging in by a real Keycloak in a real browser, and everything that has to end when it says so.

One hub and one Keycloak for all; the last test stops it and starts it again.
"""

import json
import time
from typing import Any

import pytest

from tests.keycloak.conftest import PASSWORD, REALM, Site, blocks_of_the_page, eventually, token_status

AUDITORS = "/staff/auditors"


@pytest.fixture
def auditors(site: Site) -> None:
    """Members of the group read everything: by the commands of the page."""
    if site.administrator.find("groups", key=AUDITORS) is None:
        assert site.shell.run(blocks_of_the_page()[2]).split() == [AUDITORS, "hub-auditor"]


def test_sso3_a_login_leads_through_keycloak_to_the_page_that_was_wanted(site: Site, visitors: Any) -> None:
    person, visitor = site.make_user(), visitors()
    visitor.log_in(person, "/device")
    assert visitor.whoami()["name"] == person.name
    cookie = next(one for one in visitor.context.cookies() if one["name"] == "__Host-paddock")
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    logins = site.administrator.get("audit-events", verb="login")["items"]
    event = next(one for one in logins if one["object"]["name"] == person.name)
    assert (event["outcome"], event["detail"]["provider"]) == ("succeeded", REALM)


def test_sec54_the_session_has_a_new_key_at_each_login(site: Site, visitors: Any) -> None:
    person, visitor = site.make_user(), visitors()
    visitor.log_in(person)

    def key() -> str:
        return next(str(one["value"]) for one in visitor.context.cookies() if one["name"] == "__Host-paddock")

    first = key()
    visitor.page.goto(f"{site.url}/login/{REALM}")  # Keycloak still knows him and asks nothing
    visitor.page.wait_for_url(f"{site.url}/account")
    assert key() != first


def test_sso4_a_group_gives_its_role_and_takes_it_when_it_is_left(site: Site, visitors: Any, auditors: None) -> None:
    person, visitor = site.make_user(AUDITORS), visitors()
    visitor.log_in(person)
    token = visitor.issue_token()
    assert visitor.roles() == ["hub-auditor"]
    names = visitor.usernames()
    assert len(names) > 1
    group = site.keycloak.create_group(REALM, AUDITORS)
    site.keycloak.leave(REALM, person.id, group)
    eventually("the role to be gone", lambda: visitor.roles() == [])
    assert visitor.usernames() == [person.name]
    assert token_status(site, token) == 200  # he is still somebody

    site.keycloak.join(REALM, person.id, group)
    eventually("the role to be back", lambda: visitor.roles() == ["hub-auditor"])


def test_sec50_a_group_of_the_same_name_elsewhere_is_another(site: Site, visitors: Any, auditors: None) -> None:
    person, visitor = site.make_user("/auditors", f"{AUDITORS}/more", "/other/staff/auditors"), visitors()
    visitor.log_in(person)
    assert visitor.roles() == []
    assert visitor.usernames() == [person.name]


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_sec46_who_is_disabled_or_deleted_there_is_out_here(site: Site, visitors: Any, how: str) -> None:
    person, visitor = site.make_user(), visitors()
    visitor.log_in(person)
    token = visitor.issue_token()
    assert token_status(site, token) == 200
    if how == "disabled":
        site.keycloak.update_user(REALM, person.id, enabled=False)
    else:
        site.keycloak.delete_user(REALM, person.id)
    eventually("session and token to be refused", lambda: visitor.whoami() is None and token_status(site, token) == 401)
    sessions = site.administrator.get("sessions", sort="-created_at")["items"]
    assert next(one for one in sessions if one["username"] == person.name)["end_reason"] == "disabled_at_provider"


def test_sec47_logging_out_here_logs_out_there(site: Site, visitors: Any) -> None:
    person, visitor = site.make_user(), visitors()
    visitor.log_in(person)
    assert len(site.keycloak.sessions(REALM, person.id)) == 1
    cookies = visitor.context.cookies()
    visitor.page.get_by_role("button", name="Log out").first.click()
    eventually("Keycloak's session to be over", lambda: not site.keycloak.sessions(REALM, person.id))
    visitor.page.wait_for_url(f"{site.url}/logout")  # Keycloak has sent the browser back
    assert visitor.whoami() is None
    visitor.context.add_cookies(cookies)
    assert visitor.whoami() is None  # the old cookie is worth nothing


def test_sec47_logging_out_there_logs_out_here(site: Site, visitors: Any) -> None:
    person, visitor, other = site.make_user(), visitors(), visitors()
    visitor.log_in(person)
    other.log_in(person)
    time.sleep(1)  # Keycloak remembers the second from which on logins count
    site.keycloak.log_out(REALM, person.id)
    eventually("both sessions to be over", lambda: visitor.whoami() is None and other.whoami() is None)


def test_sec47_the_end_of_one_session_there_is_the_end_of_one_here(site: Site, visitors: Any) -> None:
    person, visitor, other = site.make_user(), visitors(), visitors()
    visitor.log_in(person)
    first = {one["id"] for one in site.keycloak.sessions(REALM, person.id)}
    other.log_in(person)
    site.keycloak.end_session(REALM, first.pop())  # tells the hub's back channel before it answers
    assert visitor.whoami() is None
    assert other.whoami() is not None


def test_flt36_new_signing_keys_are_no_outage(site: Site, visitors: Any) -> None:
    site.keycloak.rotate_keys(REALM)
    person, visitor = site.make_user(), visitors()
    visitor.log_in(person)
    assert visitor.whoami() is not None


def test_sso4_groups_and_users_are_searched_at_keycloak(site: Site) -> None:
    person = site.make_user("/search/needle-one")
    site.keycloak.create_group(REALM, "/needle-two/haystack")
    path = f"identity-providers/{site.provider()['id']}/search"
    found = site.administrator.post(path, {"search": "needle"})
    assert [(group["id"], group["key"]) for group in found["groups"]] == [
        (None, "/needle-two"),
        (None, "/search/needle-one"),
    ]
    users = site.administrator.post(path, {"search": person.name})["users"]
    assert [(user["subject"], user["username"], user["user"]) for user in users] == [(person.id, person.name, None)]


def test_sso2_a_restricted_provider_lets_in_members_and_puts_out_who_leaves(
    site: Site, visitors: Any, auditors: None
) -> None:
    member, stranger = site.make_user(AUDITORS), site.make_user()
    inside, outside, early = visitors(), visitors(), visitors()
    early.log_in(stranger)
    assert site.shell.run(blocks_of_the_page()[3]).strip() == "restricted"
    try:
        inside.log_in(member)
        outside.page.goto(f"{site.url}/login/{REALM}")
        outside.fill_in(stranger)
        outside.page.get_by_text("Your groups at the identity provider do not let you in here").wait_for()
        eventually("who came in earlier to be out", lambda: early.whoami() is None)
        assert inside.whoami() is not None
        site.keycloak.leave(REALM, member.id, site.keycloak.create_group(REALM, AUDITORS))
        eventually("who left the group to be out", lambda: inside.whoami() is None)
    finally:
        site.administrator.patch(f"identity-providers/{site.provider()['id']}", {"access_mode": "open"})


def test_sso3_the_set_up_client_is_narrow(site: Site) -> None:
    client = site.keycloak.client(REALM, "paddock")
    assert client["redirectUris"] == [f"{site.url}/login/{REALM}/callback"]
    assert client["attributes"]["post.logout.redirect.uris"] == f"{site.url}/logout"
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    flows = ("implicitFlowEnabled", "directAccessGrantsEnabled", "serviceAccountsEnabled", "publicClient")
    assert [client[name] for name in flows] == [False] * 4
    assert "*" not in json.dumps(client["redirectUris"] + client["webOrigins"])
    assert site.keycloak.client(REALM, "paddock-sync")["standardFlowEnabled"] is False
    site.shell.run(blocks_of_the_page()[1])  # again
    assert site.keycloak.client(REALM, "paddock")["id"] == client["id"]
    provider = site.provider()
    assert (provider["has_client_secret"], provider["sync_error"], provider["is_enabled"]) == (True, "", True)
    assert site.keycloak.client(REALM, "paddock")["secret"] not in json.dumps(provider)


@pytest.mark.parametrize(
    ("locale", "title", "log_in", "save"),
    [
        ("en-GB", "Identity provider", "Log in at the provider", "Save and let people log in"),
        ("zh-CN", "身份提供方", "前往身份提供方登录", "保存并允许登录"),
    ],
)
def test_sso2_a_provider_is_tested_in_the_administrators_browser_before_it_is_saved(
    site: Site, chrome: Any, locale: str, title: str, log_in: str, save: str
) -> None:
    """An administrator who came by a one-time link sets up the same Keycloak's other realm."""
    realm = f"branch-{locale.lower()}"
    site.keycloak.create_realm(realm)
    person = site.keycloak.create_user(realm, "tina", PASSWORD)
    site.keycloak.join(realm, person, site.keycloak.create_group(realm, "/branch"))
    secret = site.keycloak.create_client(realm, "hub", f"{site.url}/login/{realm}/callback")
    context = chrome.new_context(ignore_https_errors=True, locale=locale)
    context.set_default_timeout(20_000)
    page = context.new_page()
    try:
        page.goto(site.login_link())
        page.locator("main button").click()
        page.goto(f"{site.url}/providers/test")
        assert page.locator("h1").inner_text() == title
        page.select_option("#kind", "oidc")
        fields = {
            "name": realm,
            "issuer": site.keycloak.issuer(realm),
            "client_id": "hub",
            "ca_pem": site.keycloak.ca_pem,
        }
        for name, value in {**fields, "client_secret": "wrong"}.items():
            page.fill(f"#{name}", value)
        page.locator("main form button").click()
        assert states(page) == {"discovery": "passed", "keys": "passed", "login": "pending", "groups": "pending"}
        assert page.get_by_role("button", name=save).count() == 0
        page.get_by_role("button", name=log_in).click()
        page.fill("#username", "tina")
        page.fill("#password", PASSWORD)
        page.click("#kc-login")
        page.wait_for_url("**/providers/test/*")
        assert states(page)["login"] == "failed"  # the secret

        page.goto(f"{site.url}/providers/test")
        page.select_option("#kind", "oidc")
        for name, value in {**fields, "client_secret": secret}.items():
            page.fill(f"#{name}", value)
        page.locator("main form button").click()
        page.get_by_role("button", name=log_in).click()
        page.wait_for_url("**/providers/test/*")
        assert states(page) == {"discovery": "passed", "keys": "passed", "login": "passed", "groups": "passed"}
        assert "/branch" in page.locator("main").inner_text()
        assert secret not in page.content()
        page.get_by_role("button", name=save).click()
        page.locator(".notice.ok").wait_for()
        saved = site.administrator.get("identity-providers", name=realm)["items"]
        assert [one["is_enabled"] for one in saved] == [True]
    finally:
        context.close()
        found = site.administrator.find("identity-providers", name=realm)
        if found is not None:
            site.administrator.delete(f"identity-providers/{found['id']}")


def states(page: Any) -> dict[str, str]:
    return {
        one.get_attribute("data-step"): one.get_attribute("data-state") for one in page.locator("[data-step]").all()
    }


def test_flt36_while_keycloak_is_stopped_sessions_go_on_and_new_logins_fail_clearly(site: Site, visitors: Any) -> None:
    person, visitor = site.make_user(), visitors()
    visitor.log_in(person)
    token = visitor.issue_token()
    site.keycloak.stop()
    try:
        provider = f"identity-providers/{site.provider()['id']}"
        eventually("the sync to say so", lambda: "reached" in site.administrator.get(provider)["sync_error"])
        assert visitor.whoami() is not None
        assert token_status(site, token) == 200
        site.restart_web()  # nothing is remembered
        newcomer = visitors()
        answer = newcomer.page.goto(f"{site.url}/login/{REALM}")
        assert answer is not None
        assert answer.status == 503
        assert "does not answer" in newcomer.page.locator("main").inner_text()
        assert visitor.whoami() is not None
        visitor.page.goto(f"{site.url}/account")
        visitor.page.get_by_role("button", name="Log out").first.click()
        eventually("the logout to count here", lambda: visitor.whoami() is None)
    finally:
        site.keycloak.start()
    eventually("the sync to go on", lambda: site.administrator.get(provider)["sync_error"] == "")
    back = visitors()
    back.log_in(person)
    assert back.whoami() is not None
