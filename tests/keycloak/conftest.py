"""The whole hub over TLS beside a real Keycloak, and a real browser between them.

The hub and Keycloak trust each other's certificate. Everything is set up by the commands of ``docs/keycloak.md`` as they are
written there, once for all tests of this folder; each test brings users of its own.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from hub.core.ids import uuid7
from hub.quickstart.hub_client import HubClient, HubRefused
from hub.quickstart.processes import manage
from hub.quickstart.stack import Stack, StackSettings
from tests.bed import keycloak_build
from tests.bed.keycloak import Keycloak
from tests.bed.waiting import wait_for

REALM = "company"
ADMINISTRATOR = "tests"
PASSWORD = "of a test user, 1"
ROUND_SECONDS = 1
LIMIT = 15.0
"""Seconds in which a change at Keycloak has to count: a round of a second, on a machine with other work."""
DOCS = Path(__file__).parents[2] / "docs" / "keycloak.md"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Site:
    """The hub as these tests use it."""

    stack: Stack
    keycloak: Keycloak
    administrator: HubClient
    shell: "Shell"

    @property
    def url(self) -> str:
        return self.stack.settings.url

    def make_user(self, *group_paths: str) -> "Person":
        name = f"u{uuid7().hex[-10:]}"
        id = self.keycloak.create_user(REALM, name, PASSWORD)
        for path in group_paths:
            self.keycloak.join(REALM, id, self.keycloak.create_group(REALM, path))
        return Person(name, id)

    def login_link(self) -> str:
        """A link that logs an administrator in."""
        return self.stack.processes.run("link", manage("login_link", ADMINISTRATOR), timeout=60).strip()

    def restart_web(self) -> None:
        """A web process that remembers nothing."""
        processes = self.stack.processes
        web = next(child.process for child in processes.children if child.name == "web")
        assert web is not None
        web.terminate()
        web.wait(20)
        processes.revive()
        wait_for("the web process", lambda: status_of(self.administrator) == 200, seconds=30)

    def provider(self) -> Any:
        return self.administrator.find("identity-providers", name=REALM)


@dataclass(frozen=True)
class Person:
    """A user of the realm; ``id`` is his subject."""

    name: str
    id: str


@dataclass
class Shell:
    """Runs the blocks of the page one after the other in one bash, as a reader would in his."""

    folder: Path
    variables: dict[str, str]
    substitutions: dict[str, str]

    def run(self, script: str) -> str:
        for written, real in self.substitutions.items():
            script = script.replace(written, real)
        state = self.folder / "state"
        begin = f"set -eu -o pipefail; [ ! -f {state} ] || . {state}\n"
        keep = f"\ndeclare -p PROVIDER GROUP VERSION PADDOCK_ADDRESS_ALLOW 2>/dev/null > {state} || true"
        done = subprocess.run(
            ["bash", "-c", begin + script + keep],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


def blocks_of_the_page() -> list[str]:
    return _BLOCK.findall(DOCS.read_text())


@pytest.fixture(scope="session")
def site(keycloak: Keycloak) -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="pdk-sso-", dir="/tmp"))
    home.chmod(0o711)
    pair = keycloak.authority.issue_server("hub", ["127.0.0.1", "localhost"])
    for name, text in (("hub.crt", pair.certificate_pem), ("hub.key", pair.key_pem), ("sso-ca.pem", keycloak.ca_pem)):
        (home / name).write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    stack = Stack(StackSettings(home / "state", f"127.0.0.1:{port}", url), simulate=False)
    settings = {
        "PADDOCK_ADDRESS_ALLOW": "127.0.0.0/8,::1/128",
        "PADDOCK_IDENTITY_SYNC_SECONDS": str(ROUND_SECONDS),
        "PADDOCK_TLS_CERT_FILE": str(home / "hub.crt"),
        "PADDOCK_TLS_KEY_FILE": str(home / "hub.key"),
        "PADDOCK_TLS_CA_FILE": str(home / "sso-ca.pem"),
    }
    with pytest.MonkeyPatch.context() as patch:  # only while it starts: its processes keep these variables
        for name in ("DATABASE_URL", "REDIS_URL", "PADDOCK_KEYS_FILE", "PADDOCK_HOME"):
            patch.delenv(name, raising=False)
        for name, value in settings.items():
            patch.setenv(name, value)
        stack.__enter__()
    try:
        yield _set_up(stack, keycloak, home)
    finally:
        stack.__exit__(None, None, None)
        shutil.rmtree(home, ignore_errors=True)


def _set_up(stack: Stack, keycloak: Keycloak, home: Path) -> Site:
    token = stack.processes.run("token", manage("issue_token", ADMINISTRATOR, "--administrator"), timeout=60).strip()
    ca_file = str(home / "sso-ca.pem")
    api = (
        f"api() {{ curl -sS --cacert {ca_file} -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' "
        f'"${{@:2}}" "{stack.settings.url}/api/v1/$1"; }}\n'
    )
    (home / "state").mkdir(exist_ok=True)
    shell = Shell(
        home,
        {**stack.processes.environment, "KEYCLOAK_PASSWORD": keycloak_build.PASSWORD, "BASH_ENV": str(home / "api.sh")},
        {
            "https://sso.example.com": keycloak.url,
            "sso-ca.pem": ca_file,
            "--admin admin": f"--admin {keycloak_build.ADMINISTRATOR}",
            "python manage.py": f"{sys.executable} manage.py",
        },
    )
    (home / "api.sh").write_text(api)
    shell.folder = home / "shell"
    shell.folder.mkdir()
    reach, set_up, *_ = blocks_of_the_page()
    shell.run(reach)
    shell.run(set_up)
    keycloak.create_group(REALM, "/staff/auditors")
    return Site(stack, keycloak, HubClient(stack.settings.url, ca_file, token), shell)


@pytest.fixture(scope="module")
def chrome(chromium: Path) -> Iterator[Chromium]:
    """For one module: while Playwright runs, its thread has a running event loop and no asynchronous test can start."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One browser window of its own, in front of the hub."""

    site: Site
    context: BrowserContext
    page: Page

    def log_in(self, person: Person, return_to: str = "/account") -> None:
        """By the hub's login page and Keycloak's."""
        self.page.goto(f"{self.site.url}/login?return_to={return_to}")
        self.page.get_by_role("link", name="Company login").click()
        self.fill_in(person)
        self.page.wait_for_url(f"{self.site.url}{return_to}")

    def fill_in(self, person: Person) -> None:
        """Keycloak's form."""
        self.page.fill("#username", person.name)
        self.page.fill("#password", PASSWORD)
        self.page.click("#kc-login")

    def whoami(self) -> Any:
        """What the API says to this browser; None when it is nobody."""
        answer = self.page.request.get(f"{self.site.url}/api/v1/whoami")
        return answer.json() if answer.ok else None

    def roles(self) -> list[str]:
        return [role["role"] for role in self.whoami()["roles"]]

    def usernames(self) -> list[str]:
        """The users that this one sees: himself, or all."""
        found = self.page.request.get(f"{self.site.url}/api/v1/users").json()["items"]
        return [user["username"] for user in found]

    def issue_token(self) -> str:
        """A token of this user, made as a page would."""
        proof = self.page.request.get(f"{self.site.url}/api/v1/session").json()["csrf_token"]
        headers = {"X-CSRF-Token": proof, "Origin": self.site.url, "Content-Type": "application/json"}
        answer = self.page.request.post(f"{self.site.url}/api/v1/tokens", headers=headers, data={"name": "mine"})
        assert answer.status == 201, answer.text()
        return str(answer.json()["token"])


@pytest.fixture
def visitors(site: Site, chrome: Chromium) -> Iterator[Any]:
    """Opens windows: ``visitors()``."""
    opened: list[BrowserContext] = []

    def open_window() -> Visitor:
        # Chromium has no store of ours; that certificates are checked is tested where the hub is the client.
        context = chrome.new_context(ignore_https_errors=True, locale="en-GB")
        context.set_default_timeout(20_000)
        opened.append(context)
        return Visitor(site, context, context.new_page())

    yield open_window
    for context in opened:
        context.close()


def token_status(site: Site, token: str) -> int:
    """What the hub answers to who comes with this token."""
    return status_of(HubClient(site.url, site.stack.processes.environment["PADDOCK_TLS_CA_FILE"], token))


def status_of(client: HubClient) -> int:
    """0 when nothing answers."""
    try:
        client.get("whoami")
    except HubRefused as error:
        return error.status
    except OSError:
        return 0
    return 200


def eventually(what: str, probe: Any) -> None:
    wait_for(what, probe, seconds=LIMIT, interval=0.1)
