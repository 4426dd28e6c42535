"""JSON read strictly; each refusal says where."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.api.json_body import DEEPEST, parse_json, pointer_to
from hub.core.errors import HubError


def refusal(raw: bytes) -> HubError:
    with pytest.raises(HubError) as caught:
        parse_json(raw)
    assert caught.value.status == 400
    return caught.value


def test_broken_json_is_told_with_line_and_column() -> None:
    error = refusal(b'{\n  "name": "a",\n  "count": ,\n}')
    assert (error.code, error.params["line"], error.params["column"]) == ("body.not_json", 3, 12)


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a" 1}', b"[1,]", b"nul", b'"open', b"{'a': 1}", b"\xef\xbb\xbf{}"])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    assert refusal(raw).code == "body.not_json"


def test_bytes_that_are_not_utf8_are_refused_with_their_offset() -> None:
    error = refusal(b'{"a": "\xff"}')
    assert (error.code, error.params["offset"]) == ("body.not_json", 7)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"a": 1, "a": 1}', "/a"),
        (b'{"pools": [{"x": 1}, {"count": 1, "count": 3}]}', "/pools/1/count"),
        (b'{"a/b": {"c~d": 1, "c~d": 2}}', "/a~1b/c~0d"),
        (rb'{"a": 1, "\u0061": 2}', "/a"),
    ],
)
def test_a_member_that_comes_twice_is_refused_because_readers_disagree_which_counts(raw: bytes, pointer: str) -> None:
    error = refusal(raw)
    assert (error.code, error.pointer) == ("body.member_twice", pointer)


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9223372036854775808", b"-1" + b"0" * 5000]
)
def test_numbers_that_do_not_travel_are_refused(number: bytes) -> None:
    error = refusal(b'{"list": [0, ' + number + b"]}")
    assert (error.code, error.pointer) == ("body.number_invalid", "/list/1")


def test_the_largest_numbers_pass() -> None:
    assert parse_json(b"[9223372036854775807, -9223372036854775807, 1.5e300]") == [2**63 - 1, 1 - 2**63, 1.5e300]


@pytest.mark.parametrize("text", [rb"\u0000", rb"a\u0000b", rb"\ud800", rb"\udfff x"])
def test_text_that_no_column_can_hold_is_refused(text: bytes) -> None:
    error = refusal(b'{"labels": {"a": "' + text + b'"}}')
    assert (error.code, error.pointer) == ("body.text_invalid", "/labels/a")


def test_a_member_whose_name_no_column_can_hold_is_refused() -> None:
    error = refusal(rb'{"labels": {"a\u0000": "b"}}')
    assert (error.code, error.pointer) == ("body.text_invalid", "/labels")


@pytest.mark.parametrize("depth", [DEEPEST + 1, 5_000, 200_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_sec72_deep_nesting_is_refused_and_does_not_end_the_process(depth: int, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    assert refusal(opening * depth + b"1" + closing * depth).code == "body.too_deep"


def test_nesting_up_to_the_limit_passes() -> None:
    depth = DEEPEST - 1
    assert parse_json(b"[" * depth + b"1" + b"]" * depth)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(_JSON)
def test_whatever_is_fine_is_read_as_the_standard_reader_does(document: Any) -> None:
    raw = json.dumps(document, ensure_ascii=False).encode()
    assert parse_json(raw) == json.loads(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse_json(raw)
    except HubError as error:
        assert error.status == 400  # noqa: PT017  (what hypothesis brings may also be fine)


def test_a_pointer_escapes_what_has_a_meaning_in_it() -> None:
    assert pointer_to(pointer_to("/labels", "a/b~c"), 3) == "/labels/a~1b~0c/3"
