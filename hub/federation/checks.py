"""The visible handshake of a cluster as data: which checks there are, and how their results are kept on the row.

Running them is ``handshake``'s and ``registration``'s; showing them is the API's. Pure, apart from the time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.utils import timezone

from .models import Cluster

CheckState = Literal["pending", "passed", "warning", "failed"]

CHECKS = (
    "dns",
    "tcp",
    "tls",
    "authentication",
    "clock",
    "version",
    "identity",
    "owner",
    "capabilities",
    "registration",
    "rights",
)
"""In the order they are done: each builds on those before it."""

STEP_STATES: Mapping[CheckState, Literal["pending", "succeeded", "running"]] = {
    "pending": "pending",
    "passed": "succeeded",
    "warning": "succeeded",
    # It is tried again, so the import's step is still under way.
    "failed": "running",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One result. ``message`` says what was seen, ``fix`` what to do about it; no answer of the other side is quoted."""

    name: str
    state: CheckState
    message: str = ""
    fix: str = ""

    @property
    def stops(self) -> bool:
        """Whether the checks after it make no sense now."""
        return self.state == "failed"


class CheckFailed(Exception):
    """A check that stops the handshake. ``retryable``: it may pass later without anybody acting."""

    def __init__(self, name: str, message: str, fix: str, *, retryable: bool = True) -> None:
        super().__init__(f"{name}: {message}")
        self.check = Check(name, "failed", message, fix)
        self.retryable = retryable


def pending_checks() -> list[dict[str, Any]]:
    """What a new cluster shows before anything was tried."""
    now = timezone.now().isoformat()
    return [asdict(Check(name, "pending")) | {"at": now} for name in CHECKS]


def merge_checks(cluster: Cluster, results: Iterable[Check]) -> bool:
    """Puts results onto the row, in memory; tells whether anything changed. After a failed check the rest is pending."""
    known = {entry["name"]: entry for entry in cluster.checks}
    now = timezone.now().isoformat()
    for result in results:
        entry = asdict(result)
        before = known.get(result.name)
        same = before is not None and all(before[key] == value for key, value in entry.items())
        known[result.name] = before if same and before is not None else entry | {"at": now}
        if result.stops:
            for later in CHECKS[CHECKS.index(result.name) + 1 :]:
                known[later] = asdict(Check(later, "pending")) | {"at": now}
    merged = [known.get(name, asdict(Check(name, "pending")) | {"at": now}) for name in CHECKS]
    changed: bool = merged != cluster.checks
    cluster.checks = merged
    return changed


def find_check(cluster: Cluster, name: str) -> Mapping[str, Any] | None:
    """What is kept of one check."""
    return next((entry for entry in cluster.checks if entry["name"] == name), None)


def first_failed(cluster: Cluster) -> Mapping[str, Any] | None:
    """The failed check, if there is one."""
    return next((entry for entry in cluster.checks if entry["state"] == "failed"), None)
