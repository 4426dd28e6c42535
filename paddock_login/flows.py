"""The two ways to log in: by a browser on this machine (RFC 8252, PKCE), or by a code typed elsewhere (RFC 8628)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import os
import platform
import secrets
import sys
import time
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .hub_client import Hub, LoginError, Unreachable
from .store import Token

CALLBACK_PATH = "/callback"
SLOWER_SECONDS = 5
LOOK_SECONDS = 0.5

Say = Callable[[str], None]


def log_in(hub: Hub, say: Say, *, flow: str = "auto", seconds: int | None = None, read_only: bool = False) -> Token:
    """A new token of whoever says yes in the browser. ``flow``: "browser", "device", or "auto" for what this machine can.

    ``seconds`` is how long it is to live, None for as long as the hub allows. Raises LoginError.
    """
    wanted: dict[str, Any] = {"host": host_name(), "scope": {"read_only": read_only}}
    if seconds is not None:
        wanted["expires_in_seconds"] = seconds
    by_browser = flow == "browser" or (flow == "auto" and has_browser())
    answer = _by_browser(hub, say, wanted) if by_browser else _by_device(hub, say, wanted)
    return Token(hub.url, str(answer["token"]), str(answer["username"]), str(answer["expires_at"]))


def has_browser() -> bool:
    """Whether a browser can be opened that reaches this machine's loopback: not from a session on another machine."""
    if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"):
        return False
    if sys.platform not in ("win32", "darwin") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def host_name() -> str:
    """What this machine calls itself, as the page that confirms shows it."""
    name = platform.node()
    return name[:253] if name.isascii() and name.isprintable() else ""


def _by_device(hub: Hub, say: Say, wanted: dict[str, Any]) -> Any:
    begun = hub.post("cli-logins", {**wanted, "flow": "device"})
    say(f"Open {begun['verification_uri']} in a browser and type the code {begun['user_code']}")
    say("Waiting. Press Ctrl-C to give up.")
    interval = float(begun["interval"])
    deadline = time.monotonic() + float(begun["expires_in"])
    while time.monotonic() < deadline:
        time.sleep(interval)
        try:
            return hub.post("cli-logins/token", {"device_code": begun["device_code"]})
        except Unreachable:
            interval += SLOWER_SECONDS  # the connection may come back before the code ends
        except LoginError as error:
            if error.code == "cli_login.slow_down":
                interval += SLOWER_SECONDS
            elif error.code != "cli_login.authorization_pending":
                raise _explained(error) from None
    raise LoginError("Nobody typed the code in time. Try again.")


def _by_browser(hub: Hub, say: Say, wanted: dict[str, Any]) -> Any:
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with _Callback(state) as callback:
        begun = hub.post(
            "cli-logins",
            {
                **wanted,
                "flow": "browser",
                "redirect_uri": callback.uri,
                "code_challenge": challenge,
                "state": state,
            },
        )
        address = str(begun["authorization_uri"])
        if not address.startswith(f"{hub.url}/"):
            raise LoginError("The hub names another address as its own; log in to that one, or use --device")
        say(f"Confirm in the browser. If none has opened, visit {address}")
        say("Waiting. Press Ctrl-C to give up.")
        webbrowser.open(address)
        code = callback.wait(float(begun["expires_in"]))
    try:
        return hub.post("cli-logins/token", {"code": code, "code_verifier": verifier})
    except LoginError as error:
        raise _explained(error) from None


def _explained(error: LoginError) -> LoginError:
    words = {
        "cli_login.denied": "The login was denied in the browser.",
        "cli_login.expired": "Nobody confirmed the login in time. Try again.",
        "cli_login.unknown": "This login is over. Try again.",
    }
    return LoginError(words[error.code], error.code, error.status) if error.code in words else error


class _Callback:
    """A server on loopback that takes one answer of the browser: the one that carries our state."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._answer: dict[str, str] | None = None
        callback = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = callback._take(self.path)
                self._say(200 if found else 404, callback._words() if found else "There is nothing here.")

            def _say(self, status: int, words: str) -> None:
                content = (
                    f"<!doctype html><meta charset=utf-8><title>Paddock</title><p>{html.escape(words)}</p>".encode()
                )
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the line would hold the code."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._server.timeout = LOOK_SECONDS

    def __enter__(self) -> _Callback:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{CALLBACK_PATH}"

    def wait(self, seconds: float) -> str:
        """The code. Raises LoginError when it was denied, or does not come in time."""
        deadline = time.monotonic() + seconds
        while self._answer is None and time.monotonic() < deadline:
            self._server.handle_request()
        if self._answer is None:
            raise LoginError("Nobody confirmed the login in time. Try again.")
        if "code" not in self._answer:
            raise LoginError("The login was denied in the browser.", "cli_login.denied")
        return self._answer["code"]

    def _take(self, target: str) -> bool:
        parts = urlsplit(target)
        values = {name: found[0] for name, found in parse_qs(parts.query).items()}
        ours = hmac.compare_digest(values.get("state", "").encode(), self._state.encode())
        if parts.path != CALLBACK_PATH or not ours or not {"code", "error"} & set(values):
            return False
        self._answer = values
        return True

    def _words(self) -> str:
        denied = self._answer is not None and "code" not in self._answer
        return (
            "The login was denied. You can close this page."
            if denied
            else "Go back to your terminal. You can close this page."
        )
