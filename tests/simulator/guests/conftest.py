"""The stage of guest tests."""

from collections.abc import AsyncIterator

import pytest

from simulator.guests.machines import GuestMachines
from simulator.guests.timings import GuestTimings
from tests.simulator.guests.stage import FAST, Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(GuestMachines(timings=GuestTimings(**FAST)))
    yield stage
    await stage.close()
