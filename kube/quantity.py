"""Kubernetes quantities ("500m", "1.5Gi", "2e3") as exact numbers, and bytes as a quantity.

The grammar is that of apimachinery's resource.Quantity.
"""

from __future__ import annotations

import re
from decimal import Decimal

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
}
# The number is bounded, so that a hostile object cannot make us compute with millions of digits.
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40}))(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d{1,2})", re.ASCII
)


def parse_quantity(value: str | int | float) -> Decimal:
    """The number that a quantity means (bytes, cores, pieces). Raises ValueError for what Kubernetes refuses."""
    text = str(value)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not a quantity such as 500m, 2 or 1.5Gi")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    if suffix in _DECIMAL:
        return number * _DECIMAL[suffix]
    return number.scaleb(int(suffix[1:]))


def format_bytes(count: int) -> str:
    """A count of bytes as the shortest exact quantity: 4294967296 -> "4Gi", 1000 -> "1000"."""
    for suffix, size in reversed(_BINARY.items()):
        if count and count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)
