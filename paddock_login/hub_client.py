"""Calls of the hub's REST API over HTTPS, and what goes wrong with them in plain words.

The hub's certificate is verified always: by the authority that was pinned at the login, else by those of this machine.
Redirects are not followed, so a token goes to the hub alone.
"""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

TIMEOUT = 30.0
ANSWER_LIMIT = 8 * 1024 * 1024


class LoginError(Exception):
    """What the user is told in one or two sentences. ``code`` is the hub's, "" when it was not the hub that said no."""

    def __init__(self, message: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Unreachable(LoginError):
    """The hub could not be asked at all."""


class Hub:
    """One hub, at ``url`` (``https://HOST[:PORT]``); ``ca_pem`` is the authority of its certificate, None for the machine's."""

    def __init__(self, url: str, ca_pem: str | None = None, timeout: float = TIMEOUT) -> None:
        self.url = parse_hub_url(url)
        self.ca_pem = ca_pem
        self._timeout = timeout
        self._opener = build_opener(HTTPSHandler(context=_tls(ca_pem)), _NoRedirect())

    def get(self, path: str, token: str | None = None) -> Any:
        """The document at ``/api/v1/<path>``. Raises LoginError."""
        return self._call("GET", path, None, token)

    def post(self, path: str, body: dict[str, Any], token: str | None = None) -> Any:
        """The answer to a document. Raises LoginError."""
        return self._call("POST", path, body, token)

    def _call(self, method: str, path: str, body: dict[str, Any] | None, token: str | None) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "paddock-login"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        request = Request(f"{self.url}/api/v1/{path}", data, headers, method=method)  # noqa: S310  # https, see parse_hub_url
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return _parse(answer.read(ANSWER_LIMIT))
        except HTTPError as error:
            with error:
                raise _refusal(self.url, error.code, error.read(ANSWER_LIMIT)) from None
        except URLError as error:
            raise _unreachable(self.url, error.reason) from None
        except OSError as error:
            raise _unreachable(self.url, error) from None


def parse_hub_url(text: str) -> str:
    """``https://HOST[:PORT]``; a bare host gets the scheme, a path of the hub is cut off. Raises LoginError."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme != "https":
        raise LoginError(f"The hub's address must begin with https://, not {parts.scheme}://")
    if not parts.hostname or port == 0 or "@" in parts.netloc or parts.query or parts.fragment:
        raise LoginError("The hub's address must be https://HOST or https://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}" if port in (None, 443) else f"https://{host}:{port}"


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _tls(ca_pem: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError):
        raise LoginError("The hub's CA certificate cannot be read: it must be PEM text") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        raise LoginError("The answer is not a hub's: is this the address of a Paddock hub?") from None


def _refusal(url: str, status: int, content: bytes) -> LoginError:
    try:
        problem = json.loads(content)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return LoginError(f"{url} answered {status}: is this the address of a Paddock hub?", status=status)
    return LoginError(f"The hub refused: {detail}", code, status)


def _unreachable(url: str, reason: object) -> LoginError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return LoginError(
            f"The certificate of {url} is not to be trusted ({reason.verify_message}). If the hub has a CA of its own, "
            "give it once with: paddock-login login --ca-file FILE"
        )
    if isinstance(reason, ssl.SSLError):
        return LoginError(f"{url} does not speak TLS as it should ({reason.reason or reason})")
    if isinstance(reason, socket.gaierror):
        return Unreachable(f"There is no host of the name {urlsplit(url).hostname}")
    if isinstance(reason, (TimeoutError, socket.timeout)):
        return Unreachable(f"{url} does not answer")
    words = getattr(reason, "strerror", None) or reason
    return Unreachable(f"{url} cannot be reached ({words})")
