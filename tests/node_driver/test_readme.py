"""The rule table and the battery are the same list."""

from __future__ import annotations

import re
from pathlib import Path

from node_driver.errors import DriverError
from node_driver.registry import driver_names
from tests.node_driver import battery
from tests.node_driver.battery import DriverBattery
from tests.node_driver.test_errors import FAMILY

README = (Path(__file__).parents[2] / "node_driver" / "README.md").read_text()
RULES = re.findall(r"^\| (ND-\d\d) \| (.+?) \| (yes|with the capability `\w+`) \| .*\|$", README, re.MULTILINE)


def test_rules_are_numbered_without_gaps() -> None:
    assert [rule for rule, _, _ in RULES] == [f"ND-{number:02d}" for number in range(1, len(RULES) + 1)]
    assert len(RULES) == README.count("| ND-")


def test_every_rule_has_a_test_in_the_battery_and_every_test_a_rule() -> None:
    tested = {match[1] for name in vars(DriverBattery) if (match := re.match(r"test_nd(\d\d)_", name))}
    assert tested == {rule.removeprefix("ND-") for rule, _, _ in RULES}
    assert all(re.match(r"test_nd\d\d_", name) for name in vars(DriverBattery) if name.startswith("test"))


def test_every_error_and_driver_is_in_the_tables() -> None:
    for kind in FAMILY:
        assert kind is DriverError or f"`{kind.__name__}`" in README
    for name in driver_names():
        assert f"| `{name}` |" in README


def test_the_battery_says_where_its_rules_are() -> None:
    assert battery.__doc__ is not None
    assert "node_driver/README.md" in battery.__doc__
