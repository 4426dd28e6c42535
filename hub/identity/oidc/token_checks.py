"""Is this text a token of that provider, for us, of that kind, and still good? Pure: no database, no network, no clock.

Two kinds are taken: ID tokens and logout tokens, each only in its place (SEC-52, SEC-53). What a token says about its own
key (``jku``, ``x5u``, ``jwk``) counts for nothing: a key comes from the provider's key set by its id, fits the algorithm,
and the algorithm is one of a short list without ``none`` and without shared secrets. Signatures are joserfc's; every other
rule is written out here, so that each can be read and tested.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

ALGORITHMS: Mapping[str, str] = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
LEEWAY = 60
"""Seconds by which a provider's clock may differ from ours."""
TOKEN_LIMIT = 100_000
HEADER_LIMIT = 2_000
SIGNATURE_LIMIT = 2_000
NESTING_LIMIT = 20
RSA_BITS = 2048
LOGIN_AGE = 600
"""Seconds since ``iat`` at most, for the token of a login: it was made for us just now."""
LOGOUT_AGE = 300
LOGOUT_LIFE = 24 * 3600
"""Seconds until ``exp`` at most: so long is a logout token remembered, so that it is not taken twice."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

_FORBIDDEN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk", "apu", "apv"})
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PRIVATE_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}

KeySet = Sequence[Mapping[str, Any]]
FindKeys = Callable[[str | None], KeySet]
"""The provider's public keys (JWK) that have this key id, all of them for None."""


class TokenRefused(Exception):
    """``reason`` is a short fixed text that names the rule, never a part of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Audience:
    """Whose tokens are taken: those of ``issuer`` for the client ``client_id``."""

    issuer: str
    client_id: str


@dataclass(frozen=True, slots=True)
class IdToken:
    subject: str
    session_id: str
    """The provider's ``sid``, "" without one."""
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """``subject`` or ``session_id`` is set, or both. ``jti`` counts until ``expires_at`` (seconds since 1970)."""

    jti: str
    subject: str
    session_id: str
    expires_at: int


def check_id_token(
    text: str,
    find_keys: FindKeys,
    audience: Audience,
    *,
    now: float,
    nonce: str | None,
    access_token: str | None = None,
) -> IdToken:
    """The claims of a good ID token. ``nonce`` is the login's own; None for one that came with a refresh, where a nonce is
    not looked at. ``access_token`` is held against ``at_hash`` if there is one. Raises TokenRefused.
    """
    algorithm, claims = _open(text, find_keys, kinds=("jwt",))
    _require("events" not in claims, "a logout token is no ID token")
    _require(claims.get("typ") in (None, "ID", "JWT"), "typ claim is another kind's")
    _require(claims.get("token_use") in (None, "id"), "token_use claim is another kind's")
    _check_audience(claims, audience)
    _check_times(claims, now)
    subject = _text(claims, "sub")
    _require(bool(subject), "sub is missing")
    if nonce is not None:
        _require(claims["iat"] >= now - LOGIN_AGE - LEEWAY, "iat is too old")
        offered = claims.get("nonce")
        _require(isinstance(offered, str) and hmac.compare_digest(offered.encode(), nonce.encode()), "nonce")
    if access_token is not None and "at_hash" in claims:
        _require(claims["at_hash"] == _half_hash(algorithm, access_token), "at_hash")
    return IdToken(subject, _text(claims, "sid"), claims)


def check_logout_token(text: str, find_keys: FindKeys, audience: Audience, *, now: float) -> LogoutToken:
    """What a good logout token says (OpenID Connect Back-Channel Logout 1.0, 2.6). Raises TokenRefused.

    That its ``jti`` comes for the first time is for the caller to see.
    """
    _, claims = _open(text, find_keys, kinds=("jwt", "logout+jwt"))
    events = claims.get("events")
    _require(isinstance(events, dict) and isinstance(events.get(LOGOUT_EVENT), dict), "events")
    _require("nonce" not in claims, "a logout token has no nonce")
    _require(claims.get("typ") in (None, "Logout", "JWT"), "typ claim is another kind's")
    _check_audience(claims, audience)
    _check_times(claims, now)
    _require(claims["iat"] >= now - LOGOUT_AGE - LEEWAY, "iat is too old")
    _require(claims["exp"] <= now + LOGOUT_LIFE, "exp is too far away")
    jti, subject, session_id = _text(claims, "jti"), _text(claims, "sub"), _text(claims, "sid")
    _require(bool(jti), "jti is missing")
    _require(bool(subject or session_id), "neither sub nor sid")
    return LogoutToken(jti, subject, session_id, int(claims["exp"]) + LEEWAY)


def usable_keys(key_set: Any) -> list[dict[str, Any]]:
    """The public signing keys of a JWKS document that this module can use. Raises TokenRefused when it is none."""
    keys = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        raise TokenRefused("the key set is no JWKS")
    return [key for key in keys[:100] if isinstance(key, dict) and _is_usable(key)]


