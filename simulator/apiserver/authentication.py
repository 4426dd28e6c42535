"""Who sends a request: by client certificate, by service-account token, or nobody (anonymous)."""

from typing import Any

from aiohttp import web

from simulator.apiserver import status
from simulator.apiserver.identity import ANONYMOUS_USER, User, service_account_user
from simulator.apiserver.storage import Store
from simulator.apiserver.tokens import ISSUER, TokenSigner
from simulator.kinds import KindSpec

_CREDENTIAL_EXTRA = "authentication.kubernetes.io/credential-id"


class Authenticator:
    """Checks credentials against one cluster's authorities and service accounts."""

    def __init__(self, store: Store, service_accounts: KindSpec, signer: TokenSigner) -> None:
        self._store = store
        self._service_accounts = service_accounts
        self._signer = signer

    def identify(self, request: web.BaseRequest) -> User:
        """The sender. Raises ApiError 401 for a token that is not valid; no credentials at all are anonymous."""
        peer = request.transport.get_extra_info("peercert") if request.transport else None
        if peer:
            return user_of_certificate(peer).authenticated()
        header = request.headers.get("Authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return ANONYMOUS_USER
        user = self.user_of_token(token.strip())
        if user is None:
            raise status.unauthorized()
        return user.authenticated()

    def user_of_token(self, token: str, audiences: tuple[str, ...] = (ISSUER,)) -> User | None:
        """The service account of a token for one of ``audiences``, while that very account exists."""
        claims = self._signer.check(token)
        if claims is None or not set(claims.audiences) & set(audiences):
            return None
        stored = self._store.collection(self._service_accounts).find(claims.namespace, claims.name)
        if stored is None or stored.object["metadata"]["uid"] != claims.uid:
            return None
        extra = {_CREDENTIAL_EXTRA: (f"JTI={claims.token_id}",)}
        return service_account_user(claims.namespace, claims.name, claims.uid, extra)


def user_of_certificate(peer: dict[str, Any]) -> User:
    """Common name and organizations of a verified certificate, as the ssl module tells them."""
    pairs = [pair for part in peer.get("subject", ()) for pair in part]
    name = next((value for key, value in pairs if key == "commonName"), "")
    return User(name, tuple(value for key, value in pairs if key == "organizationName"))
