"""Structural schemas at work: what is dropped, filled in and refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.apiserver.schema import drop_nulls, fill_defaults, join, prune, types_alone, validate
from simulator.kinds.schema import (
    Schema,
    array,
    boolean,
    int_or_string,
    integer,
    list_map,
    list_set,
    mapping,
    open_struct,
    quantity,
    struct,
    text,
    timestamp,
)

SCHEMA: Schema = struct(
    {
        "word": text(enum=["a", "b"]),
        "short": text(min_length=2, max_length=3),
        "plain": text(pattern="^[a-z]+$"),
        "count": integer(minimum=1, maximum=9, default=3),
        "flag": boolean(),
        "size": quantity(),
        "port": int_or_string(),
        "at": timestamp(),
        "perhaps": timestamp() | {"nullable": True},
        "few": array(text(), max_items=2),
        "keyed": list_map(struct({"key": text(), "value": text(default="x")}, required=["key"]), "key"),
        "unique": list_set(text()),
        "free": mapping(integer()),
        "open": open_struct({"known": integer()}),
    }
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*SCHEMA["properties"], "known", "key", "unknown"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ({"word": "c"}, ("FieldValueNotSupported", "word")),
        ({"short": "x"}, ("FieldValueInvalid", "short")),
        ({"short": "xxxx"}, ("FieldValueTooLong", "short")),
        ({"plain": "A"}, ("FieldValueInvalid", "plain")),
        ({"count": 0}, ("FieldValueInvalid", "count")),
        ({"count": 10}, ("FieldValueInvalid", "count")),
        ({"count": 1.5}, ("FieldValueTypeInvalid", "count")),
        ({"count": True}, ("FieldValueTypeInvalid", "count")),
        ({"flag": 1}, ("FieldValueTypeInvalid", "flag")),
        ({"size": "4Giga"}, ("FieldValueInvalid", "size")),
        ({"size": True}, ("FieldValueTypeInvalid", "size")),
        ({"port": []}, ("FieldValueTypeInvalid", "port")),
        ({"at": "yesterday"}, ("FieldValueInvalid", "at")),
        ({"at": "2026-01-01T00:00:00"}, ("FieldValueInvalid", "at")),
        ({"at": None}, ("FieldValueTypeInvalid", "at")),
        ({"few": ["a", "b", "c"]}, ("FieldValueTooMany", "few")),
        ({"few": "a"}, ("FieldValueTypeInvalid", "few")),
        ({"keyed": [{"value": "x"}]}, ("FieldValueRequired", "keyed[0].key")),
        ({"keyed": [{"key": "a"}, {"key": "a"}]}, ("FieldValueDuplicate", "keyed[1]")),
        ({"unique": ["a", "a"]}, ("FieldValueDuplicate", "unique[1]")),
        ({"free": {"with.dot": "x"}}, ("FieldValueTypeInvalid", "free[with.dot]")),
        ([], ("FieldValueTypeInvalid", "")),
    ],
)
def test_what_is_refused(value: Any, cause: tuple[str, str]) -> None:
    assert [(found.reason, found.field) for found in validate(SCHEMA, value)] == [cause]


@pytest.mark.parametrize(
    "value",
    [
        {"word": "a", "short": "xx", "plain": "abc", "count": 9, "flag": False},
        {"count": 2.0},
        {"size": "1.5Gi"},
        {"size": 5},
        {"port": "http"},
        {"at": "2026-01-01T00:00:00Z"},
        {"perhaps": None},
        {"few": []},
        {"keyed": [{"key": "a"}, {"key": "b"}], "unique": ["a", "b"]},
        {"free": {"a": 1}, "open": {"known": 1, "else": {"x": []}}},
    ],
)
def test_what_is_taken(value: Any) -> None:
    assert validate(SCHEMA, value) == []


def test_unknown_fields_are_dropped_but_for_open_parts() -> None:
    value = {"x": 1, "keyed": [{"key": "a", "y": 2}], "open": {"z": 3}, "free": {"any": 1}}
    assert sorted(prune(SCHEMA, value)) == ["keyed[0].y", "x"]
    assert value == {"keyed": [{"key": "a"}], "open": {"z": 3}, "free": {"any": 1}}


@given(json_values)
def test_what_was_pruned_has_nothing_left_to_prune(value: Any) -> None:
    prune(SCHEMA, value)
    assert prune(SCHEMA, value) == []


@given(json_values)
def test_defaults_come_once(value: Any) -> None:
    fill_defaults(SCHEMA, value)
    once = repr(value)
    fill_defaults(SCHEMA, value)
    assert repr(value) == once


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ({}, {"count": 3}),
        ({"count": 5}, {"count": 5}),
        ({"count": 1, "keyed": [{"key": "a"}]}, {"count": 1, "keyed": [{"key": "a", "value": "x"}]}),
        ([], []),
    ],
)
def test_defaults_never_stand_over_a_value(value: Any, filled: Any) -> None:
    fill_defaults(SCHEMA, value)
    assert value == filled


def test_a_null_is_dropped_where_it_means_nothing() -> None:
    value = {"word": None, "perhaps": None, "keyed": [{"key": "a", "value": None}]}
    drop_nulls(SCHEMA, value)
    assert value == {"perhaps": None, "keyed": [{"key": "a"}]}


def test_a_decoder_looks_at_types_quantities_and_times_alone() -> None:
    decoder = types_alone(SCHEMA)
    fine = {"word": "c", "short": "x", "count": 99, "few": ["a"] * 9, "keyed": [{}, {}], "plain": "A"}
    assert validate(decoder, fine) == []
    for value in ({"size": "lots"}, {"at": "soon"}, {"few": [1]}):
        assert validate(decoder, value)


@given(json_values)
def test_no_value_whatever_breaks_validation(value: Any) -> None:
    assert all(cause.reason.startswith("FieldValue") for cause in validate(SCHEMA, value))


def test_paths_put_names_that_are_not_plain_in_brackets() -> None:
    assert join("", "a") == "a"
    assert join("a", "b") == "a.b"
    assert join("a", "b.c/d") == "a[b.c/d]"
