"""Quantities: the grammar of Kubernetes, exact values."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.quantity import format_bytes, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("2", "2"),
        ("500m", "0.5"),
        ("100u", "0.0001"),
        ("5n", "0.000000005"),
        ("1k", "1000"),
        ("1.5Gi", "1610612736"),
        ("4Gi", "4294967296"),
        ("1Ki", "1024"),
        ("2Ti", "2199023255552"),
        ("1Ei", "1152921504606846976"),
        ("1E", "1000000000000000000"),
        ("2e3", "2000"),
        ("2E3", "2000"),
        ("12e-1", "1.2"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1", "-1"),
        ("+1", "1"),
        (3, "3"),
        (0.5, "0.5"),
    ],
)
def test_a_quantity_has_its_exact_value(text: str | int | float, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", " ", "1 Gi", "Gi", "1gi", "1Gib", "1K", "0x10", "NaN", "inf", "1e", "1e999", "--1", "1,5", "१", "1\n"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_a_number_of_a_million_digits_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity("9" * 1_000_000)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1000, "1000"), (1024, "1Ki"), (4 * 2**30, "4Gi"), (3 * 2**29, "1536Mi"), (2**60, "1Ei")],
)
def test_bytes_are_written_short_and_exact(count: int, text: str) -> None:
    assert format_bytes(count) == text


@given(st.integers(0, 2**70))
def test_bytes_come_back_as_they_were(count: int) -> None:
    assert parse_quantity(format_bytes(count)) == count
