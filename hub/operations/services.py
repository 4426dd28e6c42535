"""The life of an operation: started with its work, told step by step, ended once.

``start`` belongs in the transaction that states the intent. Steps may be told again and again by a reconciler that
does not know what it told before: what changes nothing writes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hub.core.access import Actor
from hub.core.changes import record_insert, record_update
from hub.core.errors import HubError, define
from hub.core.logs import mask_secrets
from hub.core.models import Record
from hub.core.requests import request_context

from .models import FINAL_STATES, TRANSITIONS, Level, LogLine, Operation, State

StepState = Literal["pending", "running", "succeeded", "failed", "skipped"]

LINE_LIMIT = 4096  # characters; longer lines are cut
LINES_LIMIT = 5000  # lines of one machine or one operation; later ones are not kept
CUT = "… (cut)"
FULL = f"more than {LINES_LIMIT} lines: later ones are not kept"

define("operation.finished", 409, "The operation has already ended")


def start(
    actor: Actor,
    kind: str,
    target: Record,
    *,
    tenant_id: UUID | None = None,
    project_id: UUID | None = None,
    steps: Sequence[str] = (),
) -> Operation:
    """Records that long work on ``target`` begins; ``steps`` are the names known beforehand, in order."""
    operation = Operation(
        kind=kind,
        target_kind=target.object_kind,
        target_id=target.pk,
        target_name=str(getattr(target, "name", "")),
        tenant_id=tenant_id or target.owning_tenant_id,
        project_id=project_id or getattr(target, "project_id", None),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        request_id=request_context().request_id,
        steps=[_step(name, "pending") for name in steps],
    )
    record_insert(operation)
    return operation


def step(operation_id: UUID, name: str, state: StepState, message: str = "") -> Operation:
    """Tells how far a step is; an unknown step is added at the end. An ended operation stays as it is."""
    with transaction.atomic():
        operation = _locked(operation_id)
        if operation.is_finished:
            return operation
        steps = _with_step(operation.steps, name, state, mask_secrets(message)[:LINE_LIMIT])
        fields = []
        if steps != operation.steps:
            operation.steps = steps
            operation.progress = max(operation.progress, _progress(steps))
            fields += ["steps", "progress"]
        if operation.state == State.PENDING:
            fields += _move(operation, State.RUNNING)
        if fields:
            record_update(operation, fields)
    return operation


def finish(operation_id: UUID, state: State, error: HubError | Mapping[str, Any] | None = None) -> Operation:
    """Ends the operation: succeeded, failed or cancelled. The first end counts; a second one changes nothing."""
    if state not in FINAL_STATES:
        raise ValueError(f"{state} is not an end")
    with transaction.atomic():
        operation = _locked(operation_id)
        if operation.is_finished:
            return operation
        fields = _move(operation, state)
        if state == State.SUCCEEDED:
            operation.progress = 100
        operation.steps = [_ended(entry, state) for entry in operation.steps]
        operation.error = {"code": error.code, "params": dict(error.params)} if isinstance(error, HubError) else error
        record_update(operation, [*fields, "progress", "steps", "error"])
    return operation


def request_cancel(operation: Operation) -> Operation:
    """Asks for an end; whoever does the work obeys at its next step. Raises HubError ``operation.finished``."""
    with transaction.atomic():
        locked = _locked(operation.pk)
        if locked.is_finished:
            raise HubError("operation.finished", state=locked.state)
        if locked.cancel_requested_at is None:
            locked.cancel_requested_at = timezone.now()
            record_update(locked, ["cancel_requested_at"])
    return locked


def log(
    text: str,
    *,
    machine_id: UUID | None = None,
    operation_id: UUID | None = None,
    tenant_id: UUID | None = None,
    attempt: int = 1,
    step: str = "",
    level: Level = Level.INFO,
) -> LogLine | None:
    """Keeps one line; None when the machine or operation has too many. Lines are cut, and cleaned of what looks
    secret.
    """
    kept = (
        LogLine.objects.filter(machine_id=machine_id)
        if machine_id
        else LogLine.objects.filter(operation_id=operation_id)
    )
    count = kept.count()
    if count > LINES_LIMIT:
        return None
    if count == LINES_LIMIT:
        text, level = FULL, Level.WARNING
    clean = mask_secrets(text).replace("\x00", "\ufffd")
    return LogLine.objects.create(
        machine_id=machine_id,
        operation_id=operation_id,
        tenant_id=tenant_id,
        attempt=attempt,
        step=step[:63],
        level=level,
        text=clean if len(clean) <= LINE_LIMIT else clean[: LINE_LIMIT - len(CUT)] + CUT,
    )


def delete_finished_older_than(age: timedelta, *, batch: int = 5000) -> int:
    """Retention: deletes one batch of ended operations and of log lines older than ``age``; how many rows."""
    horizon = timezone.now() - age
    operations = Operation.objects.filter(finished_at__lt=horizon).order_by("finished_at").values("pk")[:batch]
    lines = LogLine.objects.filter(at__lt=horizon).order_by("at").values("pk")[:batch]
    deleted_operations, _ = Operation.objects.filter(pk__in=operations).delete()
    deleted_lines, _ = LogLine.objects.filter(pk__in=lines).delete()
    return deleted_operations + deleted_lines


def _locked(operation_id: UUID) -> Operation:
    return Operation.objects.select_for_update().get(pk=operation_id)


def _move(operation: Operation, state: State) -> list[str]:
    if state not in TRANSITIONS[State(operation.state)]:
        raise ValueError(f"an operation does not go from {operation.state} to {state}")
    operation.state = state
    now = timezone.now()
    operation.started_at = operation.started_at or now
    if state in FINAL_STATES:
        operation.finished_at = now
    return ["state", "started_at", "finished_at"]


def _step(name: str, state: StepState) -> dict[str, Any]:
    return {"name": name, "state": state, "started_at": None, "finished_at": None, "message": ""}


def _with_step(steps: Sequence[Mapping[str, Any]], name: str, state: StepState, message: str) -> list[dict[str, Any]]:
    known = [dict(entry) for entry in steps]
    entry = next((entry for entry in known if entry["name"] == name), None)
    if entry is None:
        entry = _step(name, "pending")
        known.append(entry)
    if (entry["state"], entry["message"]) == (state, message):
        return known
    now = timezone.now().isoformat()
    entry.update(state=state, message=message)
    if state != "pending":
        entry["started_at"] = entry["started_at"] or now
    entry["finished_at"] = now if state in ("succeeded", "failed", "skipped") else None
    return known


def _progress(steps: Sequence[Mapping[str, Any]]) -> int:
    done = sum(entry["state"] in ("succeeded", "skipped") for entry in steps)
    return min(99, 100 * done // len(steps))


def _ended(entry: Mapping[str, Any], state: State) -> dict[str, Any]:
    """No step stays running or pending in an operation that ended."""
    if entry["state"] not in ("pending", "running"):
        return dict(entry)
    if state == State.SUCCEEDED:
        outcome = "succeeded" if entry["state"] == "running" else "skipped"
    else:
        outcome = "failed" if entry["state"] == "running" else "skipped"
    return {**entry, "state": outcome, "finished_at": timezone.now().isoformat()}
