"""The audit trail: who did, or was refused, what and when."""

import datetime
from typing import Any, Self
from uuid import UUID

from hub.api.actions import Gets, Lists
from hub.api.documents import Named, Shown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter
from hub.audit.models import AuditEvent, Outcome


class AuditEventShown(Shown):
    """``object.kind`` is the resource that the verb was used on."""

    id: UUID
    at: datetime.datetime
    actor: Named
    verb: str
    object: Named
    tenant: UUID | None
    project: UUID | None
    cluster: UUID | None
    outcome: str
    code: str
    request_id: str
    source_ip: str
    detail: dict[str, Any]

    @classmethod
    def of(cls, source: AuditEvent) -> Self:
        return cls(
            id=source.pk,
            at=source.at,
            actor=Named(kind=source.actor_kind, id=source.actor_id, name=source.actor_name),
            verb=source.verb,
            object=Named(kind=source.resource, id=source.object_id, name=source.object_name),
            tenant=source.tenant_id,
            project=source.project_id,
            cluster=source.cluster_id,
            outcome=source.outcome,
            code=source.code,
            request_id=source.request_id,
            source_ip=source.source_ip,
            detail=source.detail,
        )


class AuditEventViewSet(Lists[AuditEvent], Gets[AuditEvent]):
    resource = "audit-events"
    rows = AuditEvent.objects.all()
    shown = AuditEventShown
    listing = Listing(
        (
            IdFilter("actor"),
            TextFilter("verb"),
            TextFilter("resource"),
            IdFilter("object"),
            IdFilter("tenant"),
            IdFilter("project"),
            IdFilter("cluster"),
            ChoiceFilter("outcome", choices=tuple(Outcome.values)),
            TextFilter("request_id"),
        ),
        ("-at",),
    )
