"""The time as the Kubernetes API writes it."""

from datetime import UTC, datetime


def timestamp() -> str:
    """Now: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
