"""Logging in and out in a browser."""

from collections.abc import Iterator

import pyotp
import pytest

from hub.access.services import ensure_first_admin
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.environment import environment
from hub.identity.actors import actor_of
from hub.identity.login_limits import PAIR_LIMIT
from hub.identity.login_links import make_login_link
from hub.identity.models import IdentityProvider, LoginLink, Session, User
from hub.identity.second_factor import begin_enrolment, confirm_enrolment
from hub.identity.services import set_password
from hub.identity.sessions import COOKIE
from hub.pages.login import TICKET_COOKIE
from tests.hub.pages.browser import Browser
from tests.hub.pages.conftest import PASSWORD

WRONG = "Name or password is wrong."


@pytest.fixture
def device(anna: User) -> pyotp.TOTP:
    """Anna's authenticator app, after she has set it up; the code that confirmed it is used."""
    begin_enrolment(actor_of(anna), anna)
    device = pyotp.TOTP(anna.totp_secret.reveal())
    confirm_enrolment(actor_of(anna), anna, device.now(), peer="203.0.113.1")
    User.objects.filter(pk=anna.pk).update(totp_last_step=0)
    return device


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local logins are off."""
    monkeypatch.setenv("PADDOCK_LOCAL_LOGIN", "hidden")
    environment.cache_clear()
    yield
    monkeypatch.undo()
    environment.cache_clear()


def make_provider(name: str, title: str, enabled: bool = True) -> None:
    IdentityProvider.objects.create(
        name=name, kind="oidc", display_name=title, issuer=f"https://{name}.test", client_id="hub", is_enabled=enabled
    )


class TestPassword:
    def test_the_right_one_opens_a_session_and_leads_on(self, anna: User, browser: Browser) -> None:
        assert browser.log_in(anna.username, PASSWORD, "/device").target == "/device"
        session = Session.objects.get()
        assert (session.user, session.method, session.peer) == (anna, "password", "192.0.2.7")
        assert browser.get("/account").status == 200

    @pytest.mark.parametrize(
        ("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("anna\x00", "x")]
    )
    def test_sec56_anything_else_is_one_answer(self, anna: User, browser: Browser, name: str, password: str) -> None:
        answer = browser.log_in(anna.username if name == "anna" else name, password)
        assert answer.status == 403
        assert WRONG in answer.text
        assert not browser.cookie(COOKIE)

    def test_what_was_typed_is_kept_but_not_the_password(self, anna: User, browser: Browser) -> None:
        answer = browser.log_in(anna.username, "wrong password here")
        fields = {str(values["name"]): values for values in answer.all("input")}
        assert fields["username"]["value"] == anna.username
        assert "value" not in fields["password"]
        assert fields["password"]["aria-invalid"] == "true"
        assert fields["password"]["aria-describedby"] == "password-fault "
        assert "autofocus" in fields["password"]

    def test_sec56_guessing_is_braked_and_says_for_how_long(self, anna: User, browser: Browser) -> None:
        for _ in range(PAIR_LIMIT):
            assert browser.log_in(anna.username, "wrong").status == 403
        answer = browser.log_in(anna.username, PASSWORD)
        assert answer.status == 429
        assert "Too many failed attempts" in answer.text
        assert not browser.cookie(COOKIE)

    def test_sec54_the_sessions_key_changes_at_each_login(self, anna: User, browser: Browser) -> None:
        browser.client.cookies[COOKIE] = "pds_aaaaaaaaaaaa_" + "a" * 43
        browser.log_in(anna.username, PASSWORD)
        first = browser.cookie(COOKIE)
        assert first != "pds_aaaaaaaaaaaa_" + "a" * 43
        page = browser.get("/account")
        form = {**page.form("/logout").fields, "username": anna.username, "password": PASSWORD}
        assert browser.post("/login", form).target == "/account"
        assert browser.cookie(COOKIE) != first
        assert list(Session.objects.order_by("created_at").values_list("end_reason", flat=True)) == ["replaced", ""]

    def test_a_good_login_is_in_the_trail_once(self, logged_in: Browser, anna: User) -> None:
        event = AuditEvent.objects.get(verb="login")
        assert (event.object_id, event.outcome, event.source_ip) == (anna.pk, "succeeded", "192.0.2.7")

    def test_sec12_the_first_administrator_can_do_nothing_until_his_password_is_his_own(
        self, db: None, browser: Browser
    ) -> None:
        admin, password = ensure_first_admin()
        assert password is not None
        target = browser.log_in(admin.username, password, "/device").target
        assert target == "/account/password?return_to=%2Fdevice"
        assert browser.get("/account").target == "/account/password"
        assert browser.client.get("/api/v1/tenants", secure=True).status_code == 403
        page = browser.get(target)
        assert "Somebody else has set this password" in page.text
        assert browser.submit(page, "/account/password", new=PASSWORD, again=PASSWORD).target == "/device"
        assert browser.get("/account").status == 200
        assert browser.client.get("/api/v1/tenants", secure=True).status_code == 200


class TestSecondFactor:
    def test_the_password_alone_opens_nothing(self, anna: User, device: pyotp.TOTP, browser: Browser) -> None:
        assert browser.log_in(anna.username, PASSWORD, "/device").target == "/login/second-factor?return_to=%2Fdevice"
        assert not browser.cookie(COOKIE)
        assert browser.get("/account").target.startswith("/login")
        assert not Session.objects.exists()
        assert not AuditEvent.objects.filter(verb="login", outcome="succeeded").exists()

    def test_a_code_after_it_opens_a_session(self, anna: User, device: pyotp.TOTP, browser: Browser) -> None:
        page = browser.get(browser.log_in(anna.username, PASSWORD, "/device").target)
        assert anna.username in page.text
        assert browser.submit(page, "/login/second-factor", code=device.now()).target == "/device"
        assert browser.get("/account").status == 200
        assert not browser.cookie(TICKET_COOKIE)

    def test_sec54_the_same_code_opens_no_second_one(self, anna: User, device: pyotp.TOTP, browser: Browser) -> None:
        code = device.now()
        for status in (303, 403):
            visitor = Browser()
            page = visitor.get(visitor.log_in(anna.username, PASSWORD).target)
            assert visitor.submit(page, "/login/second-factor", code=code).status == status
        assert Session.objects.count() == 1

    def test_a_wrong_code_is_told_at_its_field(self, anna: User, device: pyotp.TOTP, browser: Browser) -> None:
        page = browser.get(browser.log_in(anna.username, PASSWORD).target)
        answer = browser.submit(page, "/login/second-factor", code="000000")
        assert answer.status == 403
        assert "The code is wrong" in answer.text
        assert not browser.cookie(COOKIE)

    def test_sec56_guessing_codes_is_braked(self, anna: User, device: pyotp.TOTP, browser: Browser) -> None:
        page = browser.get(browser.log_in(anna.username, PASSWORD).target)
        for _ in range(PAIR_LIMIT):
            assert browser.submit(page, "/login/second-factor", code="000000").status == 403
        assert browser.submit(page, "/login/second-factor", code=device.now()).status == 429

    def test_without_the_password_there_is_no_asking(self, anna: User, device: pyotp.TOTP, browser: Browser) -> None:
        assert browser.get("/login/second-factor").target == "/login"
        browser.client.cookies[TICKET_COOKIE] = "forged"
        assert browser.get("/login/second-factor").target == "/login"

    def test_a_ticket_ends_with_the_password_that_was_shown(
        self, anna: User, device: pyotp.TOTP, browser: Browser
    ) -> None:
        page = browser.get(browser.log_in(anna.username, PASSWORD).target)
        set_password(SYSTEM, anna, PASSWORD + "!")
        assert browser.submit(page, "/login/second-factor", code=device.now()).target == "/login"
        assert not browser.cookie(COOKIE)


class TestProviders:
    def test_each_that_is_on_has_a_button_that_keeps_the_way(self, anna: User, browser: Browser) -> None:
        make_provider("corp", "Corporate <login>")
        make_provider("off", "Off", enabled=False)
        page = browser.get("/login?return_to=/device")
        addresses = [values["href"] for values in page.all("a") if values.get("class", "") != "skip"]
        assert "/login/corp?return_to=%2Fdevice" in addresses
        assert "Log in with Corporate <login>" in page.text
        assert "Off" not in page.text

    @pytest.mark.usefixtures("hidden")
    def test_hidden_the_form_is_not_there_and_not_taken(self, anna: User, browser: Browser) -> None:
        make_provider("corp", "Corporate")
        page = browser.get("/login")
        assert not page.all("form")
        assert "Log in with Corporate" in page.text
        proof = browser.get(f"/login/link/{make_login_link(SYSTEM, anna)}").all("input")[0]["value"]
        answer = browser.post("/login", {"csrf": str(proof), "username": anna.username, "password": PASSWORD})
        assert answer.status == 403
        assert not browser.cookie(COOKIE)
        assert not Session.objects.exists()

    @pytest.mark.usefixtures("hidden", "db")
    def test_hidden_without_a_provider_the_page_says_what_to_do(self, browser: Browser) -> None:
        assert "manage.py login_link" in browser.get("/login").text


class TestLink:
    def test_opening_it_asks_and_uses_nothing_up(self, anna: User, browser: Browser) -> None:
        address = f"/login/link/{make_login_link(SYSTEM, anna)}"
        for _ in range(2):
            assert f"Log in as {anna.username}" in browser.get(address).text
        assert LoginLink.objects.get().used_at is None

    @pytest.mark.usefixtures("hidden")
    def test_it_logs_in_once_also_while_local_logins_are_hidden(
        self, anna: User, device: pyotp.TOTP, browser: Browser
    ) -> None:
        address = f"/login/link/{make_login_link(SYSTEM, anna)}"
        page = browser.get(address)
        assert browser.submit(page, address).target == "/account"
        assert browser.get("/account").status == 200
        assert browser.get(address).status == 404

    def test_sec54_another_site_cannot_use_it(self, anna: User, browser: Browser) -> None:
        address = f"/login/link/{make_login_link(SYSTEM, anna)}"
        assert (
            browser.post(address, browser.get(address).form(address).fields, Origin="https://evil.test").status == 403
        )
        assert LoginLink.objects.get().used_at is None

    @pytest.mark.parametrize("text", ["x", "pdl_aaaaaaaaaaaa_" + "a" * 43, "pdk_aaaaaaaaaaaa_" + "a" * 43])
    def test_anything_else_is_one_answer(self, anna: User, browser: Browser, text: str) -> None:
        answer = browser.get(f"/login/link/{text}")
        assert answer.status == 404
        assert "The link is wrong, was used before, or is too old" in answer.text


class TestLogout:
    def test_sec47_it_ends_the_session_on_the_hub_too(self, logged_in: Browser) -> None:
        cookie = logged_in.cookie(COOKIE)
        page = logged_in.get("/account")
        assert logged_in.submit(page, "/logout").target == "/logout"
        assert "Logged out" in logged_in.get("/logout").text
        assert not logged_in.cookie(COOKIE)
        thief = Browser()
        thief.client.cookies[COOKIE] = cookie
        assert thief.get("/account").target.startswith("/login")
        assert thief.client.get("/api/v1/whoami", secure=True).status_code == 401

    def test_opening_its_address_ends_nothing(self, logged_in: Browser) -> None:
        assert "Ends this login" in logged_in.get("/logout").text
        assert logged_in.get("/account").status == 200

    def test_sec71_another_site_logs_nobody_out(self, logged_in: Browser) -> None:
        assert logged_in.post("/logout", {}).status == 403
        assert logged_in.get("/account").status == 200

    def test_who_is_logged_out_is_told_so_however_often(self, db: None, browser: Browser) -> None:
        assert "Logged out" in browser.get("/logout").text
        page = browser.get("/login")
        assert browser.post("/logout", {"csrf": page.form("/login").fields["csrf"]}).status == 200
