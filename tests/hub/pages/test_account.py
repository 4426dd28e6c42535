"""One's own account in a browser."""

import datetime
import re

import pyotp
import pytest
from django.utils import timezone

from hub.core.access import SYSTEM
from hub.identity.login_limits import PAIR_LIMIT
from hub.identity.login_links import make_login_link
from hub.identity.models import ExternalIdentity, IdentityProvider, Session, User
from hub.identity.second_factor import count_recovery_codes
from hub.identity.services import create_user, set_password
from hub.identity.sessions import FRESH, start_session
from tests.hub.builders import make_user, unique
from tests.hub.pages.browser import Browser, Page
from tests.hub.pages.conftest import PASSWORD

BETTER = "quite another long password"
PEER = "192.0.2.7"


@pytest.fixture
def by_link(anna: User) -> Browser:
    """Anna's browser after a login by a one-time link."""
    browser = Browser()
    address = f"/login/link/{make_login_link(SYSTEM, anna)}"
    assert browser.submit(browser.get(address), address).target == "/account"
    return browser


def change_password(browser: Browser, **fields: str) -> Page:
    page = browser.get("/account/password")
    return browser.submit(page, "/account/password", **fields)


def set_up(browser: Browser, user: User) -> list[str]:
    """Sets up a second factor in the browser: the recovery codes that it shows."""
    begun = browser.submit(browser.get("/account/second-factor"), "/account/second-factor", current=PASSWORD)
    assert begun.target == "/account/second-factor"
    user.refresh_from_db()
    shown = browser.submit(browser.get("/account/second-factor"), "/account/second-factor", code=code_of(user))
    assert shown.status == 200
    User.objects.filter(pk=user.pk).update(totp_last_step=0)  # as if half a minute had gone by
    return re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", shown.text)


def code_of(user: User) -> str:
    return str(pyotp.TOTP(user.totp_secret.reveal()).now())


class TestName:
    def test_it_is_changed_and_shown(self, logged_in: Browser, anna: User) -> None:
        sent = logged_in.submit(logged_in.get("/account"), "/account/name", display_name="  Anna   <Schmidt> ")
        page = logged_in.get(sent.target)
        assert "The name is saved." in page.text
        assert "Anna <Schmidt>" in page.text
        assert User.objects.get(pk=anna.pk).display_name == "Anna <Schmidt>"

    @pytest.mark.parametrize("name", ["\x00", "a\u202eb"])
    def test_what_cannot_be_read_is_not_taken(self, logged_in: Browser, anna: User, name: str) -> None:
        logged_in.submit(logged_in.get("/account"), "/account/name", display_name=name)
        assert User.objects.get(pk=anna.pk).display_name == "Anna"

    def test_a_provider_says_the_name_of_who_comes_by_it(self, logged_in: Browser, anna: User) -> None:
        provider = IdentityProvider.objects.create(
            name="corp", kind="oidc", issuer="https://corp.test", client_id="hub"
        )
        ExternalIdentity.objects.create(provider=provider, user=anna, issuer="https://corp.test", subject="1")
        page = logged_in.get("/account")
        assert not [form for form in page.all("form") if form["action"] == "/account/name"]
        proof = page.form("/logout").fields
        assert logged_in.post("/account/name", {**proof, "display_name": "x"}).status == 403
        assert User.objects.get(pk=anna.pk).display_name == "Anna"


