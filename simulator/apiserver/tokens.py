"""Service-account tokens: JSON web tokens as the TokenRequest API issues them, signed by the cluster's own key."""

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

ISSUER = "https://kubernetes.default.svc.cluster.local"
_COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom a valid token speaks for."""

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]
    token_id: str


class TokenSigner:
    """Issues and checks tokens with one private key (PEM; RSA, or ECDSA on P-256). ValueError for another key."""

    def __init__(self, key_pem: str) -> None:
        key = serialization.load_pem_private_key(key_pem.encode(), None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("service-account tokens are signed with RSA or ECDSA keys")
        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._header = {
            "alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256",
            "kid": _text(hashlib.sha256(public).digest()),
        }

    def issue(
        self, namespace: str, name: str, uid: str, seconds: int, audiences: Sequence[str] = ()
    ) -> tuple[str, datetime]:
        """A token and when it ends."""
        start = int(datetime.now(UTC).timestamp())
        payload = {
            "aud": list(audiences) or [ISSUER],
            "exp": start + seconds,
            "iat": start,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
            "nbf": start,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        signed = f"{_text(orjson.dumps(self._header))}.{_text(orjson.dumps(payload))}"
        token = f"{signed}.{_text(self._sign(signed.encode()))}"
        return token, datetime.fromtimestamp(start + seconds, UTC)

    def check(self, token: str) -> Claims | None:
        """The claims of a token of ours that has not ended; None for any other text."""
        try:
            head, body, signature = token.split(".")
            if orjson.loads(_bytes(head)) != self._header:
                return None
            self._verify(_bytes(signature), f"{head}.{body}".encode())
            return _claims(orjson.loads(_bytes(body)))
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return None

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")

    def _verify(self, signature: bytes, message: bytes) -> None:
        if isinstance(self._key, rsa.RSAPrivateKey):
            self._key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            return
        if len(signature) != 2 * _COORDINATE_BYTES:
            raise ValueError("not an ES256 signature")
        r, s = (int.from_bytes(half, "big") for half in (signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]))
        self._key.public_key().verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def _claims(payload: dict[str, Any]) -> Claims | None:
    now = datetime.now(UTC).timestamp()
    if payload["iss"] != ISSUER or not payload["nbf"] <= now + 1 or now >= payload["exp"]:
        return None
    own = payload["kubernetes.io"]
    account = own["serviceaccount"]
    return Claims(own["namespace"], account["name"], account["uid"], tuple(payload["aud"]), payload["jti"])


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
