"""Strict YAML: plain data passes, bombs and tricks do not."""

from __future__ import annotations

import contextlib
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kube.strict_yaml import MAX_DEPTH, RefusedYaml, load_strict

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(f'*{before}' for _ in range(9))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "alias"),
        ("a: &x 1\nb: *x\n", "alias"),
        ("a: &x {b: 1}\nc: {<<: *x}\n", "alias"),
        ("&a [*a]", "alias"),
        ("!!python/object/apply:os.system ['id']", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("a: !!set {x}", "tag"),
        ("[" * 1000 + "]" * 1000, "depth"),
        ("{a: " * 40 + "1" + "}" * 40, "depth"),
        ("a: 1\na: 2\n", "duplicate_key"),
        ("x: {b: 1, 'b': 2}", "duplicate_key"),
        ("a: 1\n---\nb: 2\n", "documents"),
        ("a: [1", "syntax"),
        ("a: b: c", "syntax"),
        ("\x00", "syntax"),
        ("\ud800", "syntax"),
        ("a: 2020-99-99", "syntax"),
        ("a: " + "9" * 5000, "syntax"),
        ("? [a]\n: 1", "syntax"),
        ("x" * 2000, "size"),
    ],
)
def test_sec65_what_is_not_plain_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RefusedYaml) as caught:
        load_strict(text, max_bytes=1000 if reason == "size" else 100_000)
    assert caught.value.reason == reason


def test_sec65_a_large_nest_is_refused_quickly() -> None:
    began = time.monotonic()
    with pytest.raises(RefusedYaml):
        load_strict("[" * 250_000, max_bytes=300_000)
    assert time.monotonic() - began < 5


def test_nesting_up_to_the_limit_is_fine() -> None:
    load_strict("[" * MAX_DEPTH + "]" * MAX_DEPTH, max_bytes=1000)


def test_an_empty_document_is_nothing() -> None:
    assert load_strict("", max_bytes=10) is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc: #'\"\n", max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_plain_data_comes_back_as_it_was(data: object) -> None:
    assert load_strict(yaml.safe_dump(data, allow_unicode=True), max_bytes=100_000) == data


@given(st.text(max_size=200))
def test_any_text_is_data_or_a_refusal(text: str) -> None:
    with contextlib.suppress(RefusedYaml):
        load_strict(text, max_bytes=1000)
