"""The stage, for every test of a reconciler of guest clusters."""

from tests.workers.stage import stage  # noqa: F401
