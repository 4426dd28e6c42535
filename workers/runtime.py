"""From a message to a finished step: claim the row, call its reconciler, give the row back. Knows no kind.

Nothing here waits for another step, and nothing is lost when this process is killed: the row stays due and its lease
ends.
"""

import logging
import os
import socket
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction

from hub.core import broker, work
from hub.core.changes import LostClaim, record_update
from hub.core.conditions import STUCK, clear_condition, condition, set_condition
from hub.core.environment import environment
from hub.core.models import Reconciled
from hub.core.requests import bind_request
from hub.core.transactions import drop_broken_connection
from hub.core.work import Claim

from .reconcilers.contract import Reconciler, jittered
from .reconcilers.registry import reconcilers

log = logging.getLogger(__name__)

POISON_ATTEMPTS = 6
"""Attempts in a row that ended badly (an exception, or a killed worker) before the row is reported as stuck."""
RECONCILE_FAILING = "ReconcileFailing"
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


class UnknownWork(Exception):
    """A message that this version cannot read: it belongs to a newer worker."""


def holder_name() -> str:
    """Who holds a lease, for people who look at the table."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run(payload: Any) -> None:
    """Does one step for the row a message names. Raises UnknownWork for a message of another version or an unknown
    kind."""
    kind, id, request_id = _read(payload)
    reconciler = reconcilers().get(kind)
    if reconciler is None:
        raise UnknownWork(f"no reconciler for kind {kind!r}")
    with bind_request(request_id):
        claim = work.claim(reconciler.model, id, holder_name(), environment().lease_seconds)
        if claim is not None:
            run_claimed(reconciler, claim)


def run_claimed(reconciler: Reconciler[Any], claim: Claim[Any]) -> None:
    """One step under a claim; whatever happens in it, the row is given back."""
    try:
        if claim.row.attempts > POISON_ATTEMPTS:
            _report_stuck(claim)
        outcome = reconciler.reconcile(claim)
        _forget_stuck(claim)
        work.release(claim, next_run_in=outcome.next_run_in)
    except LostClaim as error:
        log.info("another worker has taken over: %s", error)
    except Exception:
        log.exception("reconcile failed: %s %s attempt %s", claim.row.object_kind, claim.row.pk, claim.row.attempts)
        _give_back(claim)


def backoff(attempts: int) -> float:
    """Seconds until the next try after so many bad ends: doubling, capped, spread."""
    return jittered(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 16)))


def _read(payload: Any) -> tuple[str, UUID, str]:
    if not isinstance(payload, dict) or payload.get("v") != broker.PAYLOAD_VERSION:
        raise UnknownWork("the message has another version")
    return str(payload["kind"]), UUID(payload["id"]), str(payload.get("request_id", ""))


def _give_back(claim: Claim[Any]) -> None:
    drop_broken_connection()  # the failure may have been the connection's
    try:
        work.release(claim, next_run_in=backoff(claim.row.attempts), failed=True)
    except DatabaseError:
        log.warning("cannot give back %s %s now: its lease will end", claim.row.object_kind, claim.row.pk)


def _report_stuck(claim: Claim[Any]) -> None:
    row: Reconciled = claim.row
    params = {"owner": "platform", "action": "read_worker_log", "attempts": row.attempts}
    message = f"The last {row.attempts - 1} attempts ended unexpectedly; the worker's log says how."
    _write_conditions(claim, set_condition(row, STUCK, True, RECONCILE_FAILING, message, params))


def _forget_stuck(claim: Claim[Any]) -> None:
    """Takes back what ``_report_stuck`` said; a reconciler's own ``Stuck`` stays."""
    said = condition(claim.row, STUCK)
    if said is not None and said.reason == RECONCILE_FAILING:
        _write_conditions(claim, clear_condition(claim.row, STUCK))


def _write_conditions(claim: Claim[Any], changed: bool) -> None:
    if changed:
        with transaction.atomic():
            record_update(claim.row, ["conditions"], claim=claim)
