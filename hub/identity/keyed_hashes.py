"""How rows keep a secret that only has to be recognised: as a keyed hash, under the pepper whose id stands beside it.

The first pepper of the keys file writes, all of them read (``hub.core.keys``). What the text of such a secret looks like is
``token_format``'s. The stream server compares by its own copy in memory (``hub.access.snapshot``).
"""

from typing import Protocol, TypeGuard, TypeVar

from hub.core.keys import key_ring

from .token_format import TokenText


class KeyedRow(Protocol):
    """A row with the hash of its secret."""

    @property
    def secret_hash(self) -> bytes | bytearray | memoryview: ...

    @property
    def pepper_id(self) -> str: ...


RowT = TypeVar("RowT", bound=KeyedRow)


def keyed_hash(text: TokenText) -> tuple[str, bytes]:
    """What is stored of a new secret: the pepper's id and the hash."""
    pepper_id, pepper = key_ring().pepper
    return pepper_id, text.hash(pepper)


def possible_hashes(offered: TokenText) -> list[bytes]:
    """What may be stored of this secret, for rows that are found by their hash."""
    return [offered.hash(pepper) for pepper in key_ring().peppers.values()]


def holds_secret(row: RowT | None, offered: TokenText) -> TypeGuard[RowT]:
    """Whether there is a row and this is its secret; not when its pepper has left the keys file."""
    pepper = key_ring().peppers.get(row.pepper_id) if row is not None else None
    return row is not None and pepper is not None and offered.matches(bytes(row.secret_hash), pepper)
