"""Fixtures of the benchmarks: a member cluster to count in."""

from tests.workers.reconcilers.members import hub, simulated_member  # noqa: F401  (found by name)
