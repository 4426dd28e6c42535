"""Writing the audit trail, and taking old events out of it. Nothing else may change it."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection, models, transaction
from django.utils import timezone

from hub.core.access import Actor
from hub.core.errors import HubError, define
from hub.core.requests import request_context

from .diff import Changes, masked
from .models import AuditEvent, Outcome

define("audit.unavailable", 503, "This could not be recorded, so it was not done; try again")

log = logging.getLogger(__name__)

NAME_LIMIT = 253


class EventFields(TypedDict, total=False):
    """What an event says beside actor, verb and resource. ``changes`` is what ``diff`` makes; ``detail`` is what else an
    auditor wants to know, never a secret and never a request body; ``operation_id`` is the work that it belongs to.
    """

    outcome: Outcome | str
    code: str
    object_id: UUID | None
    object_name: str
    namespace: str
    tenant_id: UUID | None
    project_id: UUID | None
    cluster_id: UUID | None
    operation_id: UUID | None
    changes: Changes
    detail: Mapping[str, Any]


def record(
    actor: Actor, verb: str, resource: str, obj: models.Model | None = None, **fields: Unpack[EventFields]
) -> AuditEvent:
    """Writes one event in the caller's transaction: no event, no effect (FLT-42).

    What is not given is taken from ``obj`` (``id``, ``name``, ``tenant_id``, ``project_id``, ``cluster_id``). Denials are
    recorded outside the transaction that was refused, or they would be rolled back with it. Raises HubError
    ``audit.unavailable`` when the database does not take the event.
    """
    return save_event(build_event(actor, verb, resource, obj, **fields))


def save_event(event: AuditEvent) -> AuditEvent:
    """Raises HubError ``audit.unavailable``."""
    try:
        event.save(force_insert=True)
    except DatabaseFailure as error:
        log.exception("an audit event was not written: %s %s", event.verb, event.resource)
        raise HubError("audit.unavailable") from error
    return event


def build_event(
    actor: Actor, verb: str, resource: str, obj: models.Model | None = None, **fields: Unpack[EventFields]
) -> AuditEvent:
    """The event that ``record`` writes, for whoever writes many at once. Raises ValueError for an unknown outcome."""
    context = request_context()
    return AuditEvent(
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name[:NAME_LIMIT],
        actor_groups=sorted(map(str, actor.group_ids)),
        token_id=actor.token_id,
        session_id=actor.session_id,
        verb=verb,
        resource=resource,
        object_id=fields.get("object_id") or getattr(obj, "pk", None),
        object_name=(fields.get("object_name") or str(getattr(obj, "name", "") or ""))[:NAME_LIMIT],
        namespace=fields.get("namespace", "")[:NAME_LIMIT],
        tenant_id=fields.get("tenant_id") or getattr(obj, "owning_tenant_id", None),
        project_id=fields.get("project_id") or getattr(obj, "project_id", None),
        cluster_id=fields.get("cluster_id") or getattr(obj, "cluster_id", None),
        operation_id=fields.get("operation_id"),
        outcome=Outcome(fields.get("outcome", Outcome.SUCCEEDED)),
        code=fields.get("code", ""),
        request_id=context.request_id,
        source_ip=context.source_ip,
        changes=fields.get("changes", {}),
        detail=masked(fields.get("detail", {})),
    )


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
