"""Fixtures for the tests of reconcilers: the stage of guest clusters, and member clusters to import."""

from tests.workers.reconcilers.members import (  # noqa: F401
    _real_server,
    hub,
    member,
    real_member,
    simulated_member,
)
from tests.workers.stage import stage  # noqa: F401