def _is_usable(key: Mapping[str, Any]) -> bool:
    fits = key.get("kty") in set(ALGORITHMS.values()) and key.get("use") in (None, "sig")
    known = key.get("alg") is None or key["alg"] in ALGORITHMS
    operations = key.get("key_ops")
    verifies = operations is None or (isinstance(operations, list) and "verify" in operations)
    return fits and known and verifies and isinstance(key.get("kid", ""), str)


def _open(text: str, find_keys: FindKeys, *, kinds: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """Algorithm and claims of a signed token whose header is fine and whose signature is right."""
    _require(isinstance(text, str) and len(text) <= TOKEN_LIMIT, "larger than any token")
    parts = text.split(".")
    _require(len(parts) == 3, "not a signed token")  # five parts would be an encrypted one
    _require(len(parts[0]) <= HEADER_LIMIT and len(parts[2]) <= SIGNATURE_LIMIT, "larger than any token")
    _decode(parts[2])
    header = _document(parts[0])
    algorithm = _check_header(header, kinds)
    key = _one_key(find_keys(header.get("kid")), algorithm)
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length, registry.max_payload_length = HEADER_LIMIT, TOKEN_LIMIT
    registry.max_signature_length = SIGNATURE_LIMIT
    try:
        jws.deserialize_compact(text, key, registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused("signature") from error
    return algorithm, _document(parts[1])


def _check_header(header: Mapping[str, Any], kinds: tuple[str, ...]) -> str:
    algorithm = header.get("alg")
    _require(isinstance(algorithm, str) and algorithm in ALGORITHMS, "alg")
    _require(not _FORBIDDEN_HEADERS & header.keys(), "the header brings a key of its own or asks for more")
    kind = header.get("typ", "JWT")
    _require(isinstance(kind, str), "typ")
    _require(str(kind).lower().removeprefix("application/") in kinds, "typ is another kind's")
    kid = header.get("kid")
    _require(kid is None or (isinstance(kid, str) and 0 < len(kid) <= 255), "kid")
    return str(algorithm)


def _one_key(found: KeySet, algorithm: str) -> RSAKey | ECKey | OKPKey:
    """The only key that fits. Without a key id there may be several for other algorithms, never two to choose from."""
    fitting = [
        key
        for key in found
        if key.get("kty") == ALGORITHMS[algorithm] and _is_usable(key) and key.get("alg") in (None, algorithm)
    ]
    _require(len(fitting) == 1, "no key of the provider's, or several, for this kid and alg")
    public = {name: value for name, value in fitting[0].items() if name not in _PRIVATE_PARTS}
    try:
        key = JWKRegistry.import_key(public)
        _require(isinstance(key, RSAKey | ECKey | OKPKey), "the key is of another type")
        _require(not isinstance(key, RSAKey) or key.raw_value.key_size >= RSA_BITS, "the key is too short")
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenRefused("the key cannot be used") from error
    return key  # type: ignore[return-value]  # seen above


def _check_audience(claims: Mapping[str, Any], audience: Audience) -> None:
    issuer = claims.get("iss")
    _require(isinstance(issuer, str) and issuer == audience.issuer, "iss")
    named = claims.get("aud")
    names = [named] if isinstance(named, str) else named
    _require(isinstance(names, list) and all(isinstance(name, str) for name in names), "aud")
    assert isinstance(names, list)
    _require(audience.client_id in names, "aud")
    if "azp" in claims:
        _require(claims["azp"] == audience.client_id, "azp")
    _require(len(names) == 1 or "azp" in claims, "several audiences and no azp")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires_at, issued_at = _moment(claims, "exp"), _moment(claims, "iat")
    _require(now < expires_at + LEEWAY, "exp has passed")
    _require(issued_at <= now + LEEWAY, "iat is in the future")
    _require(issued_at <= expires_at, "exp lies before iat")
    if "nbf" in claims:
        _require(_moment(claims, "nbf") <= now + LEEWAY, "nbf is in the future")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        raise TokenRefused(f"{name} is no time")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    """The claim, "" when it is absent. Raises TokenRefused when it is not a short plain text."""
    value = claims.get(name, "")
    _require(isinstance(value, str) and len(value) <= 255 and value.isprintable(), f"{name} is no plain text")
    return str(value)


def _half_hash(algorithm: str, text: str) -> str:
    digest = _HASHES.get(algorithm[-3:], hashlib.sha512)(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _document(part: str) -> dict[str, Any]:
    """A part as a JSON object in which no key comes twice. Raises TokenRefused."""
    raw = _decode(part)
    try:
        found = json.loads(raw.decode(), object_pairs_hook=_without_repetition, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("not strict JSON") from error
    _require(isinstance(found, dict) and _depth(found) <= NESTING_LIMIT, "not a JSON object")
    return dict(found)


def _decode(part: str) -> bytes:
    """Strict base64url: of several texts that decode alike only the one that encodes back is taken."""
    _require(_PART.fullmatch(part) is not None, "not base64url")
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise TokenRefused("not base64url") from error
    _require(base64.urlsafe_b64encode(raw).decode().rstrip("=") == part, "not base64url")
    return raw


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _depth(value: Any) -> int:
    """Levels of nesting; the parser's own recursion limit has passed already."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise TokenRefused(reason)
