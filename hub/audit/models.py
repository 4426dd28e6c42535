"""The audit trail's one table. A trigger refuses to change it (see the migrations); ``services`` writes it."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from hub.core.ids import uuid7


class Outcome(models.TextChoices):
    """``failed``: allowed, but it did not work. ``unknown``: begun, and its answer was lost."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


class AuditEvent(models.Model):
    """One act. Tenant, project and cluster are ids without foreign keys: the trail outlives what it tells of."""

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

    class Meta:
        ordering: ClassVar[list[str]] = ["-at", "-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-at", "-id"], name="audit_at"),
            models.Index(fields=["tenant_id", "-at", "-id"], name="audit_tenant_at"),
            models.Index(fields=["object_id", "-at"], name="audit_object_at"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.resource} {self.object_name}: {self.outcome}"
