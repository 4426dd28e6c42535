"""Brakes on guessing what opens an account, kept in the database so that a restart does not lift them (SEC-56).

Each attempt is counted before the secret is looked at, in three buckets: the account from this peer, the peer on any
account, and the account from any peer. The first is small; the last is wide, so that a stranger cannot easily keep an
owner out from elsewhere. Guesses at different secrets of an account (``Secret``) are counted apart, those of a peer together.
An attempt on a name that does not exist counts the same. Buckets are hashes, because people type passwords into the field
for the name.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from django.db import connection, transaction

from hub.core.errors import HubError, define

WINDOW_SECONDS = 15 * 60
PAIR_LIMIT = 5
PEER_LIMIT = 40
ACCOUNT_LIMIT = 100
# Six digits are few, and who gets to guess them knows the password already.
SECOND_FACTOR_LIMIT = 20

define("login.throttled", 429, "Too many failed logins; wait before trying again")

# One statement, so that parallel attempts cannot all read the same count. An ended window starts again at one.
_COUNT = """
INSERT INTO identity_loginfailures (bucket, failures, window_ends_at)
VALUES (%(bucket)s, 1, clock_timestamp() + make_interval(secs => %(window)s))
ON CONFLICT (bucket) DO UPDATE SET
    failures = CASE WHEN identity_loginfailures.window_ends_at <= clock_timestamp()
               THEN 1 ELSE identity_loginfailures.failures + 1 END,
    window_ends_at = CASE WHEN identity_loginfailures.window_ends_at <= clock_timestamp()
                     THEN excluded.window_ends_at ELSE identity_loginfailures.window_ends_at END
RETURNING failures, ceil(extract(epoch FROM window_ends_at - clock_timestamp()))::int
"""
_UNCOUNT = "UPDATE identity_loginfailures SET failures = greatest(failures - 1, 0) WHERE bucket = %(bucket)s"
_FORGET = "DELETE FROM identity_loginfailures WHERE bucket = %(bucket)s OR window_ends_at < clock_timestamp()"


class Secret(StrEnum):
    """What is guessed at."""

    PASSWORD = "password"  # noqa: S105  # a kind, not one
    SECOND_FACTOR = "second factor"
    LINK = "link"
    USER_CODE = "user code"


@dataclass(frozen=True, slots=True)
class _Bucket:
    key: str
    limit: int


def count_attempt(account: str, peer: str, secret: Secret = Secret.PASSWORD) -> None:
    """Counts an attempt, in a transaction of its own. Raises HubError ``login.throttled`` when there were too many.

    A peer that is over its own limit leaves no more rows, whatever names it tries (SEC-72).
    """
    pair, of_peer, of_account = _buckets(account, peer, secret)
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # In a fixed order, so that two attempts cannot wait for each other's rows.
        blocked_for = _count(cursor, of_peer) or max(
            _count(cursor, bucket) for bucket in sorted((pair, of_account), key=lambda bucket: bucket.key)
        )
    if blocked_for:
        raise HubError("login.throttled", retry_after=blocked_for)


def forgive(account: str, peer: str, secret: Secret = Secret.PASSWORD) -> None:
    """Takes back the attempt after a good one, and the earlier failures of this account from this peer."""
    pair, of_peer, of_account = _buckets(account, peer, secret)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_UNCOUNT, {"bucket": of_peer.key})
        for bucket, statement in sorted(((pair, _FORGET), (of_account, _UNCOUNT)), key=lambda one: one[0].key):
            cursor.execute(statement, {"bucket": bucket.key})


def _count(cursor: object, bucket: _Bucket) -> int:
    """Seconds for which this bucket blocks; 0 when the attempt is fine."""
    cursor.execute(_COUNT, {"bucket": bucket.key, "window": WINDOW_SECONDS})  # type: ignore[attr-defined]
    failures, remaining = cursor.fetchone()  # type: ignore[attr-defined]
    return max(int(remaining), 1) if failures > bucket.limit else 0


def _buckets(account: str, peer: str, secret: Secret) -> tuple[_Bucket, ...]:
    name = account.casefold()
    return (
        _Bucket(_digest(secret, "pair", name, peer), PAIR_LIMIT),
        _Bucket(_digest("peer", peer), PEER_LIMIT),
        _Bucket(
            _digest(secret, "account", name), SECOND_FACTOR_LIMIT if secret is Secret.SECOND_FACTOR else ACCOUNT_LIMIT
        ),
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
