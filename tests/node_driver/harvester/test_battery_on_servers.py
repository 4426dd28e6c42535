"""The battery on the harvester driver over API servers at which Harvester's controllers are played.

Once on the simulated server and once on the real kube-apiserver, which is the truth (conftest.py: server_bench).
"""

from __future__ import annotations

import pytest

from tests.node_driver.battery import DriverBattery
from tests.node_driver.harvester.bench import HarvesterBench


@pytest.fixture
def bench(server_bench: HarvesterBench) -> HarvesterBench:
    return server_bench


class TestHarvesterDriver(DriverBattery):
    pass
