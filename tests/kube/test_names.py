"""Names and labels: Kubernetes' rules, and names that are made by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube import names


@pytest.mark.parametrize("value", ["a", "web-1", "1web", "a" * 63, "0"])
def test_a_dns_label_is_accepted(value: str) -> None:
    assert names.is_dns_label(value)
    assert names.check_dns_label(value) == value


@pytest.mark.parametrize(
    "value", ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64, "ä", "a\n", "a b", "१", "a/b", "..", "a\x00"]
)
def test_what_is_no_dns_label_is_refused(value: str) -> None:
    assert not names.is_dns_label(value)
    with pytest.raises(ValueError, match="lower-case"):
        names.check_dns_label(value)


@pytest.mark.parametrize("value", ["a", "a.b", "kubevirt.io", "a" * 63 + "." + "b" * 63, "a" * 100])
def test_a_dns_subdomain_is_accepted(value: str) -> None:
    assert names.check_dns_subdomain(value) == value


@pytest.mark.parametrize("value", ["", ".", "a.", ".a", "a..b", "a.-b", "a" * 254, "A.b", "a\n"])
def test_what_is_no_dns_subdomain_is_refused(value: str) -> None:
    assert not names.is_dns_subdomain(value)
    with pytest.raises(ValueError, match=r"'\.'"):
        names.check_dns_subdomain(value)


@pytest.mark.parametrize("value", ["a", "A_b.c-1", "paddock.io/hub-id", "x" * 63, "a.b/" + "x" * 63])
def test_a_label_key_is_accepted(value: str) -> None:
    assert names.check_label_key(value) == value


@pytest.mark.parametrize("value", ["", "/", "a/", "/a", "a/b/c", "A.b/c", "-a", "a-", "x" * 64, "a b", "a/b\n"])
def test_what_is_no_label_key_is_refused(value: str) -> None:
    assert not names.is_label_key(value)
    with pytest.raises(ValueError, match="DNS domain"):
        names.check_label_key(value)


@pytest.mark.parametrize("value", ["", "a", "A_b.c-1", "x" * 63])
def test_a_label_value_is_accepted(value: str) -> None:
    assert names.check_label_value(value) == value


@pytest.mark.parametrize("value", ["-", "a-", ".a", "x" * 64, "a b", "a/b", "é", "a\n"])
def test_what_is_no_label_value_is_refused(value: str) -> None:
    assert not names.is_label_value(value)
    with pytest.raises(ValueError, match="empty"):
        names.check_label_value(value)


def test_a_name_that_fits_is_left_alone() -> None:
    assert names.shorten_with_hash("web-1") == "web-1"
    assert names.shorten_with_hash("a" * 63) == "a" * 63


def test_long_names_with_the_same_start_stay_different() -> None:
    first, second = names.shorten_with_hash("a" * 70 + "1"), names.shorten_with_hash("a" * 70 + "2")
    assert first != second
    assert names.shorten_with_hash("a" * 70 + "1") == first


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,200}[a-z0-9])?", fullmatch=True), st.integers(10, 63))
def test_a_shortened_label_is_a_label(name: str, limit: int) -> None:
    shortened = names.shorten_with_hash(name, limit)
    assert len(shortened) <= limit
    assert names.is_dns_label(shortened)


def test_a_limit_without_room_for_the_hash_is_an_error() -> None:
    with pytest.raises(ValueError, match="no room"):
        names.shorten_with_hash("a" * 70, 8)


def test_random_suffixes_are_labels_and_differ() -> None:
    made = {names.random_suffix() for _ in range(200)}
    assert len(made) > 195
    assert all(len(suffix) == 5 and names.is_dns_label(suffix) for suffix in made)
    assert len(names.random_suffix(10)) == 10
