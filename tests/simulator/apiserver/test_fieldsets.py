"""Sets of fields: their wire form, what an object sets, what differs, and merging by them."""

import copy
from operator import itemgetter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kube.resources import SERVICES
from simulator.apiserver.fieldsets import Path, compare, decode, encode, fields_of, shown
from simulator.apiserver.merging import merge, without
from simulator.kinds.metadata import object_schema
from simulator.kinds.schema import Schema, array, list_map, list_set, mapping, open_struct, struct, text
from tests.simulator.apiserver.conftest import KINDS

SCHEMA: Schema = struct(
    {
        "plain": text(),
        "nested": struct({"one": text(), "two": text()}),
        "labels": mapping(text()),
        "listed": array(text()),
        "ports": list_map(struct({"port": text(), "name": text()}), "port"),
        "tags": list_set(text()),
        "open": open_struct(),
    }
)

words = st.sampled_from(["a", "b", "c"])
items: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({"port": words}, optional={"name": words})
ports: st.SearchStrategy[list[dict[str, Any]]] = st.lists(items, min_size=1, max_size=3, unique_by=itemgetter("port"))
objects = st.fixed_dictionaries(
    {},
    optional={
        "plain": words,
        "nested": st.dictionaries(st.sampled_from(["one", "two"]), words),
        "labels": st.dictionaries(words, words),
        "listed": st.lists(words, max_size=3),
        "ports": ports,
        "tags": st.lists(words, min_size=1, max_size=3, unique=True),
        "open": st.dictionaries(words, st.one_of(words, st.lists(words, max_size=2), st.dictionaries(words, words))),
    },
)


def with_parents(paths: frozenset[Path]) -> set[Path]:
    return {path[:depth] for path in paths for depth in range(1, len(path) + 1)}


@given(objects)
def test_a_set_survives_its_wire_form(obj: Any) -> None:
    fields = fields_of(SCHEMA, obj)
    assert decode(encode(fields)) == fields


@given(objects)
def test_nothing_differs_from_itself(obj: Any) -> None:
    found = compare(SCHEMA, obj, copy.deepcopy(obj))
    assert found.added | found.modified | found.removed == set()


@given(objects, objects)
def test_differences_are_the_same_both_ways(one: Any, other: Any) -> None:
    there, back = compare(SCHEMA, one, other), compare(SCHEMA, other, one)
    assert (there.added, there.removed, there.modified) == (back.removed, back.added, back.modified)


@given(objects, objects)
def test_a_merge_says_all_that_the_configuration_says_and_keeps_the_rest(live: Any, config: Any) -> None:
    before = copy.deepcopy((live, config))
    merged = merge(SCHEMA, live, config)
    assert (live, config) == before, "nothing given is changed"
    assert merge(SCHEMA, merged, config) == merged
    from_live = compare(SCHEMA, live, merged)
    assert from_live.removed == set()
    assert from_live.added | from_live.modified <= with_parents(fields_of(SCHEMA, config))
    from_config = compare(SCHEMA, config, merged)
    assert from_config.removed | from_config.modified == set()


@given(objects)
def test_an_object_without_its_fields_sets_nothing(obj: Any) -> None:
    fields = fields_of(SCHEMA, obj)
    left = fields_of(SCHEMA, without(SCHEMA, obj, fields))
    assert not (left & fields) or all(not obj[path[0][2:]] for path in left & fields)


def test_a_member_with_members_below_carries_a_dot() -> None:
    fields = frozenset([("f:a",), ("f:a", "f:b"), ("f:c", "f:d")])
    assert encode(fields) == {"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}}


def test_items_are_known_by_their_keys_and_key_defaults() -> None:
    ports = object_schema(KINDS[SERVICES])["properties"]["spec"]
    fields = fields_of(ports, {"ports": [{"port": 80}]})
    assert fields == {
        ("f:ports", 'k:{"port":80,"protocol":"TCP"}'),
        ("f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:port"),
    }


def test_a_path_is_shown_as_people_write_it() -> None:
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")
    assert shown(path) == '.spec.ports[port=80,protocol="TCP"].name'
    assert shown(("f:metadata", "f:finalizers", 'v:"a/b"')) == '.metadata.finalizers[="a/b"]'


def test_merged_items_follow_the_order_of_the_configuration() -> None:
    live = [{"port": "a"}, {"port": "b"}, {"port": "x"}]
    config = [{"port": "b"}, {"port": "a", "name": "new"}, {"port": "n"}]
    merged = merge(SCHEMA, {"ports": live}, {"ports": config})["ports"]
    assert [item["port"] for item in merged] == ["b", "a", "x", "n"]
    assert merged[1]["name"] == "new"
