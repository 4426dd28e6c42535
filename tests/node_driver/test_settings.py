"""Settings: schema, validation and masking follow from one declaration, and agree with an independent judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from node_driver.errors import InvalidSettings
from node_driver.harvester.settings import SETTINGS as HARVESTER_SETTINGS
from node_driver.settings import MASK, Setting, SettingsSchema
from tests.node_driver.battery import outcome

SCHEMA = SettingsSchema(
    Setting(name="count", type="integer", title="Count", default=2, minimum=1, maximum=5),
    Setting(name="share", type="number", title="Share", minimum=0, maximum=1),
    Setting(name="name", type="string", title="Name", required=True, pattern="[a-z]+", minimum=2, maximum=4),
    Setting(name="kind", type="string", title="Kind", default="small", enum=("small", "large")),
    Setting(name="fast", type="boolean", title="Fast", default=False),
    Setting(name="password", type="string", title="Password", secret=True, minimum=3),
    Setting(
        name="disks",
        type="array",
        title="Disks",
        maximum=2,
        items=Setting(
            name="disk",
            type="object",
            title="Disk",
            members=SettingsSchema(
                Setting(name="size", type="integer", title="Size", required=True, minimum=1),
                Setting(name="bus", type="string", title="Bus", default="virtio"),
                Setting(name="key", type="string", title="Key", secret=True),
            ),
        ),
    ),
    Setting(name="extra", type="object", title="Extra"),
)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 8),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(["ab", "abc", "abcde", "ab\n", "A", "", "small", "large", "virtio"]),
)
_disks = st.lists(
    st.dictionaries(st.sampled_from(["size", "bus", "key", "other"]), _scalars, max_size=3) | _scalars, max_size=3
)
_values = st.dictionaries(
    st.sampled_from([*SCHEMA.settings, "other", "a/b~c"]),
    _scalars | _disks | st.dictionaries(st.text(max_size=2), _scalars, max_size=2),
    max_size=6,
)


@settings(deadline=None)
@given(_values)
def test_validate_agrees_with_an_independent_json_schema_validator(values: dict[str, Any]) -> None:
    judge = Draft202012Validator(SCHEMA.json_schema())
    # Python's `$` also matches before a last newline, ECMA's does not: the judge is one of Python.
    expected = judge.is_valid(values) and values.get("name") != "ab\n"
    answer = outcome(lambda: SCHEMA.validate(values))
    assert isinstance(answer, dict) is expected, answer
    if isinstance(answer, dict):
        assert judge.is_valid(answer)
        assert SCHEMA.validate(answer) == answer
    else:
        assert isinstance(answer, InvalidSettings)
        assert answer.problems


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*HARVESTER_SETTINGS.settings]), _scalars | _disks, max_size=4))
def test_harvester_settings_agree_with_the_judge_too(changes: dict[str, Any]) -> None:
    values = {"image": "default/a", "network": "default/b", **changes}
    expected = Draft202012Validator(HARVESTER_SETTINGS.json_schema()).is_valid(values)
    accepted = isinstance(outcome(lambda: HARVESTER_SETTINGS.validate(values)), dict)
    assert accepted is expected or any(str(value).endswith("\n") for value in values.values())


def test_defaults_are_filled_in_nested_ones_too_and_are_not_shared() -> None:
    given_values = {"name": "abc", "disks": [{"size": 2.0}]}
    validated = SCHEMA.validate(given_values)
    assert validated == {
        "count": 2,
        "name": "abc",
        "kind": "small",
        "fast": False,
        "disks": [{"size": 2, "bus": "virtio"}],
    }
    assert type(validated["disks"][0]["size"]) is int
    validated["disks"].append("changed")
    assert given_values["disks"] == [{"size": 2.0}]


def test_every_problem_is_told_with_its_pointer_and_without_the_value() -> None:
    values = {
        "count": 0,
        "share": 2,
        "name": "canary",
        "kind": "canary",
        "fast": "canary",
        "password": "ca",
        "disks": [{"size": 1}, {"bus": 5, "canary/~": 1}, {"size": "canary"}],
        "unknown/~": "canary",
    }
    with pytest.raises(InvalidSettings) as refused:
        SCHEMA.validate(values)
    found = {(problem.field, problem.code) for problem in refused.value.problems}
    assert found == {
        ("/unknown~1~0", "unknown"),
        ("/count", "minimum"),
        ("/share", "maximum"),
        ("/name", "maximum"),
        ("/kind", "enum"),
        ("/fast", "type"),
        ("/password", "minimum"),
        ("/disks", "maximum"),
        ("/disks/1/size", "required"),
        ("/disks/1/bus", "type"),
        ("/disks/1/canary~1~0", "unknown"),
        ("/disks/2/size", "type"),
    }
    assert all("canary" not in problem.message for problem in refused.value.problems)


@pytest.mark.parametrize("value", [True, "2", 2.5, None, float("nan"), float("inf"), [2], 10**400])
def test_what_is_no_integer_within_bounds_is_refused(value: object) -> None:
    with pytest.raises(InvalidSettings, match="/count"):
        SCHEMA.validate({"name": "abc", "count": value})


@pytest.mark.parametrize("value", ["abc\n", "ab c", "\nabc", "абв"])
def test_a_pattern_must_match_the_whole_string(value: str) -> None:
    with pytest.raises(InvalidSettings, match="/name"):
        SCHEMA.validate({"name": value})


@pytest.mark.parametrize("values", [None, [], "x", 5])
def test_settings_that_are_no_object_are_refused(values: Any) -> None:
    with pytest.raises(InvalidSettings, match="object"):
        SCHEMA.validate(values)


def test_a_missing_required_setting_is_named() -> None:
    with pytest.raises(InvalidSettings, match="/name: is required"):
        SCHEMA.validate({})


def test_sec02_secrets_are_masked_at_every_depth_and_unknown_values_too() -> None:
    values = {"name": "abc", "password": "canary", "disks": [{"size": 1, "key": "canary"}], "old": "canary"}
    masked = SCHEMA.mask(values)
    assert masked == {"name": "abc", "password": MASK, "disks": [{"size": 1, "key": MASK}], "old": MASK}
    assert values["password"] == "canary"


def test_sec02_secrets_are_flagged_in_the_schema_and_nothing_else_is() -> None:
    schema = SCHEMA.json_schema()
    Draft202012Validator.check_schema(schema)
    disk = schema["properties"]["disks"]["items"]["properties"]
    flagged = [schema["properties"]["password"], disk["key"]]
    assert all(entry["writeOnly"] is True and entry["x-secret"] is True for entry in flagged)
    assert "writeOnly" not in schema["properties"]["name"]
    assert "x-secret" not in disk["size"]


def test_two_settings_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        SettingsSchema(Setting(name="a", type="string", title="A"), Setting(name="a", type="integer", title="B"))
