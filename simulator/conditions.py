"""Conditions in `status`, as KubeVirt and Harvester write them."""

from typing import Any

from simulator.clock import timestamp


def with_condition(
    conditions: list[dict[str, Any]], kind: str, status: str, reason: str = "", message: str = ""
) -> list[dict[str, Any]]:
    """The list with that condition set; the transition time moves only when the status does."""
    earlier = next((c for c in conditions if c["type"] == kind), None)
    moved = earlier is None or earlier["status"] != status
    since = timestamp() if moved or earlier is None else earlier.get("lastTransitionTime", timestamp())
    entry: dict[str, Any] = {"type": kind, "status": status, "lastTransitionTime": since}
    if reason:
        entry["reason"] = reason
    if message:
        entry["message"] = message
    return [*(c for c in conditions if c["type"] != kind), entry]


def without_condition(conditions: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [c for c in conditions if c["type"] != kind]


def condition_status(conditions: list[dict[str, Any]], kind: str) -> str | None:
    return next((c["status"] for c in conditions if c["type"] == kind), None)
