"""A registry without a network for rules, and a running server for everything that a connection is part of."""

from collections.abc import Callable, Iterator

import pytest

from kube.resources import CONFIG_MAPS, NAMESPACES, Object
from simulator.apiserver import ApiServer, Authority, Store
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.kinds import HARVESTER_KINDS, KindSpec
from tests.simulator.running import RunningServer

KINDS = {kind.resource: kind for kind in HARVESTER_KINDS}


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.generate("tests")


@pytest.fixture
def registry() -> Registry:
    """Over an empty store, with the namespace ``one``."""
    registry = Registry(Store(), HARVESTER_KINDS)
    registry.create(KINDS[NAMESPACES], "", {"metadata": {"name": "one"}}, WriteOptions())
    return registry


@pytest.fixture
def config_maps() -> KindSpec:
    return KINDS[CONFIG_MAPS]


@pytest.fixture
def create(registry: Registry, config_maps: KindSpec) -> Callable[[str], Object]:
    """Makes a config map of the name in namespace ``one``."""

    def made(name: str) -> Object:
        return registry.create(config_maps, "one", {"metadata": {"name": name}}, WriteOptions())

    return made


@pytest.fixture
def running(authority: Authority) -> Iterator[RunningServer]:
    """A server of this test's own."""
    with RunningServer(lambda: ApiServer(HARVESTER_KINDS, authority)) as running:
        yield running


@pytest.fixture(scope="session")
def shared(authority: Authority) -> Iterator[RunningServer]:
    """A server for all tests that leave it as it was."""
    with RunningServer(lambda: ApiServer(HARVESTER_KINDS, authority)) as running:
        yield running
