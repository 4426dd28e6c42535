"""Finds drivers by name: entry points of the group `paddock.node_drivers`, also of other distributions.

The project's own drivers are also known without an installed distribution (a source checkout, a container that copies
folders). A class is imported when it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from node_driver.base import NodeDriver
from node_driver.errors import UnknownDriver

GROUP = "paddock.node_drivers"

BUILT_IN = (
    EntryPoint("harvester", "node_driver.harvester.driver:HarvesterDriver", GROUP),
    EntryPoint("fake", "node_driver.fake.driver:FakeDriver", GROUP),
)


def _drivers() -> dict[str, EntryPoint]:
    """Entry points by name. An installed driver cannot take the name of a built-in one."""
    return {point.name: point for point in (*entry_points(group=GROUP), *BUILT_IN)}


def driver_names() -> tuple[str, ...]:
    """Names of all installed drivers, sorted."""
    return tuple(sorted(_drivers()))


@cache
def driver_class(name: str) -> type[NodeDriver[Any]]:
    """The driver's class. Raises UnknownDriver."""
    try:
        loaded = _drivers()[name].load()
    except KeyError:
        raise UnknownDriver(f"no node driver is named {name!r}; there are: {', '.join(driver_names())}") from None
    except (ImportError, AttributeError) as error:
        raise UnknownDriver(f"the node driver {name!r} cannot be loaded: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, NodeDriver)):
        raise UnknownDriver(f"the node driver {name!r} is not a NodeDriver")
    return loaded


def settings_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a driver's settings. Raises UnknownDriver."""
    return driver_class(name).settings.json_schema()
