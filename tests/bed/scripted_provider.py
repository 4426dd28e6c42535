"""An OpenID provider in the test process that signs whatever it is asked to, for what no honest provider does.

It has no login page: a test plays the browser and asks ``authorize`` for the answer that the hub's own address would be
redirected with. Signing is done with ``cryptography`` alone, so that no library refuses to write a bad token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.bed.https_server import Asked, HttpsServer, Reply
from tests.bed.pki import Authority

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class SigningKey:
    """A private key with its JWK: ``RS256``, ``PS256``, ``ES256`` or ``EdDSA``."""

    def __init__(self, algorithm: str = "RS256", kid: str | None = None, *, bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.kid = kid or secrets.token_hex(8)
        self.private: Any
        if algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)

    @property
    def jwk(self) -> dict[str, Any]:
        common = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        public = self.private.public_key()
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            return {
                **common,
                "kty": "EC",
                "crv": "P-256",
                "x": encode(numbers.x.to_bytes(32, "big")),
                "y": encode(numbers.y.to_bytes(32, "big")),
            }
        if self.algorithm == "EdDSA":
            return {**common, "kty": "OKP", "crv": "Ed25519", "x": encode(public.public_bytes_raw())}
        numbers = public.public_numbers()
        return {**common, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}

    def sign(self, content: bytes) -> bytes:
        if self.algorithm == "ES256":
            r, s = decode_dss_signature(self.private.sign(content, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.algorithm == "EdDSA":
            return bytes(self.private.sign(content))
        kind: Any = padding.PKCS1v15()
        if self.algorithm == "PS256":
            kind = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return bytes(self.private.sign(content, kind, hashes.SHA256()))

    def token(
        self, claims: Mapping[str, Any] | str, header: Mapping[str, Any] | None = None, *, without: tuple[str, ...] = ()
    ) -> str:
        """A signed token; ``claims`` as text are taken as they are, ``without`` leaves out header parameters."""
        whole = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **(header or {})}
        head = json.dumps({name: value for name, value in whole.items() if name not in without})
        return self.token_of_texts(head, claims if isinstance(claims, str) else json.dumps(claims))

    def token_of_texts(self, header: str, claims: str) -> str:
        content = f"{encode(header.encode())}.{encode(claims.encode())}"
        return f"{content}.{encode(self.sign(content.encode()))}"


@dataclass
class Login:
    """What a code stands for."""

    claims: dict[str, Any]
    challenge: str
    redirect_uri: str
    used: bool = False


@dataclass
class ScriptedProvider:
    """Serves while it is entered. What it answers can be changed at any time: ``claims`` are added to every ID token,
    ``metadata`` to the discovery document, ``keys`` is the key set; ``broken`` makes it answer 503 to everything.
    """

    client_id: str = "paddock"
    client_secret: str = "scripted-secret"
    authority: Authority | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    broken: bool = False
    refresh_error: str = ""

    def __post_init__(self) -> None:
        self.key = SigningKey()
        self.keys: list[Any] = [self.key.jwk]
        self.codes: dict[str, Login] = {}
        self.refresh_tokens: dict[str, dict[str, Any]] = {}
        self._server = HttpsServer(self._answer, authority=self.authority)

    def __enter__(self) -> ScriptedProvider:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def issuer(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def ca_pem(self) -> str:
        return self._server.ca_pem

    @property
    def asked(self) -> list[Asked]:
        return self._server.asked

    def count(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)

    def rotate(self) -> None:
        """A new key; the old one is gone from the set."""
        self.key = SigningKey()
        self.keys = [self.key.jwk]

    def id_claims(self, subject: str = "alice-id", **changes: Any) -> dict[str, Any]:
        """The claims of a good ID token; None leaves one out."""
        now = int(time.time())
        good = {
            "iss": self.issuer,
            "sub": subject,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "sid": f"sid-{subject}",
            "preferred_username": subject.removesuffix("-id"),
            "name": subject.removesuffix("-id").capitalize(),
            **self.claims,
            **changes,
        }
        return {name: value for name, value in good.items() if value is not None}

    def logout_claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a good logout token; None leaves one out."""
        now = int(time.time())
        good = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "sub": "alice-id",
            "sid": "sid-alice-id",
            "events": {LOGOUT_EVENT: {}},
            **changes,
        }
        return {name: value for name, value in good.items() if value is not None}

    def authorize(self, address: str, subject: str = "alice-id", **changes: Any) -> str:
        """What the hub's callback is asked with after a login: the address with code and state. ``address`` is where the
        hub has sent the browser.
        """
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        claims = self.id_claims(subject, **{"nonce": asked["nonce"], **changes})
        self.codes[code] = Login(claims, asked["code_challenge"], asked["redirect_uri"])
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def _answer(self, asked: Asked) -> Reply:
        if self.broken:
            return Reply({"error": "server_error"}, 503)
        if asked.path == "/.well-known/openid-configuration":
            return Reply({**self._discovery(), **self.metadata})
        if asked.path == "/jwks":
            return Reply({"keys": self.keys})
        if asked.path == "/token":
            return self._token(asked)
        return Reply({"error": "not_found"}, 404)

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
        }

    def _token(self, asked: Asked) -> Reply:
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {basic}":
            return Reply({"error": "invalid_client"}, 401)
        if asked.form.get("grant_type") == "refresh_token":
            return self._refresh(asked.form.get("refresh_token", ""))
        login = self.codes.get(asked.form.get("code", ""))
        verifier = asked.form.get("code_verifier", "")
        if login is None or login.used or asked.form.get("redirect_uri") != login.redirect_uri:
            return Reply({"error": "invalid_grant"}, 400)
        if encode(hashlib.sha256(verifier.encode()).digest()) != login.challenge:
            return Reply({"error": "invalid_grant"}, 400)
        login.used = True
        return self._tokens(login.claims)

    def _refresh(self, refresh_token: str) -> Reply:
        claims = self.refresh_tokens.pop(refresh_token, None)
        if self.refresh_error or claims is None:
            return Reply({"error": self.refresh_error or "invalid_grant"}, 400)
        now = int(time.time())
        return self._tokens({**claims, "iat": now, "exp": now + 300, **self.claims})

    def _tokens(self, claims: dict[str, Any]) -> Reply:
        refresh = secrets.token_urlsafe(16)
        self.refresh_tokens[refresh] = claims
        return Reply(
            {
                "access_token": secrets.token_urlsafe(16),
                "token_type": "Bearer",
                "expires_in": 300,
                "refresh_token": refresh,
                "id_token": self.key.token(claims),
            }
        )
