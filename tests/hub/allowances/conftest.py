"""The stage of the reconcilers: its fake infrastructure answers what orders ask."""

from tests.workers.stage import stage  # noqa: F401
