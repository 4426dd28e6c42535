"""Passwords of local users: what is good enough, how it is stored, and checking one without telling who exists.

Hashing is Django's Argon2 hasher. Rows are written by ``services``.
"""

import secrets
from functools import lru_cache

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import (
    CommonPasswordValidator,
    MinimumLengthValidator,
    NumericPasswordValidator,
)
from django.core.exceptions import ValidationError

from hub.core.errors import HubError, define

HASHER = "argon2"
MINIMUM_LENGTH = 12
MAXIMUM_LENGTH = 256
ONE_TIME_BYTES = 18

define("password.unfit", 400, "The password is not good enough")


def check_fitness(password: str, username: str, pointer: str = "/password") -> None:
    """Raises HubError ``password.unfit`` with ``problems``: too_short, too_long, too_common, all_digits, is_name."""
    validators = (
        (MinimumLengthValidator(MINIMUM_LENGTH), "too_short"),
        (_common_passwords(), "too_common"),
        (NumericPasswordValidator(), "all_digits"),
    )
    problems = [problem for validator, problem in validators if not _passes(validator, password)]
    if len(password) > MAXIMUM_LENGTH:
        problems.append("too_long")
    if username.casefold() in password.casefold():
        problems.append("is_name")
    if problems:
        raise HubError("password.unfit", pointer=pointer, problems=problems, minimum_length=MINIMUM_LENGTH)


def hash_password(password: str) -> str:
    """The encoded Argon2 hash, parameters and salt included."""
    return make_password(password, hasher=HASHER)


def is_password(password: str, encoded: str | None) -> bool:
    """Whether ``password`` made ``encoded``. None or "" never matches, in the same time as a wrong password (SEC-56)."""
    if len(password) > MAXIMUM_LENGTH:
        return False
    matches = check_password(password, encoded or _nobody(), preferred=HASHER)
    return matches and bool(encoded)


def generate_password() -> str:
    """A one-time password of 144 random bits."""
    return secrets.token_urlsafe(ONE_TIME_BYTES)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """A hash that no password is known for, with today's parameters."""
    return hash_password(secrets.token_urlsafe(32))


@lru_cache(maxsize=1)
def _common_passwords() -> CommonPasswordValidator:
    return CommonPasswordValidator()


def _passes(validator: MinimumLengthValidator | CommonPasswordValidator | NumericPasswordValidator, text: str) -> bool:
    try:
        validator.validate(text)
    except ValidationError:
        return False
    return True
