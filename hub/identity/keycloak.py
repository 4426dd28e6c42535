"""Keycloak's administration, by python-keycloak over the guarded session: search, one user's state and groups, setting up.

The one place that imports ``keycloak``. Reads and writes nothing of the hub's own. Every call raises ``KeycloakUnavailable``
when it does not succeed; who asked for a user that is gone gets None.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakError

from hub.core.outbound import TIMEOUT, OutboundError, guarded_session

SEARCH_LIMIT = 50
PAGE = 200
DISABLED_LIMIT = 10_000
GROUPS_LIMIT = 2_000
ROLES_OF_SYNC = ("view-users", "query-users", "query-groups")
GROUPS_CLAIM = "groups"


class KeycloakUnavailable(Exception):
    """``reason`` is a short text for the administrator; ``status`` the HTTP status of the answer, None without one."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class FoundGroup:
    id: str
    path: str


@dataclass(frozen=True, slots=True)
class FoundUser:
    """Logins before ``not_before`` (seconds since 1970) are over: an administrator has logged him out everywhere."""

    id: str
    username: str
    name: str
    is_enabled: bool
    not_before: int


@dataclass(frozen=True, slots=True)
class ClientAddresses:
    """Where Keycloak may send browsers, and where it tells of logouts; each exact."""

    redirect_uri: str
    post_logout_redirect_uri: str
    back_channel_uri: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """A service account's client and secret, or an administrator's name and password (``realm`` is where he is known)."""

    client_id: str
    secret: str = ""
    username: str = ""
    password: str = ""
    realm: str = ""


def split_issuer(issuer: str) -> tuple[str, str]:
    """Keycloak's address and the realm. Raises ValueError when the issuer is not one of Keycloak's."""
    base, marker, realm = issuer.partition("/realms/")
    if not marker or not realm or "/" in realm or not urlsplit(base).hostname:
        raise ValueError("an issuer of Keycloak ends in /realms/<realm>")
    return f"{base}/", realm


