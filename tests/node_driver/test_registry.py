"""The registry finds drivers by entry point, and its own without an installed distribution."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from node_driver import registry
from node_driver.errors import UnknownDriver
from node_driver.fake.driver import FakeDriver
from node_driver.harvester.driver import HarvesterDriver


@pytest.fixture(autouse=True)
def _fresh_registry() -> Iterator[None]:
    registry.driver_class.cache_clear()
    yield
    registry.driver_class.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Makes the machine have these distributions' entry points and no others."""
    installed = tuple(EntryPoint(name, value, registry.GROUP) for name, value in points)

    def entry_points(*, group: str) -> tuple[EntryPoint, ...]:
        return tuple(point for point in installed if point.group == group)

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_the_projects_own_drivers_are_known_without_an_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    assert registry.driver_names() == ("fake", "harvester")
    assert registry.driver_class("harvester") is HarvesterDriver
    assert registry.driver_class("fake") is FakeDriver


def test_the_name_in_the_registry_is_the_drivers_own() -> None:
    for name in registry.driver_names():
        assert registry.driver_class(name).name == name


def test_another_distribution_can_bring_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("other", "node_driver.fake.driver:FakeDriver"))
    assert registry.driver_names() == ("fake", "harvester", "other")
    assert registry.driver_class("other") is FakeDriver


def test_another_distribution_cannot_take_the_name_of_a_built_in_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("harvester", "node_driver.fake.driver:FakeDriver"))
    assert registry.driver_class("harvester") is HarvesterDriver


@pytest.mark.parametrize("name", ["", "nope", "../fake", "Harvester"])
def test_an_unknown_driver_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(UnknownDriver, match="fake, harvester"):
        registry.driver_class(name)


@pytest.mark.parametrize(
    "value",
    ["no_such_module:Driver", "node_driver.fake.driver:NoSuchClass", "node_driver.registry:GROUP", "json:JSONDecoder"],
)
def test_a_driver_that_cannot_be_loaded_is_an_error_of_the_family(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("broken", value))
    with pytest.raises(UnknownDriver, match="broken"):
        registry.driver_class("broken")


def test_settings_schema_is_the_drivers_json_schema() -> None:
    schema = registry.settings_schema("harvester")
    assert schema["required"] == ["image", "network"]
    assert schema["additionalProperties"] is False
