"""Second factors: one-time codes by time (TOTP, RFC 6238), and recovery codes for when the device is lost.

A secret counts once a code has confirmed it. A code is good for its own half minute and the one on either side, and once;
a recovery code is good once. Every guess is counted (``login_limits``), and each change is in the audit trail.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field

import pyotp
from django.core import signing
from django.db import transaction
from django.utils import timezone

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.keys import key_ring

from . import login_limits
from .login_limits import Secret
from .logins import record_failure
from .models import LoginMethod, RecoveryCode, Session, User
from .sessions import end_sessions

ISSUER = "Paddock"
SECRET_BYTES = 20  # what RFC 4226 recommends, and 32 characters of base32
STEP_SECONDS = 30
RECOVERY_CODES = 10
TICKET_SECONDS = 300
_CODE_LENGTH = 10
_CODE_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what is read as something else
_TICKET_SALT = "paddock.second-factor"

define("second_factor.exists", 409, "There is a second factor already; remove it first")
define("second_factor.none", 409, "There is no second factor")
define("second_factor.wrong", 403, "The code is wrong, too old, or was used before")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app is told: the secret in base32, and the same as an ``otpauth:`` address."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


def begin_enrolment(actor: Actor, user: User) -> Enrolment:
    """A new secret, which counts once ``confirm_enrolment`` has seen a code. Raises HubError ``second_factor.exists``."""
    _refuse_existing(user)
    user.totp_secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    with transaction.atomic():
        record_update(user, ["totp_secret"])
        record(actor, "update", "users", user, object_name=user.username, detail={"second_factor": "begun"})
    return _enrolment(user)


def pending_enrolment(user: User) -> Enrolment | None:
    """The one that waits for its first code."""
    return _enrolment(user) if user.totp_secret and not user.has_second_factor else None


def confirm_enrolment(actor: Actor, user: User, code: str, *, peer: str) -> list[str]:
    """Makes the second factor count, and gives the recovery codes, which are nowhere else.

    The user's other sessions end: they were begun without it. Raises HubError ``second_factor.exists``,
    ``second_factor.none``, ``login.throttled`` or ``second_factor.wrong``.
    """
    _refuse_existing(user)
    if not user.totp_secret:
        raise HubError("second_factor.none")
    login_limits.count_attempt(user.username, peer, Secret.SECOND_FACTOR)
    step = _find_step(user, code)
    if step is None:
        raise HubError("second_factor.wrong", pointer="/code")
    login_limits.forgive(user.username, peer, Secret.SECOND_FACTOR)
    user.totp_confirmed_at, user.totp_last_step = timezone.now(), step
    with transaction.atomic():
        record_update(user, ["totp_confirmed_at", "totp_last_step"])
        _record_change(actor, user, before=False)
        end_sessions(actor, Session.objects.filter(user=user).besides(actor.session_id), "second_factor_added")
        return _write_recovery_codes(user)


def check_second_factor(user: User, code: str, *, peer: str) -> None:
    """Takes a code of the user's device, or a recovery code; each is good once.

    Raises HubError ``second_factor.none``, ``login.throttled`` or ``second_factor.wrong``. Runs outside any transaction, so
    that a failure is counted whatever happens to the request.
    """
    if not user.has_second_factor:
        raise HubError("second_factor.none")
    login_limits.count_attempt(user.username, peer, Secret.SECOND_FACTOR)
    if not _take_code(user, code) and not _take_recovery_code(user, code):
        record_failure(user, LoginMethod.PASSWORD, "second_factor")
        raise HubError("second_factor.wrong", pointer="/code")
    login_limits.forgive(user.username, peer, Secret.SECOND_FACTOR)


def remove_second_factor(actor: Actor, user: User, *, expected_version: int | None = None) -> None:
    """Takes secret and recovery codes away. Whether the one who asks has shown a code is asked before. Raises StaleVersion."""
    before = user.has_second_factor
    user.totp_secret, user.totp_confirmed_at = "", None
    with transaction.atomic():
        record_update(user, ["totp_secret", "totp_confirmed_at"], expected_version=expected_version)
        RecoveryCode.objects.filter(user=user).delete()
        _record_change(actor, user, before=before)


def replace_recovery_codes(actor: Actor, user: User) -> list[str]:
    """Ten new codes; the old ones are worth nothing from now on. Raises HubError ``second_factor.none``."""
    if not user.has_second_factor:
        raise HubError("second_factor.none")
    changes = diff({"recovery_codes": "old"}, {"recovery_codes": "new"})
    with transaction.atomic():
        record(actor, "update", "users", user, object_name=user.username, changes=changes)
        return _write_recovery_codes(user)


def count_recovery_codes(user: User) -> int:
    """How many are left."""
    return RecoveryCode.objects.filter(user=user, used_at__isnull=True).count()


def issue_ticket(user: User) -> str:
    """What a browser carries from the password to the second factor: who has shown his password, signed, for five minutes.

    It opens nothing by itself, and ends with the password that was shown.
    """
    return _signer().sign_object([str(user.pk), _mark_of_password(user)])


def find_user_of_ticket(ticket: str) -> User | None:
    """Who has shown his password; None for everything that is not a good ticket."""
    try:
        user_id, mark = _signer().unsign_object(ticket, max_age=TICKET_SECONDS)
    except (signing.BadSignature, ValueError):
        return None
    user = User.objects.filter(pk=user_id, is_active=True).first()
    return user if user is not None and hmac.compare_digest(_mark_of_password(user), mark) else None


def _take_code(user: User, code: str) -> bool:
    step = _find_step(user, code)
    # One statement, so that of two requests with the same code one takes it; an observation, as the last use of a token.
    return step is not None and bool(
        User.objects.filter(pk=user.pk, totp_last_step__lt=step).update(totp_last_step=step)
    )


def current_step() -> int:
    """The number of this half minute."""
    return int(time.time()) // STEP_SECONDS


def _find_step(user: User, code: str) -> int | None:
    """The half minute whose code this is."""
    totp = pyotp.TOTP(user.totp_secret.reveal(), interval=STEP_SECONDS)
    now = current_step()
    offered = "".join(code.split()).encode()
    matching = [
        step for step in (now, now - 1, now + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), offered)
    ]
    return matching[0] if matching else None


def _take_recovery_code(user: User, code: str) -> bool:
    plain = "".join(character for character in code.casefold() if character.isalnum())
    hashes = [_hash_code(user, plain, pepper) for pepper in key_ring().peppers.values()]
    codes = RecoveryCode.objects.filter(user=user, code_hash__in=hashes, used_at__isnull=True)
    return bool(codes.update(used_at=timezone.now()))


def _write_recovery_codes(user: User) -> list[str]:
    pepper_id, pepper = key_ring().pepper
    RecoveryCode.objects.filter(user=user).delete()
    texts = ["".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES)]
    for text in texts:
        record_insert(RecoveryCode(user=user, code_hash=_hash_code(user, text, pepper), pepper_id=pepper_id))
    half = _CODE_LENGTH // 2
    return [f"{text[:half]}-{text[half:]}" for text in texts]


def _hash_code(user: User, code: str, pepper: bytes) -> bytes:
    return hmac.digest(pepper, f"recovery\0{user.pk}\0{code}".encode(), hashlib.sha256)


def _enrolment(user: User) -> Enrolment:
    secret = user.totp_secret.reveal()
    uri = pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=user.username, issuer_name=ISSUER)
    return Enrolment(secret, uri)


def _refuse_existing(user: User) -> None:
    if user.has_second_factor:
        raise HubError("second_factor.exists")


def _record_change(actor: Actor, user: User, *, before: bool) -> None:
    changes = {"second_factor": [before, user.has_second_factor]}
    record(actor, "update", "users", user, object_name=user.username, changes=changes)


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(key=key_ring().signing.hex(), salt=_TICKET_SALT)


def _mark_of_password(user: User) -> str:
    return hmac.new(key_ring().signing, b"ticket\0" + user.password_hash.encode(), hashlib.sha256).hexdigest()[:16]
