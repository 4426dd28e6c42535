"""The keys file: master keys for secrets at rest, peppers for stored token hashes, and the signing key.

It lies outside the database and its backup (``PADDOCK_KEYS_FILE``). What is done with the keys is for others:
``sealed`` encrypts columns, ``hub.identity`` hashes tokens.
"""

import base64
import binascii
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .environment import environment
from .errors import HubError, define

FORMAT = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12

define("secret.unreadable", 500, "A stored secret cannot be opened with the master keys of this hub; enter it again")
define("secret.keys_invalid", 500, "The file of master keys cannot be used")


@dataclass(frozen=True, repr=False)
class KeyRing:
    """The secrets of the keys file, each map in the file's order: its first entry is the one that writes.

    ``keys`` are master keys (32 bytes), ``peppers`` key the stored hashes of API tokens, ``signing`` signs short-lived
    values that clients carry back, such as list continuations.
    """

    keys: Mapping[str, bytes]
    peppers: Mapping[str, bytes]
    signing: bytes

    @classmethod
    def parse(cls, text: str, source: str = "PADDOCK_KEYS_FILE") -> "KeyRing":
        """Reads ``{"keys": {id: base64}, "peppers": {id: base64}, "signing": base64}``.

        Raises HubError ``secret.keys_invalid`` naming what is wrong, never showing a key.
        """
        try:
            document = json.loads(text)
            keys = {name: _decode(value) for name, value in document["keys"].items()}
            peppers = {name: _decode(value) for name, value in document["peppers"].items()}
            signing = _decode(document["signing"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HubError("secret.keys_invalid", source=source, problem="not the JSON of a keys file") from error
        if not keys or not peppers:
            raise HubError("secret.keys_invalid", source=source, problem="needs at least one key and one pepper")
        if any(not name.isalnum() for name in (*keys, *peppers)):
            raise HubError("secret.keys_invalid", source=source, problem="ids are letters and digits only")
        if any(len(value) != KEY_BYTES for value in (*keys.values(), *peppers.values(), signing)):
            raise HubError("secret.keys_invalid", source=source, problem=f"each value is {KEY_BYTES} bytes, base64")
        return cls(keys, peppers, signing)

    @property
    def current(self) -> str:
        """The id of the key that writes."""
        return next(iter(self.keys))

    def seal(self, text: str, context: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = AESGCM(self.keys[self.current]).encrypt(nonce, text.encode(), context.encode())
        return f"{FORMAT}.{self.current}.{base64.urlsafe_b64encode(nonce + body).decode()}"

    def open(self, token: str, context: str) -> str:
        """The text of a sealed value. Raises HubError ``secret.unreadable`` when key, place or bytes do not match."""
        form, _, rest = token.partition(".")
        key_id, _, payload = rest.partition(".")
        key = self.keys.get(key_id)
        if form != FORMAT or key is None:
            raise HubError("secret.unreadable", place=context, key=key_id)
        try:
            body = base64.urlsafe_b64decode(payload)
            return AESGCM(key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise HubError("secret.unreadable", place=context, key=key_id) from error


def _decode(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError("a key is base64 text")
    return base64.b64decode(value, validate=True)


@lru_cache(maxsize=4)
def _read_key_ring(path: Path) -> KeyRing:
    try:
        return KeyRing.parse(path.read_text(), str(path))
    except OSError as error:
        raise HubError("secret.keys_invalid", source=str(path), problem=error.strerror or "unreadable") from error


def key_ring() -> KeyRing:
    """The key ring of this process, read once. Raises HubError ``secret.keys_invalid``."""
    path = environment().keys_file
    if path is None:
        raise HubError("secret.keys_invalid", source="PADDOCK_KEYS_FILE", problem="is not set")
    return _read_key_ring(path)


def ensure_keys_file(path: Path) -> None:
    """Writes a keys file of fresh random keys, mode 0600, unless there is one. An existing file is never touched."""
    document = {"keys": {"k1": _fresh_key()}, "peppers": {"p1": _fresh_key()}, "signing": _fresh_key()}
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    partial = Path(name)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
    try:
        os.link(partial, path)  # atomic, and refuses to replace: a half-written or second keys file would lose secrets
    except FileExistsError:
        pass
    finally:
        partial.unlink()


def _fresh_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
