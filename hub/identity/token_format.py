"""The text of a token, and how its secret is stored: ``<prefix>_<key id>_<secret>``.

The prefix says what it opens, so none is taken for another: ``pdk`` API tokens, ``pds`` the cookie of a session, ``pdi``
invitations, ``pdl`` login links, ``pdc`` logins of ``paddock-login``.

The key id finds the row (or the entry in the stream server's memory); the secret has 256 bits and is kept only as an
HMAC-SHA-256 under a numbered pepper from the keys file, so a stolen database holds nothing to log in with and nothing
to guess against. Slow hashing would add nothing to a random secret of that length. Pure: no database, no settings.
"""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

KEY_ID_LENGTH = 12
SECRET_LENGTH = 43
_KEY_ID_ALPHABET = string.ascii_lowercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits  # 43 of 62 characters: 256 bits
API_TOKEN = "pdk"  # noqa: S105  # how it begins, not one
SESSION = "pds"
INVITATION = "pdi"
LOGIN_LINK = "pdl"
CLI_LOGIN = "pdc"

_TOKEN = re.compile(
    rf"(?P<prefix>pd[a-z])_(?P<key_id>[a-z0-9]{{{KEY_ID_LENGTH}}})_(?P<secret>[A-Za-z0-9]{{{SECRET_LENGTH}}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token in its parts."""

    key_id: str
    secret: str = field(repr=False)
    prefix: str = API_TOKEN

    def render(self) -> str:
        """The text that is shown once and sent as the bearer token."""
        return f"{self.prefix}_{self.key_id}_{self.secret}"

    def hash(self, pepper: bytes) -> bytes:
        """What is stored: HMAC-SHA-256 of key id and secret, 32 bytes."""
        return hmac.digest(pepper, f"{self.key_id}.{self.secret}".encode(), hashlib.sha256)

    def matches(self, stored: bytes, pepper: bytes) -> bool:
        """Whether this is the token whose hash is stored; takes the same time for any wrong secret."""
        return hmac.compare_digest(self.hash(pepper), stored)


def generate_token(prefix: str = API_TOKEN) -> TokenText:
    """A new token from the system's random source."""
    return TokenText(
        "".join(secrets.choice(_KEY_ID_ALPHABET) for _ in range(KEY_ID_LENGTH)),
        "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(SECRET_LENGTH)),
        prefix,
    )


def parse_token(text: str, prefix: str = API_TOKEN) -> TokenText | None:
    """The token's parts, or None when the text is not one of this prefix."""
    match = _TOKEN.fullmatch(text)
    return TokenText(match["key_id"], match["secret"], prefix) if match and match["prefix"] == prefix else None
