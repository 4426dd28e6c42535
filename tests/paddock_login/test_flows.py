"""The two ways to log in, against a hub that answers as the RFCs let it."""

import base64
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from paddock_login import flows
from paddock_login.flows import has_browser, log_in
from paddock_login.hub_client import Hub, LoginError, Unreachable
from paddock_login.store import Store, Token
from tests.bed.https_server import Asked, Reply
from tests.paddock_login.scripted_hub import ScriptedHub

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def by_device(hub: ScriptedHub, said: list[str]) -> Callable[[], Token]:
    return lambda: log_in(Hub(hub.url, hub.server.ca_pem), said.append, flow="device")


def test_by_device_code_it_polls_until_somebody_has_said_yes(
    hub: ScriptedHub, by_device: Callable[[], Token], said: list[str]
) -> None:
    hub.polls = ["cli_login.authorization_pending", "cli_login.slow_down", "cli_login.authorization_pending"]
    token = by_device()
    assert (token.hub, token.token, token.username) == (hub.url, hub.issued[0], "anna")
    assert hub.paths().count("cli-logins/token") == 4
    assert any("BCDF-GHJK" in line and f"{hub.url}/device" in line for line in said)
    assert token.token not in "".join(said)


def test_told_to_slow_down_it_waits_longer(
    hub: ScriptedHub, by_device: Callable[[], Token], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(flows, "SLOWER_SECONDS", 5)
    monkeypatch.setattr(time, "sleep", waits.append)
    hub.polls = ["cli_login.authorization_pending", "cli_login.slow_down", "cli_login.slow_down"]
    by_device()
    assert waits == [0, 0, 5, 10]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("cli_login.denied", "denied in the browser"),
        ("cli_login.expired", "in time"),
        ("cli_login.unknown", "Try again"),
        ("hub.unavailable", "words for hub.unavailable"),
    ],
)
def test_a_no_ends_it_with_plain_words(hub: ScriptedHub, by_device: Callable[[], Token], code: str, words: str) -> None:
    hub.polls = [code]
    with pytest.raises(LoginError, match=words):
        by_device()
    assert hub.issued == []


def test_a_hub_that_is_away_for_a_moment_is_asked_again(
    hub: ScriptedHub, by_device: Callable[[], Token], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Hub._call
    failures = [1, 1]

    def flaky(self: Hub, method: str, path: str, *rest: object) -> object:
        if path == "cli-logins/token" and failures:
            failures.pop()
            raise Unreachable("away")
        return opened(self, method, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Hub, "_call", flaky)
    assert by_device().username == "anna"


def test_nobody_types_the_code(hub: ScriptedHub, by_device: Callable[[], Token]) -> None:
    hub.before_answer = lambda asked: (
        Reply({"user_code": "X", "device_code": "x", "verification_uri": "x", "expires_in": 0, "interval": 0}, 201)
        if asked.path.endswith("cli-logins")
        else None
    )
    with pytest.raises(LoginError, match="in time"):
        by_device()


def test_it_says_which_machine_asks_and_for_what(hub: ScriptedHub, said: list[str]) -> None:
    client = Hub(hub.url, hub.server.ca_pem)
    log_in(client, said.append, flow="device", seconds=600, read_only=True)
    (begun,) = hub.begun
    assert begun["host"] == flows.host_name()
    assert (begun["expires_in_seconds"], begun["scope"]) == (600, {"read_only": True})


class PlayedBrowser:
    """Sends the program what a browser brings after somebody's answer."""

    def __init__(self, hub: ScriptedHub, *answers: dict[str, str], path: str = "/callback") -> None:
        self._hub, self._answers, self._path = hub, answers, path
        self.statuses: list[int] = []
        self.opened: list[str] = []

    def open(self, address: str) -> bool:
        self.opened.append(address)
        threading.Thread(target=self._answer, daemon=True).start()
        return True

    def _answer(self) -> None:
        begun = self._hub.begun[-1]
        base = begun["redirect_uri"].removesuffix("/callback")
        for answer in self._answers:
            values = {name: value.replace("STATE", begun["state"]) for name, value in answer.items()}
            try:
                with urllib.request.urlopen(f"{base}{self._path}?{urlencode(values)}", timeout=10) as response:
                    self.statuses.append(response.status)
            except urllib.error.HTTPError as error:
                self.statuses.append(error.code)


YES = {"code": "pdc_code", "state": "STATE"}


def by_browser(
    hub: ScriptedHub, said: list[str], monkeypatch: pytest.MonkeyPatch, *answers: dict[str, str]
) -> tuple[Token, PlayedBrowser]:
    browser = PlayedBrowser(hub, *answers)
    monkeypatch.setattr(webbrowser, "open", browser.open)
    return log_in(Hub(hub.url, hub.server.ca_pem), said.append, flow="browser"), browser


def test_sec54_by_browser_it_proves_that_it_is_who_asked(
    hub: ScriptedHub, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token, browser = by_browser(hub, said, monkeypatch, YES)
    assert token.username == "anna"
    assert browser.opened == [f"{hub.url}/cli-login?id=1"]
    (begun,) = hub.begun
    assert begun["redirect_uri"].startswith("http://127.0.0.1:")
    (exchange,) = [asked for asked in hub.server.asked if asked.path.endswith("/token")]
    sent = exchange.body.decode()
    assert "pdc_code" in sent
    assert begun["code_challenge"] not in sent
    assert challenge_of(sent) == begun["code_challenge"]


def challenge_of(sent: str) -> str:
    verifier = json.loads(sent)["code_verifier"]
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def test_sec54_an_answer_with_another_state_is_not_ours(
    hub: ScriptedHub, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = {"code": "pdc_foreign", "state": "x" * 32}
    token, browser = by_browser(hub, said, monkeypatch, foreign, {"code": "pdc_none"}, {"state": "STATE"}, YES)
    assert token.username == "anna"
    (exchange,) = [asked for asked in hub.server.asked if asked.path.endswith("/token")]
    assert b"pdc_foreign" not in exchange.body
    assert browser.statuses[:3] == [404, 404, 404]


def test_a_no_in_the_browser_is_told(hub: ScriptedHub, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoginError, match="denied in the browser"):
        by_browser(hub, said, monkeypatch, {"error": "access_denied", "state": "STATE"})
    assert hub.issued == []


def test_a_hub_that_names_another_address_opens_no_page_there(
    hub: ScriptedHub, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(asked: Asked) -> Reply | None:
        begun = {"authorization_uri": "https://evil.example/cli-login?id=1", "expires_in": 600, "interval": 0}
        return Reply(begun, 201) if asked.path.endswith("/cli-logins") else None

    hub.before_answer = elsewhere
    browser = PlayedBrowser(hub, YES)
    monkeypatch.setattr(webbrowser, "open", browser.open)
    with pytest.raises(LoginError, match="another address"):
        log_in(Hub(hub.url, hub.server.ca_pem), said.append, flow="browser")
    assert browser.opened == []


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, False),
    ],
)
def test_a_browser_is_used_where_it_reaches_this_machine(
    store: Store, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], found: bool
) -> None:
    monkeypatch.setattr(webbrowser, "get", lambda: object())
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_browser() is found


def test_without_any_browser_there_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise webbrowser.Error("none")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "get", none)
    assert not has_browser()
