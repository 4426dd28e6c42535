"""JSON patch and strategic merge patch beyond what the contract suite asks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.resources import PODS
from simulator.apiserver.json_patch import apply_json_patch
from simulator.apiserver.patches import merge_patch
from simulator.apiserver.status import ApiError
from simulator.apiserver.strategic import apply_strategic
from simulator.kinds.metadata import object_schema
from tests.simulator.apiserver.conftest import KINDS

POD = object_schema(KINDS[PODS])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 9]}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/1", "value": 9}], {"a": [1, 9]}),
        ({"m~n": 1}, [{"op": "test", "path": "/m~0n", "value": 1}], {"m~n": 1}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a/b", "path": "/b"}], {"a": {}, "b": 1}),
    ],
)
def test_operations(document: Any, operations: list[Any], expected: Any) -> None:
    assert apply_json_patch(document, operations) == expected


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "sing", "path": "/a"}, 400),
        ({"op": "add", "path": "/a"}, 400),
        ({"op": "add", "path": "a", "value": 1}, 400),
        ({"op": "add", "value": 1}, 400),
        ({"op": "move", "path": "/b"}, 400),
        ("add", 400),
        ({"op": "add", "path": "/list/9", "value": 1}, 422),
        ({"op": "add", "path": "/list/-1", "value": 1}, 422),
        ({"op": "remove", "path": "/list/01x"}, 422),
        ({"op": "add", "path": "/text/x", "value": 1}, 422),
        ({"op": "copy", "from": "/absent", "path": "/b"}, 422),
    ],
)
def test_operations_that_make_no_sense(operation: Any, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        apply_json_patch({"list": [1], "text": "t"}, [operation])
    assert refused.value.code == code


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(ApiError) as refused:
        apply_json_patch({}, [{"op": "test", "path": "", "value": {}}] * 10001)
    assert refused.value.code == 413


@given(json_values, json_values)
def test_a_value_added_can_be_found_and_removed_again(value: Any, other: Any) -> None:
    document = {"other": other}
    added = apply_json_patch(document, [{"op": "add", "path": "/new", "value": value}])
    assert added == {"other": other, "new": value}
    removed = apply_json_patch(
        added, [{"op": "test", "path": "/new", "value": value}, {"op": "remove", "path": "/new"}]
    )
    assert removed == {"other": other}


@given(json_values, json_values)
def test_a_merge_patch_applied_twice_is_one_applied_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


def test_a_strategic_patch_replaces_a_list_when_told() -> None:
    pod = {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    patch = {"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}
    assert apply_strategic(POD, pod, patch) == {"spec": {"containers": [{"name": "c"}]}}


def test_a_strategic_patch_replaces_an_object_when_told() -> None:
    pod = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    patch = {"metadata": {"labels": {"$patch": "replace", "c": "3"}}}
    assert apply_strategic(POD, pod, patch) == {"metadata": {"labels": {"c": "3"}}}


def test_a_strategic_patch_keeps_only_retained_keys() -> None:
    pod = {"spec": {"a": 1, "b": 2}}
    patch = {"spec": {"$retainKeys": ["b", "c"], "c": 3}}
    assert apply_strategic(POD, pod, patch) == {"spec": {"b": 2, "c": 3}}


def test_a_strategic_patch_removes_from_lists_of_plain_values() -> None:
    pod = {"metadata": {"finalizers": ["a/x", "b/x"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"], "finalizers": ["c/x"]}}
    assert apply_strategic(POD, pod, patch) == {"metadata": {"finalizers": ["b/x", "c/x"]}}


@pytest.mark.parametrize("patch", [{"$patch": "sing"}, {"$sing": 1}, {"spec": {"containers": [{"image": "no key"}]}}])
def test_a_strategic_patch_that_makes_no_sense_is_refused(patch: Any) -> None:
    with pytest.raises(ApiError) as refused:
        apply_strategic(POD, {"spec": {"containers": []}}, patch)
    assert refused.value.code == 400
