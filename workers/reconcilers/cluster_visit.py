"""One visit to a member cluster: what was seen, and how it becomes checks, conditions, a phase and an operation's steps.

Decides nothing about the member; the steps of a visit are ``cluster.py``'s.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from hub.core.changes import record_update
from hub.core.conditions import STUCK, clear_condition, condition, is_true, set_condition, set_phase
from hub.core.environment import environment
from hub.core.work import Claim, wake
from hub.federation import conditions as c
from hub.federation.checks import STEP_STATES, Check, CheckFailed, find_check, first_failed, merge_checks
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.rights import HubMark
from hub.operations import services as operations
from hub.operations.models import Operation, State

LOOK_SOON = 1.0
RETRY = 10.0
RETRY_SLOWLY = 60.0  # somebody has to act first
# A member's authorizer sees new bindings a moment after they were written.
AUTHORIZER_LAG = timedelta(seconds=15)

FENCE_REASONS = {"identity": c.IDENTITY_CHANGED, "owner": c.OWNED_BY_ANOTHER_HUB}
REACH_REASONS = {"dns": "NameFailed", "tcp": "ConnectionFailed", "tls": "CertificateRefused"}


@dataclass
class Visit:
    """What one reconcile knows of its cluster, what it saw, and what it has to write."""

    claim: Claim[Cluster]
    mark: HubMark
    results: list[Check] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    waiting: list[ProjectNamespace] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        return self.claim.row

    def tell(self, type: str, status: bool, reason: str, message: str = "") -> None:
        """Sets a condition."""
        if set_condition(self.cluster, type, status, reason, message):
            self.changed.add("conditions")

    def set(self, **values: object) -> None:
        """Puts values onto the row, to be written by the next ``write``."""
        for name, value in values.items():
            setattr(self.cluster, name, value)
        self.changed |= values.keys()

    def set_phase(self, phase: str) -> None:
        if set_phase(self.cluster, phase):
            self.changed |= {"phase", "phase_since"}

    def keep_results(self) -> None:
        """Puts the results so far onto the row, to be written by the next ``write``."""
        if merge_checks(self.cluster, self.results):
            self.changed.add("checks")

    def wake_after(self, namespace: ProjectNamespace) -> None:
        """Has a namespace looked at once this visit's results are written."""
        self.waiting.append(namespace)

    def write(self) -> None:
        """Writes what has changed so far, under the claim. Raises LostClaim.

        A probe that only saw what it saw before is no change: no new version that would make a reader's If-Match stale
        every half minute, and no hint to listeners.
        """
        if self.changed == {"last_seen_at"}:
            seen = Cluster.objects.filter(pk=self.cluster.pk, fence=self.claim.fence)
            seen.update(last_seen_at=self.cluster.last_seen_at)
            self.changed.clear()
        if self.changed:
            with transaction.atomic():
                record_update(self.cluster, sorted(self.changed), claim=self.claim)
                for namespace in self.waiting:
                    wake(namespace)
            self.changed.clear()
            self.waiting.clear()


def tell_failure(visit: Visit, failure: CheckFailed) -> float:
    """A failed check as conditions; when to look again."""
    check, registered = failure.check, bool(visit.cluster.access_token)
    visit.results.append(check)
    visit.set(rights_checked_at=None)  # what comes after a failed check is done again
    message = f"{check.message}. {check.fix}"
    if check.name in REACH_REASONS:
        visit.tell(c.REACHABLE, False, REACH_REASONS[check.name], message)
    if check.name in FENCE_REASONS and registered:
        visit.tell(c.FENCED, True, FENCE_REASONS[check.name], message)
    if check.name == "authentication":
        visit.tell(c.REGISTERED, False, c.CREDENTIALS_REFUSED, message)
    elif check.name == "rights" or not registered:
        visit.tell(c.REGISTERED, False, c.CHECK_FAILED, message)
    if check.name == "rights" and registered:
        known = find_check(visit.cluster, "rights")
        since = datetime.fromisoformat(known["at"]) if known and known["state"] == "failed" else timezone.now()
        return LOOK_SOON if timezone.now() - since < AUTHORIZER_LAG else RETRY_SLOWLY
    return RETRY if failure.retryable else RETRY_SLOWLY


def write_status(visit: Visit, *, was_ready: bool) -> None:
    """Written on every exit: the checks, Ready in one word, Stuck, the phase, and the steps of an open import."""
    cluster = visit.cluster
    visit.keep_results()
    _tell_ready(visit)
    _tell_stuck(visit)
    visit.set_phase(_phase_of(cluster))
    if cluster.observed_generation != cluster.generation:
        visit.set(observed_generation=cluster.generation)
    visit.write()
    _tell_import(cluster)
    if is_true(cluster, c.READY) and not was_ready:
        with transaction.atomic():
            for namespace in ProjectNamespace.objects.filter(cluster=cluster):
                wake(namespace)


def tell_step(cluster: Cluster, name: str, state: operations.StepState, message: str) -> None:
    """One step of the cluster's operation, if it has one."""
    if cluster.operation_id is not None:
        operations.step(cluster.operation_id, name, state, message)


def _tell_ready(visit: Visit) -> None:
    for type, wanted, reason in _PARTS:
        found = condition(visit.cluster, type)
        if (found is not None and found.status == "True") != wanted:
            visit.tell(c.READY, False, reason, found.message if found else "")
            return
    failed = first_failed(visit.cluster)
    if failed is not None:
        visit.tell(c.READY, False, c.CHECK_FAILED, f"{failed['message']}. {failed['fix']}")
        return
    visit.tell(c.READY, True, c.ALL_WELL)


# Condition, the status that Ready needs, and Ready's reason when it has another.
_PARTS = ((c.FENCED, False, c.FENCED), (c.REACHABLE, True, c.UNREACHABLE), (c.REGISTERED, True, c.NOT_REGISTERED))


def _tell_stuck(visit: Visit) -> None:
    """A registration past its deadline waits for the platform team, who does what the failed check says."""
    cluster = visit.cluster
    registered = condition(cluster, c.REGISTERED)
    if registered is not None and registered.status == "False":
        since = datetime.fromisoformat(registered.last_transition)
        if timezone.now() - since < timedelta(seconds=environment().infrastructure_deadline):
            return
        failed = first_failed(cluster)
        params = {"owner": "platform", "action": f"check_{failed['name']}" if failed else "import_again"}
        if set_condition(cluster, STUCK, True, c.DEADLINE_EXCEEDED, registered.message, params):
            visit.changed.add("conditions")
    elif clear_condition(cluster, STUCK):
        visit.changed.add("conditions")


def _phase_of(cluster: Cluster) -> str:
    if is_true(cluster, c.READY):
        return "Ready"
    if is_true(cluster, c.FENCED):
        return "Fenced"
    return "Unavailable" if is_true(cluster, c.REGISTERED) else "Importing"


def _tell_import(cluster: Cluster) -> None:
    """The checks as steps of the operation that imports the cluster, while that is open.

    From the row and not from this visit: a visit before it may have been cut off between the two.
    """
    if cluster.operation_id is None or not Operation.objects.filter(pk=cluster.operation_id, finished_at=None).exists():
        return
    for entry in cluster.checks:
        message = f"{entry['message']}. {entry['fix']}" if entry["state"] == "failed" else entry["message"]
        tell_step(cluster, entry["name"], STEP_STATES[entry["state"]], message)
    if is_true(cluster, c.READY):
        operations.finish(cluster.operation_id, State.SUCCEEDED)
