"""What the trail keeps of a change."""

from typing import Any
from uuid import UUID

import pytest

from hub.audit.diff import CUT, DEEPEST, ITEMS_LIMIT, TEXT_LIMIT, diff, masked
from tests.rows import Pump

CANARY = "c4n4ry-c4n4ry-c4n4ry"


def test_only_what_differs_is_kept_with_before_and_after() -> None:
    before = {"name": "a", "size": 1, "gone": True, "same": [1]}
    after = {"name": "b", "size": 2, "new": None, "same": [1], "added": {"x": 1}}
    assert diff(before, after) == {
        "name": ["a", "b"],
        "size": [1, 2],
        "gone": [True, None],
        "added": [None, {"x": 1}],
    }


def test_ids_times_and_sets_become_json() -> None:
    id = UUID(int=5)
    assert diff({}, {"owner": id, "verbs": frozenset({"b", "a"})}) == {
        "owner": [None, str(id)],
        "verbs": [None, ["a", "b"]],
    }


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("", CANARY, [None, "***"]),
        (CANARY, "", ["***", None]),
        (CANARY, CANARY + "2", ["***", "***"]),
        (CANARY, CANARY, ["***", "***"]),
    ],
)
def test_sec03_a_named_secret_is_masked_and_its_being_set_stays_visible(
    before: str, after: str, shown: list[Any]
) -> None:
    assert diff({"pin": before}, {"pin": after}, secret_fields=["pin"]) == {"pin": shown}


def test_sec03_a_sealed_value_masks_itself() -> None:
    assert diff({"pin": Pump(pin=CANARY).pin}, {"pin": Pump(pin="").pin}) == {"pin": ["***", None]}


@pytest.mark.parametrize(
    "name",
    ["password", "client_secret", "access_token", "kubeconfig", "privatekey.private_key", "s3.secret_access_key"],
)
def test_sec03_what_is_named_like_a_secret_is_masked_unasked_at_any_depth(name: str) -> None:
    assert CANARY not in str(diff({name: CANARY}, {name: CANARY + "2"}))
    assert CANARY not in str(diff({"settings": [{"a": {name: CANARY}}]}, {}))


@pytest.mark.parametrize(
    "text",
    [f"pdk_abcdefabcdef_{CANARY}", f"Bearer {CANARY}", f"https://me:{CANARY}@x", f"whsec_{CANARY.replace('-', '')}"],
)
def test_sec03_what_looks_like_a_secret_is_masked_wherever_it_lies(text: str) -> None:
    assert CANARY not in str(diff({}, {"note": text}))
    assert CANARY not in str(masked({"deep": [text]}))


def test_what_is_kept_is_bounded() -> None:
    deep: Any = "end"
    for _ in range(DEEPEST + 5):
        deep = [deep]
    assert "end" not in str(masked(deep))
    assert masked("x" * 5000) == "x" * TEXT_LIMIT + CUT
    assert len(masked(list(range(5000)))) == ITEMS_LIMIT
    assert len(masked({str(number): 1 for number in range(5000)})) == ITEMS_LIMIT
