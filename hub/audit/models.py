"""The audit trail's table, and who gets a copy of it. A trigger refuses to change events (see the migrations)."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from hub.core.ids import uuid7
from hub.core.models import Record
from hub.core.sealed import SealedText


class Outcome(models.TextChoices):
    """``failed``: allowed, but it did not work. ``unknown``: begun, and its answer was lost."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


UNAUTHENTICATED_VERBS = ("login", "authenticate")
"""Verbs of which anybody can cause denials, without an account; see ``strangers``."""


class AuditEvent(models.Model):
    """One act. Tenant, project and cluster are ids without foreign keys: the trail outlives what it tells of.

    Who: the actor, his token or session and the ids of his groups at that time. What: verb, object (``namespace`` and
    ``object_name`` for objects of a cluster) and ``changes``, ``{field: [before, after]}`` with secrets masked. Why:
    ``operation_id``. ``transaction`` is the database's number of the transaction that wrote the event; by it the events of
    late commits are found (see ``forwarding``).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=timezone.now)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=253)
    verb = models.CharField(max_length=40)
    resource = models.CharField(max_length=120)
    object_id = models.UUIDField(null=True)
    object_name = models.CharField(max_length=253, default="", blank=True)
    tenant_id = models.UUIDField(null=True)
    project_id = models.UUIDField(null=True)
    cluster_id = models.UUIDField(null=True)
    outcome = models.CharField(max_length=20, choices=Outcome)
    code = models.CharField(max_length=80, default="", blank=True)
    request_id = models.CharField(max_length=64, default="", blank=True)
    source_ip = models.CharField(max_length=45, default="", blank=True)
    detail = models.JSONField(default=dict, blank=True)
    token_id = models.UUIDField(null=True)
    session_id = models.UUIDField(null=True)
    operation_id = models.UUIDField(null=True)
    actor_groups = models.JSONField(default=list, db_default=[], blank=True)
    namespace = models.CharField(max_length=253, default="", db_default="", blank=True)
    changes = models.JSONField(default=dict, db_default={}, blank=True)
    transaction = models.BigIntegerField(db_default=RawSQL("(pg_current_xact_id()::text::bigint)", ()))

    class Meta:
        ordering: ClassVar[list[str]] = ["-at", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-at", "-id"], name="audit_at"),
            models.Index(fields=["tenant_id", "-at", "-id"], name="audit_tenant_at"),
            models.Index(fields=["object_id", "-at"], name="audit_object_at"),
            models.Index(fields=["actor_id", "-at"], name="audit_actor_at"),
            models.Index(fields=["project_id", "-at"], name="audit_project_at"),
            models.Index(fields=["cluster_id", "resource", "object_name", "-at"], name="audit_cluster_object_at"),
            models.Index(fields=["token_id", "-at"], name="audit_token_at", condition=Q(token_id__isnull=False)),
            models.Index(fields=["operation_id"], name="audit_operation", condition=Q(operation_id__isnull=False)),
            models.Index(fields=["request_id"], name="audit_request", condition=~Q(request_id="")),
            models.Index(fields=["transaction", "id"], name="audit_transaction"),
            models.Index(
                fields=["at"],
                name="audit_unauthenticated",
                condition=Q(outcome="denied", verb__in=UNAUTHENTICATED_VERBS),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.resource} {self.object_name}: {self.outcome}"


NO_EVENT = UUID(int=0)


class AuditForwarder(Record):
    """A receiver outside that gets every event, in order and at least once. ``url`` says how: ``https://`` is a webhook,
    ``syslog+tls://``, ``syslog+tcp://`` and ``syslog+udp://`` are syslog.

    ``transaction`` and ``event_id`` are the last event that was delivered, in the order of ``forwarding``. They and the
    other columns of progress are written by the forwarding job alone, as observations: without a new version. ``secret``
    signs what a webhook sends.
    """

    name = models.CharField(max_length=63, unique=True)
    url = models.CharField(max_length=500)
    ca_pem = models.TextField(default="", blank=True)
    secret = SealedText(default="", blank=True)
    is_enabled = models.BooleanField(default=True)
    transaction = models.BigIntegerField(editable=False)
    event_id = models.UUIDField(default=NO_EVENT, editable=False)
    last_event_at = models.DateTimeField(null=True, editable=False)
    last_delivery_at = models.DateTimeField(null=True, editable=False)
    failures = models.IntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=300, default="", blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    next_attempt_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.name
