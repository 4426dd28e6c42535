"""Canaries: texts that stand for secrets, each known by the place where it was planted, and the search for them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

SHORTEST = 10


@dataclass
class Canaries:
    """What must not come out. ``places`` says where each text went in."""

    places: dict[str, str] = field(default_factory=dict)

    def new(self, place: str) -> str:
        """A text that occurs nowhere else, for this place."""
        text = f"c4n4ry{uuid4().hex}"
        return self.add(place, text)

    def add(self, place: str, text: str) -> str:
        """A secret that the hub has made; ``text`` itself."""
        assert len(text) >= SHORTEST, place
        self.places[text] = place
        return text

    def token(self, place: str, text: str) -> str:
        """A token in its three parts, of which the last is the secret; ``text`` itself."""
        self.add(place, text.rsplit("_", 1)[1])
        return text

    def found_in(self, content: str | bytes, allowed: str = "") -> list[str]:
        """The places whose secrets are in the content: as they are, in base64 or in hex. ``allowed`` is one that may be."""
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        return sorted(
            {
                place
                for secret, place in self.places.items()
                if place != allowed and any(form in text for form in _forms(secret))
            }
        )

    def leaks(self, contents: Mapping[str, str | bytes]) -> dict[str, list[str]]:
        """What was found, by where it was found."""
        return {where: found for where, content in contents.items() if (found := self.found_in(content))}


def _forms(secret: str) -> Iterator[str]:
    yield secret
    raw = secret.encode()
    yield raw.hex()
    for shift in range(3):
        # The middle of a base64 text depends on where the secret begins, in one of three ways.
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        yield encoded[4 if shift else 0 : -2]
