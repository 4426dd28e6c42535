"""Service-account tokens: whose they are, how long they are good, and what is no token of ours."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from simulator.apiserver import tokens
from simulator.apiserver.tokens import ISSUER, TokenSigner


def pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(encoding, form, serialization.NoEncryption()).decode())


RSA_KEY = pem(rsa.generate_private_key(65537, 2048))
EC_KEY = pem(ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["rsa", "ec"])
def test_a_token_tells_whose_it_is(key: str) -> None:
    signer = TokenSigner(key)
    token, end = signer.issue("one", "robot", "u-1", 600, ["a", "b"])
    claims = signer.check(token)
    assert claims is not None
    assert (claims.namespace, claims.name, claims.uid, claims.audiences) == ("one", "robot", "u-1", ("a", "b"))
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert payload["exp"] == int(end.timestamp())
    assert payload["sub"] == "system:serviceaccount:one:robot"


def test_a_key_of_another_kind_signs_nothing() -> None:
    with pytest.raises(ValueError, match="RSA or ECDSA"):
        TokenSigner(pem(ed25519.Ed25519PrivateKey.generate()))


def test_a_token_of_another_cluster_is_none_here() -> None:
    token, _ = TokenSigner(EC_KEY).issue("one", "robot", "u", 600)
    assert TokenSigner(pem(ec.generate_private_key(ec.SECP256R1()))).check(token) is None
    assert TokenSigner(RSA_KEY).check(token) is None


def test_a_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = TokenSigner(EC_KEY)
    token, end = signer.issue("one", "robot", "u", 600)

    class Later(tokens.datetime):  # type: ignore[name-defined,misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return end

    assert signer.check(token) is not None
    monkeypatch.setattr(tokens, "datetime", Later)
    assert signer.check(token) is None


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.b.c", "..", "e30.e30.e30"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert TokenSigner(EC_KEY).check(text) is None


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_token_is_none(part: int) -> None:
    signer = TokenSigner(EC_KEY)
    token, _ = signer.issue("one", "robot", "u", 600)
    parts = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    raw[len(raw) // 2] ^= 1
    parts[part] = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    assert signer.check(".".join(parts)) is None


def test_an_unsigned_token_is_none() -> None:
    signer = TokenSigner(EC_KEY)
    token, _ = signer.issue("one", "robot", "u", 600)
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert signer.check(f"{header}.{token.split('.')[1]}.") is None


def test_without_audience_a_token_is_for_the_cluster() -> None:
    signer = TokenSigner(EC_KEY)
    claims = signer.check(signer.issue("one", "robot", "u", 600)[0])
    assert claims is not None
    assert claims.audiences == (ISSUER,)
