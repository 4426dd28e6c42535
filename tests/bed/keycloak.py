"""A real Keycloak on loopback, over TLS, for one test session, and the administration that tests need of it.

Its REST API is spoken here directly, so that nothing of the code under test arranges what it is tested on.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.bed import keycloak_build
from tests.bed.pki import Authority
from tests.bed.processes import PORT_ATTEMPTS, Child, PortTaken, free_port

START_DEADLINE = 120.0
_REQUEST_TIMEOUT = 30.0


class Keycloak:
    """A running Keycloak at ``https://localhost:<port>``; ``authority`` signed its certificate and whom it trusts."""

    def __init__(self, built: Path, folder: Path, authority: Authority) -> None:
        """Starts it with its data and log below ``folder``, from the main thread. Raises ProcessFailed."""
        self.authority = authority
        self._home = folder / "keycloak"
        self._home.mkdir()
        keycloak_build.link_home(built, self._home)
        pair = authority.issue_server("keycloak", ["localhost", "127.0.0.1"])
        for name, content in (("tls.crt", pair.certificate_pem), ("tls.key", pair.key_pem), ("ca.pem", self.ca_pem)):
            (folder / name).write_text(content)
        self._folder = folder
        self._context = ssl.create_default_context(cadata=self.ca_pem)
        self._token = ("", 0.0)
        self.port = 0
        self._child = self._start_somewhere()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca_pem(self) -> str:
        return self.authority.certificate_pem

    def issuer(self, realm: str) -> str:
        return f"{self.url}/realms/{realm}"

    def start(self) -> None:
        """Again, after ``stop``, at the same address and with its data."""
        self._child = self._start()

    def stop(self) -> None:
        """Ends it; nothing when it has ended already."""
        self._child.stop(grace=20)

    # Administration. Each raises AssertionError with Keycloak's answer when it refuses.

    def create_realm(self, name: str, **settings: Any) -> None:
        self._call("POST", "", {"realm": name, "enabled": True, "sslRequired": "all", **settings})

    def delete_realm(self, name: str) -> None:
        self._call("DELETE", f"/{name}")

    def create_user(self, realm: str, username: str, password: str, **rest: Any) -> str:
        """A complete user who is asked for nothing at his first login; his id."""
        user = {
            "username": username,
            "enabled": True,
            "firstName": username.capitalize(),
            "lastName": "Test",
            "email": f"{username}@example.com",
            "emailVerified": True,
            "credentials": [{"type": "password", "value": password, "temporary": False}],
            **rest,
        }
        return self._created(f"/{realm}/users", user)

    def update_user(self, realm: str, user_id: str, **changes: Any) -> None:
        self._call("PUT", f"/{realm}/users/{user_id}", changes)

    def delete_user(self, realm: str, user_id: str) -> None:
        self._call("DELETE", f"/{realm}/users/{user_id}")

    def create_group(self, realm: str, path: str) -> str:
        """A group with its parents; its id."""
        parent = ""
        for name in path.strip("/").split("/"):
            where = f"/{realm}/groups/{parent}/children" if parent else f"/{realm}/groups"
            found = [group["id"] for group in self._call("GET", where) if group["name"] == name]
            parent = found[0] if found else self._created(where, {"name": name})
        return parent

    def join(self, realm: str, user_id: str, group_id: str) -> None:
        self._call("PUT", f"/{realm}/users/{user_id}/groups/{group_id}")

    def leave(self, realm: str, user_id: str, group_id: str) -> None:
        self._call("DELETE", f"/{realm}/users/{user_id}/groups/{group_id}")

    def groups_of(self, realm: str, user_id: str) -> list[str]:
        return [group["path"] for group in self._call("GET", f"/{realm}/users/{user_id}/groups")]

    def log_out(self, realm: str, user_id: str) -> None:
        """Ends the user's sessions there, which tells every client's back channel."""
        self._call("POST", f"/{realm}/users/{user_id}/logout")

    def end_session(self, realm: str, session_id: str) -> None:
        self._call("DELETE", f"/{realm}/sessions/{session_id}")

    def sessions(self, realm: str, user_id: str) -> list[Any]:
        found: list[Any] = self._call("GET", f"/{realm}/users/{user_id}/sessions")
        return found

    def client(self, realm: str, client_id: str) -> dict[str, Any]:
        """A client's representation."""
        (found,) = self._call("GET", f"/{realm}/clients?clientId={quote(client_id)}")
        representation: dict[str, Any] = found
        return representation

    def create_client(self, realm: str, client_id: str, redirect_uri: str) -> str:
        """A confidential client with groups in its ID token; its secret."""
        mapper = {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {"claim.name": "groups", "full.path": "true", "id.token.claim": "true"},
        }
        client = {"clientId": client_id, "secret": f"secret-of-{client_id}", "redirectUris": [redirect_uri]}
        self._call("POST", f"/{realm}/clients", {**client, "publicClient": False, "protocolMappers": [mapper]})
        return f"secret-of-{client_id}"

    def rotate_keys(self, realm: str) -> None:
        """A new signing key that goes before all others; the old ones are gone."""
        realm_id = self._call("GET", f"/{realm}")["id"]
        kind = "org.keycloak.keys.KeyProvider"
        old = [
            one for one in self._call("GET", f"/{realm}/components?type={kind}") if one["providerId"] == "rsa-generated"
        ]
        priority = str(200 + len(old) + int(time.time()) % 100_000)
        config = {"priority": [priority], "enabled": ["true"], "active": ["true"], "keySize": ["2048"]}
        new = {"name": f"rotated-{priority}", "providerId": "rsa-generated", "providerType": kind, "config": config}
        self._call("POST", f"/{realm}/components", {**new, "parentId": realm_id})
        for component in old:
            self._call("DELETE", f"/{realm}/components/{component['id']}")

    def _created(self, path: str, body: dict[str, Any]) -> str:
        location: str = self._call("POST", path, body)
        return location.rpartition("/")[2]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"{self.url}/admin/realms{path}", method=method)
        request.add_header("Authorization", f"Bearer {self._administrator()}")
        request.add_header("Content-Type", "application/json")
        request.data = None if body is None else json.dumps(body).encode()
        status, content, location = self._send(request)
        if status >= 400:
            raise AssertionError(f"Keycloak {method} {path}: {status} {content.decode()[:500]}")
        return location or (json.loads(content) if content else None)

    def _administrator(self) -> str:
        token, until = self._token
        if time.monotonic() > until:
            form = {"grant_type": "password", "client_id": "admin-cli"}
            form |= {"username": keycloak_build.ADMINISTRATOR, "password": keycloak_build.PASSWORD}
            url = f"{self.issuer('master')}/protocol/openid-connect/token"
            status, content, _ = self._send(urllib.request.Request(url, urlencode(form).encode()))
            assert status == 200, content
            answer = json.loads(content)
            token, until = answer["access_token"], time.monotonic() + answer["expires_in"] / 2
            self._token = (token, until)
        return token

    def _send(self, request: urllib.request.Request) -> tuple[int, bytes, str]:
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT, context=self._context) as answer:
                return answer.status, answer.read(), answer.headers.get("Location") or ""
        except urllib.error.HTTPError as error:
            return error.code, error.read(), ""

    def _start_somewhere(self) -> Child:
        for _ in range(PORT_ATTEMPTS - 1):
            self.port = free_port()
            try:
                return self._start()
            except PortTaken:
                continue
        self.port = free_port()
        return self._start()

    def _start(self) -> Child:
        options = (
            f"--https-port={self.port}",
            "--http-management-port=0",
            f"--https-certificate-file={self._folder / 'tls.crt'}",
            f"--https-certificate-key-file={self._folder / 'tls.key'}",
            f"--truststore-paths={self._folder / 'ca.pem'}",  # it calls the hub's back channel
        )
        child = Child("keycloak", keycloak_build.start_command(self._home, *options), self._folder / "keycloak.log")
        child.wait_until_serving(self._is_serving, seconds=START_DEADLINE)
        return child

    def _is_serving(self) -> bool:
        url = f"{self.issuer('master')}/.well-known/openid-configuration"
        try:
            return self._send(urllib.request.Request(url))[0] == 200
        except OSError:
            return False
