"""Bad tokens, one rule at a time: each is a good token but for what its id says (SEC-51 to SEC-54)."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from hub.identity.oidc.token_checks import (
    TOKEN_LIMIT,
    Audience,
    TokenRefused,
    check_id_token,
    check_logout_token,
    usable_keys,
)
from tests.bed.scripted_provider import LOGOUT_EVENT, SigningKey, encode

ISSUER = "https://login.example/realms/company"
CLIENT = "paddock"
NOW = int(time.time())
NONCE = "the-nonce-of-this-login"
AUDIENCE = Audience(ISSUER, CLIENT)

KEY = SigningKey("RS256", "key-1")
EC_KEY = SigningKey("ES256", "key-2")
ED_KEY = SigningKey("EdDSA", "key-3")
PS_KEY = SigningKey("PS256", "key-4")
STRANGER = SigningKey("RS256", "key-1")
SHORT = SigningKey("RS256", "key-short", bits=1024)
PUBLISHED = [KEY.jwk, EC_KEY.jwk, ED_KEY.jwk, PS_KEY.jwk, SHORT.jwk]
PUBLIC_PEM = KEY.private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def find_keys(kid: str | None) -> list[dict[str, Any]]:
    return [key for key in usable_keys({"keys": PUBLISHED}) if kid is None or key["kid"] == kid]


def id_claims(**changes: Any) -> dict[str, Any]:
    good = {
        "iss": ISSUER,
        "sub": "5f0c",
        "aud": CLIENT,
        "iat": NOW - 5,
        "exp": NOW + 300,
        "nonce": NONCE,
        "sid": "s-1",
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


def logout_claims(**changes: Any) -> dict[str, Any]:
    good = {
        "iss": ISSUER,
        "sub": "5f0c",
        "aud": CLIENT,
        "iat": NOW - 5,
        "exp": NOW + 120,
        "jti": "j-1",
        "sid": "s-1",
        "events": {LOGOUT_EVENT: {}},
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


def unsigned(claims: Mapping[str, Any], algorithm: str = "none", signature: str = "") -> str:
    return f"{encode(json.dumps({'alg': algorithm, 'typ': 'JWT'}).encode())}.{encode(json.dumps(claims).encode())}.{signature}"


def by_shared_secret(claims: Mapping[str, Any], secret: bytes, kid: str = "key-1") -> str:
    head = encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    content = f"{head}.{encode(json.dumps(claims).encode())}"
    return f"{content}.{encode(hmac.digest(secret, content.encode(), hashlib.sha256))}"


def with_other_signature(text: str) -> str:
    head, body, signature = text.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def with_other_claims(text: str) -> str:
    head, _, signature = text.split(".")
    return f"{head}.{encode(json.dumps(id_claims(sub='admin')).encode())}.{signature}"


@dataclass(frozen=True)
class Bad:
    make: Callable[[], str]
    reason: str


def claims(reason: str, **changes: Any) -> Bad:
    return Bad(lambda: KEY.token(id_claims(**changes)), reason)


def header(reason: str, without: tuple[str, ...] = (), **changes: Any) -> Bad:
    return Bad(lambda: KEY.token(id_claims(), changes, without=without), reason)


def text(reason: str, make: Callable[[], str]) -> Bad:
    return Bad(make, reason)


def raw(reason: str, head: str, body: str) -> Bad:
    return Bad(lambda: KEY.token_of_texts(head, body), reason)


GOOD_HEAD = json.dumps({"alg": "RS256", "kid": "key-1"})
GOOD_BODY = json.dumps(id_claims())
OWN_KEY = "the header brings a key of its own or asks for more"
SEVERAL = "several audiences and no azp"

BAD_ID_TOKENS: dict[str, Bad] = {
    # who signed
    "alg-none": text("not base64url", lambda: unsigned(id_claims())),
    "alg-none-with-a-signature": text("alg", lambda: unsigned(id_claims(), signature="AAAA")),
    "alg-none-capital": text("alg", lambda: unsigned(id_claims(), "None", "AAAA")),
    "alg-none-shouted": text("alg", lambda: unsigned(id_claims(), "NONE", "AAAA")),
    "alg-hs256-with-the-public-key": text("alg", lambda: by_shared_secret(id_claims(), PUBLIC_PEM)),
    "alg-hs256-with-the-jwk": text("alg", lambda: by_shared_secret(id_claims(), json.dumps(KEY.jwk).encode())),
    "alg-hs256-with-the-client-secret": text("alg", lambda: by_shared_secret(id_claims(), b"client-secret")),
    "alg-hs256-with-the-empty-key": text("alg", lambda: by_shared_secret(id_claims(), b"")),
    "alg-missing": header("alg", without=("alg",)),
    "alg-unknown": header("alg", alg="RS1"),
    "alg-list": header("alg", alg=["RS256"]),
    "alg-of-another-key-type": header("no key of the provider's, or several, for this kid and alg", alg="ES256"),
    "alg-of-the-same-key-type-but-not-the-keys": header(
        "no key of the provider's, or several, for this kid and alg", alg="RS512"
    ),
    "kid-unknown": header("no key of the provider's, or several, for this kid and alg", kid="key-9"),
    "kid-of-another-key": header("no key of the provider's, or several, for this kid and alg", kid="key-2"),
    "kid-empty": header("kid", kid=""),
    "kid-number": header("kid", kid=1),
    "kid-path": header("no key of the provider's, or several, for this kid and alg", kid="../../dev/null"),
    "kid-null": Bad(
        lambda: KEY.token(id_claims(), {"kid": None}), "no key of the provider's, or several, for this kid and alg"
    ),
    "kid-missing-with-several-keys": header(
        "no key of the provider's, or several, for this kid and alg", without=("kid",)
    ),
    "signed-by-a-stranger-under-our-kid": text("signature", lambda: STRANGER.token(id_claims())),
    "signed-by-a-short-key": text("the key is too short", lambda: SHORT.token(id_claims())),
    "signature-changed": text("signature", lambda: with_other_signature(KEY.token(id_claims()))),
    "signature-of-other-claims": text("signature", lambda: with_other_claims(KEY.token(id_claims()))),
    "signature-missing": text("not base64url", lambda: KEY.token(id_claims()).rpartition(".")[0] + "."),
    "signature-cut": text("signature", lambda: KEY.token(id_claims())[:-2]),
    "key-embedded": text(OWN_KEY, lambda: STRANGER.token(id_claims(), {"jwk": STRANGER.jwk})),
    "key-by-jku": text(OWN_KEY, lambda: STRANGER.token(id_claims(), {"jku": "https://evil.example/jwks"})),
    "key-by-x5u": text(OWN_KEY, lambda: STRANGER.token(id_claims(), {"x5u": "https://evil.example/cert"})),
    "key-by-x5c": text(OWN_KEY, lambda: STRANGER.token(id_claims(), {"x5c": ["MIIB"]})),
    "crit-unknown": header(OWN_KEY, crit=["must"], must=True),
    "crit-known-name": header(OWN_KEY, crit=["alg"]),
    "crit-empty": header(OWN_KEY, crit=[]),
    "b64-false": header(OWN_KEY, b64=False, crit=["b64"]),
    # who it is from
    "iss-missing": claims("iss", iss=None),
    "iss-other": claims("iss", iss="https://evil.example"),
    "iss-prefix": claims("iss", iss=ISSUER + ".evil.example"),
    "iss-shorter": claims("iss", iss=ISSUER[:-1]),
    "iss-slash": claims("iss", iss=ISSUER + "/"),
    "iss-other-case": claims("iss", iss=ISSUER.upper()),
    "iss-list": claims("iss", iss=[ISSUER]),
    "iss-list-of-two": claims("iss", iss=[ISSUER, "https://evil.example"]),
    "iss-other-realm": claims("iss", iss="https://login.example/realms/other"),
    # who it is for
    "aud-missing": claims("aud", aud=None),
    "aud-other": claims("aud", aud="account"),
    "aud-substring": claims("aud", aud="paddock-staging"),
    "aud-shorter": claims("aud", aud="paddoc"),
    "aud-list-without-us": claims("aud", aud=["account", "other"]),
    "aud-empty-list": claims("aud", aud=[]),
    "aud-list-of-numbers": claims("aud", aud=[CLIENT, 1]),
    "aud-object": claims("aud", aud={"paddock": True}),
    "aud-two-without-azp": claims(SEVERAL, aud=[CLIENT, "other"]),
    "azp-other": claims("azp", azp="other"),
    "azp-other-of-two": claims("azp", aud=[CLIENT, "other"], azp="other"),
    "azp-list": claims("azp", azp=[CLIENT]),
    # when
    "exp-missing": claims("exp is no time", exp=None),
    "exp-passed": claims("exp has passed", iat=NOW - 400, exp=NOW - 61),
    "exp-text": claims("exp is no time", exp=str(NOW + 300)),
    "exp-true": claims("exp is no time", exp=True),
    "exp-negative": claims("exp is no time", exp=-1),
    "exp-huge": claims("exp is no time", exp=1e300),
    "iat-missing": claims("iat is no time", iat=None),
    "iat-in-the-future": claims("iat is in the future", iat=NOW + 90, exp=NOW + 300),
    "iat-old": claims("iat is too old", iat=NOW - 700),
    "iat-after-exp": claims("exp lies before iat", iat=NOW + 30, exp=NOW + 20),
    "nbf-in-the-future": claims("nbf is in the future", nbf=NOW + 90),
    "nbf-text": claims("nbf is no time", nbf="now"),
    # which login
    "nonce-missing": claims("nonce", nonce=None),
    "nonce-other": claims("nonce", nonce="the-nonce-of-another-login"),
    "nonce-list": claims("nonce", nonce=[NONCE]),
    "nonce-empty": claims("nonce", nonce=""),
    "at-hash-of-another-token": claims("at_hash", at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    # whose
    "sub-missing": claims("sub is missing", sub=None),
    "sub-empty": claims("sub is missing", sub=""),
    "sub-number": claims("sub is no plain text", sub=7),
    "sub-list": claims("sub is no plain text", sub=["5f0c"]),
    "sub-long": claims("sub is no plain text", sub="x" * 256),
    "sub-with-a-line-break": claims("sub is no plain text", sub="5f0c\nadmin"),
    "sid-list": claims("sid is no plain text", sid=["s-1"]),
    # of which kind
    "kind-access-token-by-header": header("typ is another kind's", typ="at+jwt"),
    "kind-access-token-by-claim": claims("typ claim is another kind's", typ="Bearer"),
    "kind-refresh-token": claims("typ claim is another kind's", typ="Refresh"),
    "kind-offline-token": claims("typ claim is another kind's", typ="Offline"),
    "kind-access-token-of-cognito": claims("token_use claim is another kind's", token_use="access"),
    "kind-logout-token": text("a logout token is no ID token", lambda: KEY.token(logout_claims(nonce=NONCE))),
    "kind-logout-token-by-header": header("typ is another kind's", typ="logout+jwt"),
    "kind-number": header("typ", typ=1),
    # in which form
    "form-empty": text("not a signed token", lambda: ""),
    "form-one-part": text("not a signed token", lambda: "abc"),
    "form-encrypted": text("not a signed token", lambda: ".".join(["e30"] * 5)),
    "form-encrypted-and-compressed": text(
        "not a signed token",
        lambda: encode(b'{"alg":"dir","enc":"A256GCM","zip":"DEF"}') + "." + ".".join(["AAAA"] * 4),
    ),
    "form-four-parts": text("not a signed token", lambda: KEY.token(id_claims()) + ".AAAA"),
    "form-huge": text("larger than any token", lambda: KEY.token(id_claims(more="x" * TOKEN_LIMIT))),
    "form-huge-header": header("larger than any token", more="x" * 3000),
    "form-padded": text("not base64url", lambda: KEY.token(id_claims()).replace(".", "=.", 1)),
    "form-blank": text("not base64url", lambda: " " + KEY.token(id_claims())),
    "form-line-break": text("not base64url", lambda: KEY.token(id_claims()) + "\n"),
    "form-standard-base64": text("not base64url", lambda: KEY.token(id_claims()).replace(".", "+.", 1)),
    "form-json-serialization": text("not a signed token", lambda: json.dumps({"payload": "", "signatures": []})),
    "json-header-list": raw("not a JSON object", "[]", GOOD_BODY),
    "json-claims-list": raw("not a JSON object", GOOD_HEAD, "[]"),
    "json-claims-text": raw("not a JSON object", GOOD_HEAD, '"x"'),
    "json-not": raw("not strict JSON", GOOD_HEAD, "{"),
    "json-nan": raw("not strict JSON", GOOD_HEAD, GOOD_BODY[:-1] + ', "x": NaN}'),
    "json-twice-in-the-header": raw("not strict JSON", '{"alg":"none","alg":"RS256","kid":"key-1"}', GOOD_BODY),
    "json-sub-twice": raw("not strict JSON", GOOD_HEAD, GOOD_BODY[:-1] + ', "sub": "admin"}'),
    "json-twice-inside": raw("not strict JSON", GOOD_HEAD, GOOD_BODY[:-1] + ', "x": {"a": 1, "a": 2}}'),
    "json-not-utf8": text(
        "not strict JSON", lambda: _signed(encode(GOOD_HEAD.encode()) + "." + encode(b'{"sub":"\xff"}'))
    ),
    "json-deep": raw("not a JSON object", GOOD_HEAD, GOOD_BODY[:-1] + ', "x": ' + "[" * 30 + "]" * 30 + "}"),
    "json-bottomless": raw("not strict JSON", GOOD_HEAD, "[" * 20_000 + "]" * 20_000),
    "json-big-number": raw("not strict JSON", GOOD_HEAD, '{"exp": ' + "9" * 5000 + "}"),
}


def _signed(content: str) -> str:
    return f"{content}.{encode(KEY.sign(content.encode()))}"


def open_id_token(token: str, **rest: Any) -> Any:
    return check_id_token(token, find_keys, AUDIENCE, **{"now": NOW, "nonce": NONCE, "access_token": "access", **rest})


@pytest.mark.parametrize("name", BAD_ID_TOKENS)
def test_sec52_a_bad_id_token_is_refused_for_its_own_fault(name: str) -> None:
    bad = BAD_ID_TOKENS[name]
    with pytest.raises(TokenRefused) as refused:
        open_id_token(bad.make())
    assert refused.value.reason == bad.reason


def test_sec52_the_corpus_has_its_size() -> None:
    assert len(BAD_ID_TOKENS) + len(BAD_LOGOUT_TOKENS) >= 100


def good_at_hash() -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(b"access").digest()[:16]).decode().rstrip("=")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: KEY.token(id_claims()), id="plain"),
        pytest.param(lambda: EC_KEY.token(id_claims()), id="es256"),
        pytest.param(lambda: ED_KEY.token(id_claims()), id="eddsa"),
        pytest.param(lambda: PS_KEY.token(id_claims()), id="ps256"),
        pytest.param(lambda: ED_KEY.token(id_claims(), without=("kid",)), id="without-kid-and-one-key-for-it"),
        pytest.param(lambda: KEY.token(id_claims(), without=("typ",)), id="without-typ"),
        pytest.param(lambda: KEY.token(id_claims(), {"typ": "application/jwt"}), id="typ-in-full"),
        pytest.param(lambda: KEY.token(id_claims(typ="ID")), id="keycloaks-typ-claim"),
        pytest.param(lambda: KEY.token(id_claims(aud=[CLIENT])), id="audience-list"),
        pytest.param(lambda: KEY.token(id_claims(aud=["x", CLIENT], azp=CLIENT)), id="two-audiences-and-azp"),
        pytest.param(lambda: KEY.token(id_claims(iat=NOW - 90, exp=NOW - 59)), id="within-the-leeway-after-exp"),
        pytest.param(lambda: KEY.token(id_claims(iat=NOW + 59, nbf=NOW + 59)), id="within-the-leeway-before-iat"),
        pytest.param(lambda: KEY.token(id_claims(at_hash=good_at_hash())), id="at-hash"),
        pytest.param(lambda: KEY.token(id_claims(), {"x5t": "abc"}), id="a-header-that-brings-nothing"),
    ],
)
def test_a_good_id_token_is_taken(make: Callable[[], str]) -> None:
    found = open_id_token(make())
    assert (found.subject, found.session_id, found.claims["nonce"]) == ("5f0c", "s-1", NONCE)


def test_a_refreshed_id_token_needs_no_nonce_and_may_be_of_an_older_login() -> None:
    found = open_id_token(KEY.token(id_claims(nonce=None, iat=NOW - 3000)), nonce=None)
    assert found.subject == "5f0c"


def test_sec52_of_two_keys_with_one_id_neither_is_chosen() -> None:
    def twice(kid: str | None) -> list[dict[str, Any]]:
        return [STRANGER.jwk, KEY.jwk]

    with pytest.raises(TokenRefused, match="or several"):
        check_id_token(KEY.token(id_claims()), twice, AUDIENCE, now=NOW, nonce=NONCE)


@pytest.mark.parametrize(
    "key",
    [
        {**KEY.jwk, "use": "enc"},
        {**KEY.jwk, "alg": "RSA-OAEP"},
        {**KEY.jwk, "key_ops": ["encrypt"]},
        {"kty": "oct", "kid": "key-1", "k": "c2VjcmV0"},
        {**KEY.jwk, "kid": 7},
        {"kid": "key-1"},
    ],
    ids=["for-encryption", "of-an-encryption-algorithm", "without-verify", "shared-secret", "odd-kid", "no-type"],
)
def test_sec52_keys_for_other_purposes_are_no_keys(key: dict[str, Any]) -> None:
    assert usable_keys({"keys": [key, "nonsense", EC_KEY.jwk]}) == [EC_KEY.jwk]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, "keys"])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(TokenRefused):
        usable_keys(document)


BAD_LOGOUT_TOKENS: dict[str, Callable[[], str]] = {
    "events-missing": lambda: KEY.token(logout_claims(events=None)),
    "events-empty": lambda: KEY.token(logout_claims(events={})),
    "events-list": lambda: KEY.token(logout_claims(events=[LOGOUT_EVENT])),
    "events-text": lambda: KEY.token(logout_claims(events=LOGOUT_EVENT)),
    "events-other": lambda: KEY.token(logout_claims(events={"http://schemas.openid.net/event/other": {}})),
    "events-not-an-object": lambda: KEY.token(logout_claims(events={LOGOUT_EVENT: True})),
    "nonce": lambda: KEY.token(logout_claims(nonce="x")),
    "nonce-null": lambda: KEY.token(json.dumps({**logout_claims(), "nonce": None})),
    "jti-missing": lambda: KEY.token(logout_claims(jti=None)),
    "jti-empty": lambda: KEY.token(logout_claims(jti="")),
    "jti-number": lambda: KEY.token(logout_claims(jti=5)),
    "neither-sub-nor-sid": lambda: KEY.token(logout_claims(sub=None, sid=None)),
    "iat-missing": lambda: KEY.token(logout_claims(iat=None)),
    "iat-old": lambda: KEY.token(logout_claims(iat=NOW - 400)),
    "iat-future": lambda: KEY.token(logout_claims(iat=NOW + 100, exp=NOW + 200)),
    "exp-missing": lambda: KEY.token(logout_claims(exp=None)),
    "exp-passed": lambda: KEY.token(logout_claims(iat=NOW - 200, exp=NOW - 100)),
    "exp-never": lambda: KEY.token(logout_claims(exp=NOW + 10**8)),
    "iss-other": lambda: KEY.token(logout_claims(iss="https://evil.example")),
    "aud-other": lambda: KEY.token(logout_claims(aud="other")),
    "an-id-token": lambda: KEY.token(id_claims()),
    "an-id-token-without-nonce": lambda: KEY.token(id_claims(nonce=None)),
    "an-access-token": lambda: KEY.token(logout_claims(typ="Bearer")),
    "by-header-an-access-token": lambda: KEY.token(logout_claims(), {"typ": "at+jwt"}),
    "unsigned": lambda: unsigned(logout_claims(), signature="AAAA"),
    "of-a-stranger": lambda: STRANGER.token(logout_claims()),
    "shared-secret": lambda: by_shared_secret(logout_claims(), PUBLIC_PEM),
    "key-embedded": lambda: STRANGER.token(logout_claims(), {"jwk": STRANGER.jwk}),
}


@pytest.mark.parametrize("name", BAD_LOGOUT_TOKENS)
def test_sec53_a_bad_logout_token_is_refused(name: str) -> None:
    with pytest.raises(TokenRefused):
        check_logout_token(BAD_LOGOUT_TOKENS[name](), find_keys, AUDIENCE, now=NOW)


@pytest.mark.parametrize(
    ("changes", "subject", "session_id"),
    [({}, "5f0c", "s-1"), ({"sid": None}, "5f0c", ""), ({"sub": None}, "", "s-1"), ({"typ": "Logout"}, "5f0c", "s-1")],
    ids=["both", "only-sub", "only-sid", "keycloaks-typ-claim"],
)
def test_a_good_logout_token_says_whose_session_ends(changes: dict[str, Any], subject: str, session_id: str) -> None:
    found = check_logout_token(KEY.token(logout_claims(**changes), {"typ": "logout+jwt"}), find_keys, AUDIENCE, now=NOW)
    assert (found.subject, found.session_id, found.jti) == (subject, session_id, "j-1")
