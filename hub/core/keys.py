"""The keys file: master keys for secrets at rest, peppers for stored token hashes, and the signing key.

It lies outside the database and its backup (``PADDOCK_KEYS_FILE``), readable by its owner alone. What is done with the keys
is for others: ``sealed`` encrypts columns, ``hub.identity`` hashes tokens. Master keys may come from elsewhere, a key
service for one: whatever is a ``MasterKeys`` serves.
"""

import base64
import binascii
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .environment import environment
from .errors import HubError, define

FORMAT = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12
# Its group may read: what Kubernetes mounts for a user that is not root belongs to root and that user's group.
OPEN_TO_OTHERS = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP

define("secret.unreadable", 500, "A stored secret cannot be opened with the master keys of this hub; enter it again")
define("secret.keys_invalid", 500, "The file of master keys cannot be used")


class MasterKeys(Protocol):
    """Where master keys come from. One of them writes, all of them read; asked for each value, so it answers from memory."""

    @property
    def current(self) -> str:
        """The id of the key that writes: letters and digits."""

    def find(self, key_id: str) -> bytes | None:
        """The key of this id, 32 bytes; None when there is none (any more)."""


@dataclass(frozen=True, repr=False)
class FileKeys:
    """The master keys of the keys file, in its order: the first one writes."""

    by_id: Mapping[str, bytes]

    @property
    def current(self) -> str:
        return next(iter(self.by_id))

    def find(self, key_id: str) -> bytes | None:
        return self.by_id.get(key_id)


@dataclass(frozen=True, repr=False)
class KeyRing:
    """What the hub's secrets rest on. ``masters`` encrypt columns; ``peppers`` key the stored hashes of tokens, the first one
    those of new ones; ``signing`` signs short-lived values that clients carry back, such as list continuations.
    """

    masters: MasterKeys
    peppers: Mapping[str, bytes]
    signing: bytes

    @property
    def pepper(self) -> tuple[str, bytes]:
        """The id and the value of the pepper that writes."""
        return next(iter(self.peppers.items()))

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
        return cls(FileKeys(keys), peppers, signing)

    @property
    def current(self) -> str:
        """The id of the key that writes."""
        return self.masters.current

    def seal(self, text: str, context: str) -> str:
        """The text for exactly this place, under the key that writes. Raises HubError ``secret.keys_invalid``."""
        key_id = self.masters.current
        key = self.masters.find(key_id)
        if key is None:
            raise HubError("secret.keys_invalid", source=key_id, problem="the key that writes cannot be had")
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = AESGCM(key).encrypt(nonce, text.encode(), context.encode())
        return f"{FORMAT}.{key_id}.{base64.urlsafe_b64encode(nonce + body).decode()}"

    def open(self, token: str, context: str) -> str:
        """The text of a sealed value. Raises HubError ``secret.unreadable`` when key, place or bytes do not match."""
        form, _, rest = token.partition(".")
        key_id, _, payload = rest.partition(".")
        key = self.masters.find(key_id)
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
        with path.open() as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read()
    except OSError as error:
        raise HubError("secret.keys_invalid", source=str(path), problem=error.strerror or "unreadable") from error
    if mode & OPEN_TO_OTHERS:
        raise HubError("secret.keys_invalid", source=str(path), problem="is open to others: chmod 600")
    return KeyRing.parse(text, str(path))


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
