"""The battery on the harvester driver over a double of the API: no servers, so it runs everywhere and in seconds."""

from __future__ import annotations

import pytest

from tests.node_driver.battery import DriverBattery
from tests.node_driver.harvester.bench import HarvesterBench, seed
from tests.node_driver.harvester.recording_api import RecordingApi


@pytest.fixture
def bench() -> HarvesterBench:
    api = RecordingApi()
    seed(api)
    return HarvesterBench(api, "tenant-1-web", api.play)


class TestHarvesterDriver(DriverBattery):
    pass
