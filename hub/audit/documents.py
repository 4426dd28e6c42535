"""An event as everybody outside gets it: over REST, in exports, by syslog and by webhook. Pure."""

from typing import Any

from .models import AuditEvent


def event_document(event: AuditEvent) -> dict[str, Any]:
    """The event as JSON, ids and times as text. ``id`` never comes twice: receivers know repeated events by it."""
    return {
        "id": str(event.pk),
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "actor": {"kind": event.actor_kind, "id": _text(event.actor_id), "name": event.actor_name},
        "actor_groups": event.actor_groups,
        "token": _text(event.token_id),
        "session": _text(event.session_id),
        "verb": event.verb,
        "object": {"kind": event.resource, "id": _text(event.object_id), "name": event.object_name},
        "namespace": event.namespace,
        "tenant": _text(event.tenant_id),
        "project": _text(event.project_id),
        "cluster": _text(event.cluster_id),
        "operation": _text(event.operation_id),
        "outcome": event.outcome,
        "code": event.code,
        "request_id": event.request_id,
        "source_ip": event.source_ip,
        "changes": event.changes,
        "detail": event.detail,
    }


def _text(id: object) -> str | None:
    return None if id is None else str(id)
