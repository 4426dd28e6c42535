"""The authorization code flow with PKCE, by Authlib over the guarded session: where the browser is sent, what a code is
worth, and what a refresh brings. Writes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client

from hub.core.environment import environment
from hub.core.outbound import OutboundError, guarded_session
from hub.identity.models import IdentityProvider

from .provider_cache import ProviderUnavailable, keys_of, metadata_of
from .token_checks import Audience, IdToken, TokenRefused, check_id_token

SCOPES = ("openid", "profile", "email")
ANSWER_LIMIT = 512 * 1024
REFRESH_TOKEN_LIMIT = 20_000


class LoginRefused(Exception):
    """The provider did not take the code or the refresh token, or what it gave for it is not to be believed.

    ``reason`` is a short text for the administrator: an OAuth error code or the rule of ``token_checks``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code or a refresh was worth. The access token is not used and not kept."""

    id_token: IdToken
    id_token_text: str = field(repr=False)
    refresh_token: str = field(repr=False)


def redirect_uri(provider_name: str) -> str:
    """Where the provider sends browsers back to; each provider has its own, so that none answers for another."""
    return f"{environment().url}/login/{provider_name}/callback"


def audience_of(provider: IdentityProvider) -> Audience:
    return Audience(provider.issuer, provider.client_id)


def authorization_address(provider: IdentityProvider, *, state: str, nonce: str, code_verifier: str) -> str:
    """Where the browser is sent to log in. Raises ProviderUnavailable."""
    metadata = metadata_of(provider.issuer, provider.ca_pem)
    client = _client(provider, session=None)
    address, _ = client.create_authorization_url(
        metadata.authorization_endpoint, state=state, nonce=nonce, code_verifier=code_verifier
    )
    return str(address)


def redeem_code(provider: IdentityProvider, code: str, *, nonce: str, code_verifier: str) -> Tokens:
    """The tokens for a code. Raises LoginRefused and ProviderUnavailable."""

    def fetch(client: OAuth2Client, endpoint: str) -> Any:
        return client.fetch_token(endpoint, grant_type="authorization_code", code=code, code_verifier=code_verifier)

    answer = _ask(provider, fetch)
    id_token = answer.get("id_token")
    if not isinstance(id_token, str):
        raise LoginRefused("the answer has no ID token")
    access_token = answer.get("access_token")
    checked = _checked(provider, id_token, nonce, access_token if isinstance(access_token, str) else None)
    return Tokens(checked, id_token, _refresh_token(answer))


def refresh(provider: IdentityProvider, refresh_token: str, subject: str) -> Tokens | None:
    """Newer tokens of the same user; None when the provider gives no new ID token and so tells nothing of him.

    Raises LoginRefused and ProviderUnavailable.
    """
    answer = _ask(provider, lambda client, endpoint: client.refresh_token(endpoint, refresh_token=refresh_token))
    id_token = answer.get("id_token")
    if not isinstance(id_token, str):
        return None
    checked = _checked(provider, id_token, None, None)
    if checked.subject != subject:
        raise LoginRefused("the new ID token is another user's")
    return Tokens(checked, id_token, _refresh_token(answer) or refresh_token)


def _checked(provider: IdentityProvider, text: str, nonce: str | None, access_token: str | None) -> IdToken:
    keys = keys_of(provider.issuer, provider.ca_pem)
    try:
        return check_id_token(
            text, keys, audience_of(provider), now=time.time(), nonce=nonce, access_token=access_token
        )
    except TokenRefused as error:
        raise LoginRefused(f"ID token: {error.reason}") from error


def _ask(provider: IdentityProvider, call: Callable[[OAuth2Client, str], Any]) -> dict[str, Any]:
    endpoint = metadata_of(provider.issuer, provider.ca_pem).token_endpoint
    try:
        with guarded_session(ca_pem=provider.ca_pem, maximum_bytes=ANSWER_LIMIT) as session:
            answer = call(_client(provider, session), endpoint)
    except OAuth2Error as error:
        raise LoginRefused(_known_error(error.error)) from error
    except (OutboundError, OSError) as error:  # Authlib raises the session's own error for a status from 500
        raise ProviderUnavailable(
            str(error) if isinstance(error, OutboundError) else "the answer is an error"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise ProviderUnavailable("the answer of the token endpoint is none") from error
    return dict(answer)


def _known_error(code: object) -> str:
    """OAuth's own error codes are shown; what else a provider writes there is not."""
    known = {
        "invalid_grant",
        "invalid_client",
        "unauthorized_client",
        "invalid_request",
        "invalid_scope",
        "access_denied",
    }
    return code if isinstance(code, str) and code in known else "the token endpoint refused"


def _refresh_token(answer: dict[str, Any]) -> str:
    found = answer.get("refresh_token")
    return found if isinstance(found, str) and len(found) <= REFRESH_TOKEN_LIMIT else ""


class _SecretInRequest(ClientAuth):  # type: ignore[misc]  # Authlib has no types
    """Shows the client's secret in a request of the guarded session."""

    def __call__(self, request: Any) -> Any:
        request.url, request.headers, request.body = self.prepare(
            request.method, request.url, request.headers, request.body
        )
        return request


class _Client(OAuth2Client):  # type: ignore[misc]  # Authlib has no types
    client_auth_class = _SecretInRequest


def _client(provider: IdentityProvider, session: Any) -> OAuth2Client:
    secret = provider.client_secret.reveal()
    in_header = metadata_of(provider.issuer, provider.ca_pem).takes_secret_in_header
    return _Client(
        session,
        client_id=provider.client_id,
        client_secret=secret,
        token_endpoint_auth_method=("client_secret_basic" if in_header else "client_secret_post") if secret else "none",
        scope=" ".join(dict.fromkeys(("openid", *(provider.scopes or SCOPES)))),
        redirect_uri=redirect_uri(provider.name),
        code_challenge_method="S256",
    )
