"""Writing the audit trail, and taking old events out of it. Nothing else may change it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.utils import timezone

from hub.core.access import Actor
from hub.core.requests import request_context

from .models import AuditEvent, Outcome


def record(
    actor: Actor,
    verb: str,
    resource: str,
    obj: models.Model | None = None,
    *,
    outcome: Outcome | str = Outcome.SUCCEEDED,
    code: str = "",
    object_id: UUID | None = None,
    object_name: str = "",
    tenant_id: UUID | None = None,
    project_id: UUID | None = None,
    cluster_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Writes one event in the caller's transaction: no event, no effect.

    What is not given is taken from ``obj`` (``id``, ``name``, ``tenant_id``, ``project_id``, ``cluster_id``).
    ``detail`` is shown to auditors as it is: names of fields that changed, never a secret and never a request body.
    Denials are recorded outside the transaction that was refused, or they would be rolled back with it.
    """
    event = AuditEvent(
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name[:253],
        verb=verb,
        resource=resource,
        object_id=object_id or getattr(obj, "pk", None),
        object_name=(object_name or str(getattr(obj, "name", "") or ""))[:253],
        tenant_id=tenant_id or getattr(obj, "owning_tenant_id", None),
        project_id=project_id or getattr(obj, "project_id", None),
        cluster_id=cluster_id or getattr(obj, "cluster_id", None),
        outcome=Outcome(outcome),
        code=code,
        request_id=request_context().request_id,
        source_ip=request_context().source_ip,
        detail=_with_token(actor, detail or {}),
    )
    event.save(force_insert=True)
    return event


def _with_token(actor: Actor, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {**detail, "token_id": str(actor.token_id)} if actor.token_id else dict(detail)


def delete_events_older_than(age: timedelta, *, batch: int = 5000) -> int:
    """Retention: deletes one batch of events older than ``age``; how many. Call again until it is 0."""
    old = AuditEvent.objects.filter(at__lt=timezone.now() - age).order_by("at").values("pk")[:batch]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL paddock.audit_retention = 'on'")
        deleted, _ = AuditEvent.objects.filter(pk__in=old).delete()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL paddock.audit_retention = 'off'")
    return deleted
