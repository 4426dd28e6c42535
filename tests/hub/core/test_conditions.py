"""Conditions and phases of a row, in memory."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from hub.core.conditions import STUCK, clear_condition, condition, is_true, set_condition, set_phase
from tests.rows import Pump


@pytest.fixture
def pump() -> Pump:
    return Pump(name="p")


def test_a_condition_that_was_never_set_is_none_and_not_true(pump: Pump) -> None:
    assert condition(pump, "Ready") is None
    assert not is_true(pump, "Ready")


def test_a_condition_is_kept_as_plain_json(pump: Pump) -> None:
    assert set_condition(pump, "Ready", False, "Waiting", "one node is missing", {"missing": 1})
    (entry,) = pump.conditions
    assert entry | {"last_transition": ""} == {
        "type": "Ready",
        "status": "False",
        "reason": "Waiting",
        "message": "one node is missing",
        "params": {"missing": 1},
        "last_transition": "",
    }
    assert datetime.fromisoformat(entry["last_transition"]).tzinfo is not None


def test_setting_the_same_again_changes_nothing(pump: Pump) -> None:
    set_condition(pump, "Ready", True, "Done")
    before = pump.conditions
    assert set_condition(pump, "Ready", "True", "Done") is False
    assert pump.conditions is before


def test_a_new_reason_keeps_the_time_of_the_last_transition(pump: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    set_condition(pump, "Ready", False, "Waiting")
    first = condition(pump, "Ready")
    monkeypatch.setattr(timezone, "now", lambda: datetime(2040, 1, 1, tzinfo=UTC))
    assert set_condition(pump, "Ready", False, "QuotaExceeded")
    second = condition(pump, "Ready")
    assert first is not None
    assert second is not None
    assert (second.reason, second.last_transition) == ("QuotaExceeded", first.last_transition)


def test_a_new_status_has_a_new_time(pump: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    set_condition(pump, "Ready", False, "Waiting")
    monkeypatch.setattr(timezone, "now", lambda: datetime(2040, 1, 1, tzinfo=UTC))
    set_condition(pump, "Ready", True, "Done")
    found = condition(pump, "Ready")
    assert found is not None
    assert found.last_transition == "2040-01-01T00:00:00+00:00"


def test_conditions_are_sorted_by_type_whatever_the_order_of_setting(pump: Pump) -> None:
    for type in ("Ready", "Deleting", STUCK):
        set_condition(pump, type, True, "Because")
    assert [entry["type"] for entry in pump.conditions] == ["Deleting", "Ready", "Stuck"]


def test_clearing_forgets_one_condition_and_tells_whether_there_was_one(pump: Pump) -> None:
    set_condition(pump, STUCK, True, "Because")
    set_condition(pump, "Ready", False, "Because")
    assert clear_condition(pump, STUCK) is True
    assert clear_condition(pump, STUCK) is False
    assert condition(pump, STUCK) is None
    assert condition(pump, "Ready") is not None


def test_a_phase_has_the_time_of_its_beginning(pump: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: datetime(2040, 1, 1, tzinfo=UTC))
    assert set_phase(pump, "Running") is True
    monkeypatch.setattr(timezone, "now", lambda: datetime(2041, 1, 1, tzinfo=UTC))
    assert set_phase(pump, "Running") is False
    assert pump.phase_since == datetime(2040, 1, 1, tzinfo=UTC)
