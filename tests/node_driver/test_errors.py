"""Every error says by its class whether trying again can help, and has a code of its own."""

from __future__ import annotations

import pytest

from node_driver import errors
from node_driver.errors import DriverError, InfrastructureUnavailable, InvalidSettings, Throttled
from node_driver.types import Problem

FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DriverError)]


def test_codes_are_unique() -> None:
    assert len({kind.code for kind in FAMILY}) == len(FAMILY)


@pytest.mark.parametrize("kind", FAMILY)
def test_only_absence_and_throttling_are_retryable(kind: type[DriverError]) -> None:
    assert kind.retryable is (kind in (InfrastructureUnavailable, Throttled))


def test_a_throttled_call_says_when_to_come_back() -> None:
    assert Throttled("slow down", retry_after=2.5).retry_after == 2.5
    assert Throttled("slow down").retry_after is None


def test_invalid_settings_name_every_place() -> None:
    error = InvalidSettings([Problem("/a", "type", "must be x"), Problem("/b/0", "required", "is required")])
    assert str(error) == "/a: must be x; /b/0: is required"
    assert error.message == str(error)
