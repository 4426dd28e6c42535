"""Operations and the log lines of machines and operations. ``services`` writes both.

Ids of tenants, projects, targets and machines have no foreign keys: an operation outlives what it made or deleted.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from hub.core.ids import uuid7
from hub.core.models import Record


class State(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
FINAL_STATES = frozenset(state for state, next_states in TRANSITIONS.items() if not next_states)


class Operation(Record):
    """One piece of long work on one target.

    ``steps`` is a list of ``{name, state, started_at, finished_at, message}`` in order, times RFC 3339; ``error`` is
    ``{code, params}`` or null; ``progress`` is 0 to 100 and never falls.
    """

    kind = models.CharField(max_length=63)
    target_kind = models.CharField(max_length=63)
    target_id = models.UUIDField()
    target_name = models.CharField(max_length=253, default="", blank=True)
    tenant_id = models.UUIDField(null=True)
    project_id = models.UUIDField(null=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=253)
    request_id = models.CharField(max_length=64, default="", blank=True)
    state = models.CharField(max_length=20, choices=State, default=State.PENDING)
    steps = models.JSONField(default=list, blank=True)
    progress = models.SmallIntegerField(default=0)
    error = models.JSONField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant_id", "-id"], name="operation_tenant"),
            models.Index(fields=["target_id", "-id"], name="operation_target"),
            models.Index(
                fields=["finished_at"], name="operation_finished", condition=models.Q(finished_at__isnull=False)
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(progress__range=(0, 100)), name="operation_progress"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target_name}: {self.state}"

    @property
    def is_finished(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_cancel_requested(self) -> bool:
        return self.cancel_requested_at is not None and not self.is_finished


class Level(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogLine(models.Model):
    """One line of what happened to a machine or in an operation; sorted by id, which sorts by time.

    ``attempt`` counts the tries of a machine's bootstrap, from 1.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    machine_id = models.UUIDField(null=True)
    operation_id = models.UUIDField(null=True)
    tenant_id = models.UUIDField(null=True)
    attempt = models.IntegerField(default=1)
    at = models.DateTimeField(default=timezone.now)
    step = models.CharField(max_length=63, default="", blank=True)
    level = models.CharField(max_length=10, choices=Level, default=Level.INFO)
    text = models.TextField()

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["machine_id", "id"], name="logline_machine", condition=models.Q(machine_id__isnull=False)
            ),
            models.Index(
                fields=["operation_id", "id"], name="logline_operation", condition=models.Q(operation_id__isnull=False)
            ),
            models.Index(fields=["at"], name="logline_at"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(machine_id__isnull=False) | models.Q(operation_id__isnull=False),
                name="logline_belongs_somewhere",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step}: {self.text}"
