"""The base rows of every app, and the few tables core itself needs.

``Record`` is any row that a service writes; ``Reconciled`` is one that a worker brings to its wanted state. Rows are
written through ``hub.core.changes`` and claimed through ``hub.core.work``; nothing here does either.
"""

from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models.expressions import RawSQL
from django.utils import timezone

from .ids import uuid7
from .sealed import SealedText


class Record(models.Model):
    """A row with an id made before the insert and a version that each write raises by one."""

    object_kind: ClassVar[str]
    """The kind's name in change hints, task payloads and labels: the class name in lower case."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.BigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.object_kind = cls.__name__.lower()

    @property
    def owning_tenant_id(self) -> UUID | None:
        """The tenant whose members may hear of this row and to whom its secrets are bound; None belongs to the
        platform.
        """
        tenant_id: UUID | None = getattr(self, "tenant_id", None)
        return tenant_id


class Reconciled(Record):
    """A row that is also its own unit of work: when to look at it next, and who is looking at it now.

    ``generation`` counts changes of what is wanted, ``observed_generation`` the one that status speaks of. ``fence`` is
    raised by each claim, so a write by an earlier holder finds no row. ``wake_count`` is raised by each wake, so a wake
    that arrives during a reconcile is not lost. Until ``hinted_until`` a message about the due row is assumed to be on
    its way. ``phase`` is derived from the conditions for people; no code decides by it.
    """

    generation = models.BigIntegerField(default=1, editable=False)
    observed_generation = models.BigIntegerField(default=0, editable=False)
    deletion_requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    lease_holder = models.CharField(max_length=200, default="", blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    fence = models.BigIntegerField(default=0, editable=False)
    wake_count = models.BigIntegerField(default=0, editable=False)
    hinted_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.IntegerField(default=0, editable=False)
    conditions = models.JSONField(default=list, blank=True, editable=False)
    phase = models.CharField(max_length=40, default="", blank=True, editable=False)
    phase_since = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True
        indexes: ClassVar[list[models.Index]] = [
            # The poller asks for due rows each second; most rows of a settled hub have a next run, few are due.
            models.Index(
                fields=["next_run_at"],
                name="%(class)s_due",
                condition=models.Q(next_run_at__isnull=False),
            ),
        ]


class Change(models.Model):
    """A hint that a row changed, for whoever listens. Not a log: old hints are pruned and a listener may miss some."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=63)
    object_id = models.UUIDField()
    version = models.BigIntegerField()
    tenant_id = models.UUIDField(null=True)
    at = models.DateTimeField(db_default=RawSQL("clock_timestamp()", ()))
    # Ids are handed out before the commit, so a reader that remembers the greatest id overlooks a slower transaction.
    # Readers go by transaction instead: see changes.changes_after().
    transaction = models.BigIntegerField(db_default=RawSQL("(pg_current_xact_id()::text::bigint)", ()))

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["transaction"], name="change_transaction"),
            models.Index(fields=["at"], name="change_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} v{self.version}"


class Lease(models.Model):
    """Which process runs a job that one process may run at a time. See ``hub.core.leases``."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=200)
    expires_at = models.DateTimeField()
    fence = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder}"


class HubIdentity(models.Model):
    """Who this hub is towards the objects it makes elsewhere; one row.

    ``epoch`` is raised when a backup is restored, so that a copy still running is told apart. ``canary`` is a known
    text sealed with the master key: a start that cannot open it has lost the key.
    """

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    hub_id = models.UUIDField(default=uuid7, editable=False)
    epoch = models.IntegerField(default=1)
    canary = SealedText(default="", blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(id=1), name="hub_identity_is_one_row"),
        ]

    def __str__(self) -> str:
        return f"hub {self.hub_id} epoch {self.epoch}"


def hub_identity() -> HubIdentity:
    """The one identity row, made on first use; two first users agree on one row."""
    identity, _ = HubIdentity.objects.get_or_create(id=1)
    return identity