class KeycloakRealm:
    """One realm as an administrator sees it; a context, which closes its connections."""

    def __init__(self, issuer: str, credentials: Credentials, *, ca_pem: str = "", timeout: float = TIMEOUT) -> None:
        """Connects at the first call; ``timeout`` is in seconds for each. Raises ValueError for another's issuer."""
        address, self.realm = split_issuer(issuer)
        self._session = guarded_session(ca_pem=ca_pem, timeout=timeout)
        connection = KeycloakOpenIDConnection(
            server_url=address,
            realm_name=self.realm,
            user_realm_name=credentials.realm or self.realm,
            client_id=credentials.client_id,
            client_secret_key=credentials.secret or None,
            username=credentials.username or None,
            password=credentials.password or None,
        )
        connection._s = self._session
        connection.keycloak_openid.connection._s = self._session
        self._admin = KeycloakAdmin(connection=connection)

    def __enter__(self) -> "KeycloakRealm":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def search_groups(self, text: str) -> list[FoundGroup]:
        """Groups with the text in their name, at most ``SEARCH_LIMIT``."""
        with _telling():
            found = self._admin.get_groups(
                {"search": text, "first": 0, "max": SEARCH_LIMIT, "briefRepresentation": True}
            )
        wanted = text.casefold()
        flat = (group for group in _flat(found) if wanted in group.path.rpartition("/")[2].casefold())
        return list(flat)[:SEARCH_LIMIT]

    def search_users(self, text: str) -> list[FoundUser]:
        """Users with the text in their name or address, at most ``SEARCH_LIMIT``."""
        with _telling():
            found = self._admin.get_users(
                {"search": text, "first": 0, "max": SEARCH_LIMIT, "briefRepresentation": True}
            )
        return [_user(user) for user in found[:SEARCH_LIMIT]]

    def find_user(self, id: str) -> FoundUser | None:
        """The user with this id (``sub``); None when there is none any more."""
        try:
            with _telling():
                return _user(self._admin.get_user(id))
        except KeycloakUnavailable as error:
            if error.status == 404:
                return None
            raise

    def disabled_users(self) -> frozenset[str]:
        """The ids of all users that are disabled, at most ``DISABLED_LIMIT``."""
        found: set[str] = set()
        for first in range(0, DISABLED_LIMIT, PAGE):
            query = {"enabled": "false", "first": first, "max": PAGE, "briefRepresentation": True}
            with _telling():
                page = self._admin.get_users(query)
            found.update(str(user["id"]) for user in page)
            if len(page) < PAGE:
                break
        return frozenset(found)

    def groups_of(self, user_id: str) -> list[FoundGroup]:
        """The groups that the user is in himself."""
        with _telling():
            found = self._admin.get_user_groups(user_id, {"first": 0, "max": GROUPS_LIMIT}, brief_representation=True)
        return [FoundGroup(str(group["id"]), str(group["path"])) for group in found]

    # Setting up: each leaves what is there already as it should be.

    def ensure_realm(self) -> None:
        with _telling():
            known = {str(realm["realm"]) for realm in self._admin.get_realms()}
            if self.realm not in known:
                self._admin.create_realm({"realm": self.realm, "enabled": True, "sslRequired": "all"})

    def ensure_login_client(self, client_id: str, addresses: ClientAddresses) -> str:
        """The client by which people log in: code flow with PKCE and nothing else, exact addresses, groups by full path in
        the ID token. Its secret.
        """
        payload = {
            "clientId": client_id,
            "name": "Paddock",
            "enabled": True,
            "protocol": "openid-connect",
            "publicClient": False,
            "standardFlowEnabled": True,
            "implicitFlowEnabled": False,
            "directAccessGrantsEnabled": False,
            "serviceAccountsEnabled": False,
            "redirectUris": [addresses.redirect_uri],
            "webOrigins": [],
            "attributes": {
                "pkce.code.challenge.method": "S256",
                "post.logout.redirect.uris": addresses.post_logout_redirect_uri,
                "backchannel.logout.url": addresses.back_channel_uri,
                "backchannel.logout.session.required": "true",
            },
        }
        id = self._ensure_client(client_id, payload)
        self._ensure_group_mapper(id)
        return self._secret(id)

    def ensure_sync_client(self, client_id: str) -> str:
        """The service account by which the hub searches and looks after its users: it reads users and groups, no more.
        Its secret.
        """
        payload = {
            "clientId": client_id,
            "name": "Paddock, search and sync",
            "enabled": True,
            "protocol": "openid-connect",
            "publicClient": False,
            "standardFlowEnabled": False,
            "implicitFlowEnabled": False,
            "directAccessGrantsEnabled": False,
            "serviceAccountsEnabled": True,
            "redirectUris": [],
        }
        id = self._ensure_client(client_id, payload)
        with _telling():
            user = self._admin.get_client_service_account_user(id)
            management = self._admin.get_client_id("realm-management")
            roles = [self._admin.get_client_role(str(management), role) for role in ROLES_OF_SYNC]
            self._admin.assign_client_role(user["id"], str(management), roles)
        return self._secret(id)

    def _ensure_client(self, client_id: str, payload: dict[str, Any]) -> str:
        with _telling():
            known = self._admin.get_client_id(client_id)
            if known is None:
                return str(self._admin.create_client(payload))
            self._admin.update_client(known, payload)
        return known

    def _ensure_group_mapper(self, id: str) -> None:
        mapper = {
            "name": GROUPS_CLAIM,
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {
                "claim.name": GROUPS_CLAIM,
                "full.path": "true",
                "id.token.claim": "true",
                "access.token.claim": "false",
                "userinfo.token.claim": "false",
            },
        }
        with _telling():
            known = [one for one in self._admin.get_mappers_from_client(id) if one["name"] == GROUPS_CLAIM]
            if known:
                self._admin.update_client_mapper(id, known[0]["id"], {**mapper, "id": known[0]["id"]})
            else:
                self._admin.add_mapper_to_client(id, mapper)

    def _secret(self, id: str) -> str:
        with _telling():
            return str(self._admin.get_client_secrets(id)["value"])


@contextmanager
def _telling() -> Iterator[None]:
    """Errors of the library and of the way out, in one class and without the answer's text."""
    try:
        yield
    except KeycloakError as error:
        # The library wraps what the session raises, and keeps it as the cause.
        cause = error.__cause__
        if isinstance(cause, OutboundError):
            raise KeycloakUnavailable(str(cause)) from error
        status = error.response_code if isinstance(error.response_code, int) else None
        raise KeycloakUnavailable(_meaning(status), status) from error
    except OutboundError as error:
        raise KeycloakUnavailable(str(error)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise KeycloakUnavailable("the answer is none of Keycloak's") from error


def _meaning(status: int | None) -> str:
    known: Mapping[int | None, str] = {
        401: "Keycloak does not know the client or its secret",
        403: "the client's service account may not read users and groups",
        404: "there is no such realm or object",
    }
    return known.get(status, f"Keycloak answered with status {status}" if status else "Keycloak does not answer")


def _flat(groups: Iterable[Mapping[str, Any]]) -> Iterator[FoundGroup]:
    for group in groups:
        yield FoundGroup(str(group["id"]), str(group["path"]))
        yield from _flat(group.get("subGroups") or ())


def _user(user: Mapping[str, Any]) -> FoundUser:
    name = " ".join(str(user[part]) for part in ("firstName", "lastName") if user.get(part))
    not_before = user.get("notBefore")
    return FoundUser(
        id=str(user["id"]),
        username=str(user["username"]),
        name=name,
        is_enabled=user.get("enabled") is True,
        not_before=not_before if isinstance(not_before, int) else 0,
    )