class TestPassword:
    def test_who_knows_it_changes_it_and_stays_alone(self, logged_in: Browser, anna: User) -> None:
        other = Browser()
        other.log_in(anna.username, PASSWORD)
        sent = change_password(logged_in, current=PASSWORD, new=BETTER, again=BETTER)
        assert "Your other logins have ended" in logged_in.get(sent.target).text
        assert other.get("/account").target.startswith("/login")
        assert Browser().log_in(anna.username, BETTER).target == "/account"
        assert Browser(peer="192.0.2.8").log_in(anna.username, PASSWORD).status == 403

    @pytest.mark.parametrize(
        ("fields", "name", "text"),
        [
            ({"current": "wrong"}, "current", "The current password is not this one."),
            ({"new": "short", "again": "short"}, "new", "Use at least 12 characters."),
            ({"new": "manchesterunited", "again": "manchesterunited"}, "new", "Many people use this password."),
            ({"new": PASSWORD, "again": PASSWORD}, "new", "The new password is the old one."),
            ({"again": "something else"}, "again", "The two new passwords are not the same."),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field(
        self, logged_in: Browser, anna: User, fields: dict[str, str], name: str, text: str
    ) -> None:
        answer = change_password(logged_in, **{"current": PASSWORD, "new": BETTER, "again": BETTER, **fields})
        assert answer.status in (400, 403)
        assert text in answer.text
        (wrong,) = [values for values in answer.all("input") if values.get("aria-invalid")]
        assert wrong["name"] == name
        assert User.objects.get(pk=anna.pk).password_hash == anna.password_hash
        assert PASSWORD not in answer.response.content.decode()

    def test_sec56_guessing_the_current_one_is_braked(self, logged_in: Browser) -> None:
        for _ in range(PAIR_LIMIT):
            assert change_password(logged_in, current="wrong", new=BETTER, again=BETTER).status == 403
        assert change_password(logged_in, current=PASSWORD, new=BETTER, again=BETTER).status == 429

    def test_a_fresh_login_by_link_needs_none(self, by_link: Browser, anna: User) -> None:
        assert change_password(by_link, new=BETTER, again=BETTER).target == "/account?done=password"
        assert Browser().log_in(anna.username, BETTER).target == "/account"

    def test_an_old_one_does(self, by_link: Browser) -> None:
        Session.objects.update(created_at=timezone.now() - FRESH)
        assert change_password(by_link, new=BETTER, again=BETTER).status == 403

    def test_a_forced_change_asks_again_when_the_login_is_not_fresh(self, anna: User, browser: Browser) -> None:
        set_password(SYSTEM, anna, BETTER)
        browser.log_in(anna.username, BETTER)
        Session.objects.update(created_at=timezone.now() - FRESH)
        assert change_password(browser, new=PASSWORD, again=PASSWORD).status == 403
        assert User.objects.get(pk=anna.pk).must_change_password

    def test_who_has_none_is_told_so_and_gets_one_by_a_link_only(self, db: None) -> None:
        user, browser = make_user(), Browser()
        _, text = start_session(user, peer=PEER, user_agent="")
        browser.client.cookies["__Host-paddock"] = text
        assert "this hub has no password of yours" in browser.get("/account").text
        for path in ("/account/password", "/account/second-factor"):
            assert browser.get(path).status == 409


class TestSecondFactor:
    def test_it_is_set_up_with_the_password_and_a_code(self, logged_in: Browser, anna: User) -> None:
        codes = set_up(logged_in, anna)
        assert len(set(codes)) == 10
        assert "10 recovery codes left" in logged_in.get("/account").text
        page = Browser().log_in(anna.username, PASSWORD)
        assert page.target == "/login/second-factor"

    def test_the_key_is_shown_as_text_and_as_address(self, logged_in: Browser, anna: User) -> None:
        logged_in.submit(logged_in.get("/account/second-factor"), "/account/second-factor", current=PASSWORD)
        anna.refresh_from_db()
        page = logged_in.get("/account/second-factor")
        assert anna.totp_secret.reveal() in page.words
        assert any(word.startswith("otpauth://totp/Paddock:") for word in page.words)

    def test_a_found_browser_sets_up_none(self, logged_in: Browser, anna: User) -> None:
        page = logged_in.get("/account/second-factor")
        assert logged_in.submit(page, "/account/second-factor", current="wrong").status == 403
        anna.refresh_from_db()
        assert not anna.totp_secret

    def test_a_wrong_code_turns_it_not_on(self, logged_in: Browser, anna: User) -> None:
        logged_in.submit(logged_in.get("/account/second-factor"), "/account/second-factor", current=PASSWORD)
        answer = logged_in.submit(logged_in.get("/account/second-factor"), "/account/second-factor", code="000000")
        assert answer.status == 403
        assert "The code is wrong" in answer.text
        anna.refresh_from_db()
        assert not anna.has_second_factor

    def test_recovery_codes_log_in_once_each(self, logged_in: Browser, anna: User) -> None:
        code = set_up(logged_in, anna)[0]
        for status in (303, 403):
            visitor = Browser()
            page = visitor.get(visitor.log_in(anna.username, PASSWORD).target)
            assert visitor.submit(page, "/login/second-factor", code=code).status == status
        assert count_recovery_codes(anna) == 9

    @pytest.mark.parametrize("path", ["/account/second-factor/remove", "/account/recovery-codes"])
    def test_nothing_of_it_changes_without_a_code(self, logged_in: Browser, anna: User, path: str) -> None:
        codes = set_up(logged_in, anna)
        assert logged_in.submit(logged_in.get(path), path, code="000000").status == 403
        assert User.objects.get(pk=anna.pk).has_second_factor
        visitor = Browser()
        page = visitor.get(visitor.log_in(anna.username, PASSWORD).target)
        assert visitor.submit(page, "/login/second-factor", code=codes[0]).status == 303

    def test_with_a_code_it_is_removed(self, logged_in: Browser, anna: User) -> None:
        set_up(logged_in, anna)
        path = "/account/second-factor/remove"
        anna.refresh_from_db()
        sent = logged_in.submit(logged_in.get(path), path, code=code_of(anna))
        assert "The second factor is removed." in logged_in.get(sent.target).text
        assert Browser().log_in(anna.username, PASSWORD).target == "/account"

    def test_with_a_code_there_are_new_recovery_codes(self, logged_in: Browser, anna: User) -> None:
        old = set_up(logged_in, anna)
        path = "/account/recovery-codes"
        shown = logged_in.submit(logged_in.get(path), path, code=old[0])
        new = re.findall(r"\b[a-z2-9]{5}-[a-z2-9]{5}\b", shown.text)
        assert len(set(new) - set(old)) == 10
        assert not set(new) & set(logged_in.get("/account/second-factor").words)

    def test_who_has_lost_all_of_it_removes_it_after_a_login_by_link(self, logged_in: Browser, anna: User) -> None:
        set_up(logged_in, anna)
        browser, address = Browser(), f"/login/link/{make_login_link(SYSTEM, anna)}"
        browser.submit(browser.get(address), address)
        path = "/account/second-factor/remove"
        assert browser.submit(browser.get(path), path).status == 303
        assert not User.objects.get(pk=anna.pk).has_second_factor


class TestSessions:
    def test_ones_own_are_listed_by_browser_and_address(self, logged_in: Browser, anna: User) -> None:
        agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        session, _ = start_session(anna, peer="203.0.113.9", user_agent=agent)
        Session.objects.filter(pk=session.pk).update(last_seen_at=timezone.now() - datetime.timedelta(minutes=7))
        start_session(make_user(), peer="198.51.100.1", user_agent="")
        text = logged_in.get("/account").text
        assert "Firefox, Linux" in text
        assert "203.0.113.9 · last used 7 min ago" in text
        assert "This browser" in text
        assert "198.51.100.1" not in text

    def test_one_or_all_others_are_ended(self, logged_in: Browser, anna: User) -> None:
        first, second, third = (start_session(anna, peer=PEER, user_agent="")[0] for _ in range(3))
        proof = logged_in.get("/account").form("/logout").fields
        assert (
            logged_in.post("/account/sessions/end", {**proof, "id": str(first.pk)}).target == "/account?done=sessions"
        )
        assert {second, third} < set(Session.objects.filter(ended_at=None))
        assert logged_in.post("/account/sessions/end", proof).status == 303
        assert Session.objects.filter(ended_at=None).count() == 1
        assert logged_in.get("/account").status == 200

    def test_sec40_anothers_is_not(self, logged_in: Browser) -> None:
        other, _ = start_session(create_user(SYSTEM, unique("otto")), peer=PEER, user_agent="")
        proof = logged_in.get("/account").form("/logout").fields
        logged_in.post("/account/sessions/end", {**proof, "id": str(other.pk)})
        assert Session.objects.get(pk=other.pk).ended_at is None
        assert logged_in.post("/account/sessions/end", {**proof, "id": "x"}).status == 404
