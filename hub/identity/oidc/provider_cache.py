"""What this process remembers of providers: their metadata and keys, fetched by the guarded session (SEC-58, FLT-36).

Kept for minutes and fetched again then; while a provider does not answer, what was known goes on for an hour. A key id that
is not known makes the keys be fetched again at once, so that a rotation is no outage, but only a few times in a minute, so
that made-up key ids are no load on the provider; nor is a provider that is down asked by everybody who would log in.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import orjson

from hub.core.outbound import OutboundError, guarded_session

from .metadata import Metadata, MetadataRefused, discovery_url, parse_metadata
from .token_checks import FindKeys, KeySet, TokenRefused, usable_keys

FRESH_SECONDS = 300.0
STALE_SECONDS = 3600.0
FETCHES = 5
FETCHES_IN_SECONDS = 60.0
ANSWER_LIMIT = 512 * 1024
PROVIDERS_KEPT = 100

Value = TypeVar("Value")
clock: Callable[[], float] = time.monotonic


class ProviderUnavailable(Exception):
    """The provider does not answer, or not as a provider does. ``reason`` is for the administrator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Remembered(Generic[Value]):
    """A value that is fetched when it is old or not enough, at most ``FETCHES`` times in ``FETCHES_IN_SECONDS``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: Value | None = None
        self._at = 0.0
        self._fetched: deque[float] = deque(maxlen=FETCHES)
        self._failure = ProviderUnavailable("the provider has not answered yet")

    def get(self, fetch: Callable[[], Value], is_enough: Callable[[Value], bool]) -> Value:
        with self._lock:
            if self._value is not None and clock() - self._at <= FRESH_SECONDS and is_enough(self._value):
                return self._value
            if len(self._fetched) < FETCHES or clock() - self._fetched[0] > FETCHES_IN_SECONDS:
                self._fetched.append(clock())
                try:
                    self._value, self._at = fetch(), clock()
                except ProviderUnavailable as error:
                    self._failure = error
            if self._value is None or clock() - self._at > STALE_SECONDS:
                raise self._failure
            return self._value


class _Provider:
    def __init__(self) -> None:
        self.metadata: _Remembered[Metadata] = _Remembered()
        self.keys: _Remembered[list[dict[str, Any]]] = _Remembered()


_known: dict[tuple[str, str], _Provider] = {}
_lock = threading.Lock()


def metadata_of(issuer: str, ca_pem: str = "") -> Metadata:
    """The provider's metadata. Raises ProviderUnavailable, also when what it publishes cannot be used."""
    return _entry(issuer, ca_pem).metadata.get(lambda: fetch_metadata(issuer, ca_pem), lambda metadata: True)


def keys_of(issuer: str, ca_pem: str = "") -> FindKeys:
    """Finds the provider's keys by key id. What it returns raises as ``metadata_of``."""

    def find(kid: str | None) -> KeySet:
        jwks_uri = metadata_of(issuer, ca_pem).jwks_uri
        keys = _entry(issuer, ca_pem).keys
        return _with_id(keys.get(lambda: fetch_keys(jwks_uri, ca_pem), lambda known: bool(_with_id(known, kid))), kid)

    return find


def fetch_metadata(issuer: str, ca_pem: str) -> Metadata:
    """As ``metadata_of``, asked now."""
    try:
        return parse_metadata(_get(discovery_url(issuer), ca_pem), issuer)
    except MetadataRefused as error:
        raise ProviderUnavailable(error.reason) from error


def fetch_keys(jwks_uri: str, ca_pem: str) -> list[dict[str, Any]]:
    """The provider's usable keys, asked now. Raises ProviderUnavailable."""
    try:
        return usable_keys(_get(jwks_uri, ca_pem))
    except TokenRefused as error:
        raise ProviderUnavailable(error.reason) from error


def forget_providers() -> None:
    """Empties the memory of this process."""
    with _lock:
        _known.clear()


def _with_id(keys: list[dict[str, Any]], kid: str | None) -> list[dict[str, Any]]:
    return [key for key in keys if kid is None or key.get("kid") == kid]


def _entry(issuer: str, ca_pem: str) -> _Provider:
    with _lock:
        if len(_known) > PROVIDERS_KEPT:
            _known.clear()
        return _known.setdefault((issuer, ca_pem), _Provider())


def _get(url: str, ca_pem: str) -> Any:
    try:
        with guarded_session(ca_pem=ca_pem, maximum_bytes=ANSWER_LIMIT) as session:
            answer = session.get(url, headers={"Accept": "application/json"})
    except OutboundError as error:
        raise ProviderUnavailable(str(error)) from error
    if answer.status_code != 200:
        raise ProviderUnavailable(f"the answer has the status {answer.status_code}")
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise ProviderUnavailable("the answer is no JSON") from error
