"""The audit trail: who did, or was refused, what, when, and why; ``object`` gives the history of one object.

For objects inside a cluster, which have no id here, ``cluster`` with ``resource``, ``namespace`` and ``object_name`` does.
"""

import datetime
from typing import Any, Self
from uuid import UUID

from hub.api.actions import Gets, Lists
from hub.api.documents import Named, Shown
from hub.api.listing import ChoiceFilter, IdFilter, Listing, TextFilter, TimeFilter
from hub.audit.documents import event_document
from hub.audit.models import AuditEvent, Outcome

FILTERS = (
    IdFilter("actor"),
    TextFilter("actor_kind"),
    TextFilter("actor_name"),
    IdFilter("token_id", "token_id"),
    IdFilter("session"),
    TextFilter("verb"),
    TextFilter("resource"),
    IdFilter("object"),
    TextFilter("object_name"),
    TextFilter("namespace"),
    IdFilter("tenant"),
    IdFilter("project"),
    IdFilter("cluster"),
    IdFilter("operation"),
    ChoiceFilter("outcome", choices=tuple(Outcome.values)),
    TextFilter("code"),
    TextFilter("request_id"),
    TextFilter("source_ip"),
    TimeFilter("from", "at__gte"),
    TimeFilter("to", "at__lt"),
)


class AuditEventShown(Shown):
    """``object.kind`` is the resource that the verb was used on; ``changes`` has ``[before, after]`` by field, secrets
    masked; ``operation`` is the work that the event belongs to. A cluster's objects have a namespace and no id.
    """

    id: UUID
    at: datetime.datetime
    actor: Named
    actor_groups: list[str]
    token: UUID | None
    session: UUID | None
    verb: str
    object: Named
    namespace: str
    tenant: UUID | None
    project: UUID | None
    cluster: UUID | None
    operation: UUID | None
    outcome: str
    code: str
    request_id: str
    source_ip: str
    changes: dict[str, list[Any]]
    detail: dict[str, Any]

    @classmethod
    def of(cls, source: AuditEvent) -> Self:
        return cls.model_validate(event_document(source))


class AuditEventViewSet(Lists[AuditEvent], Gets[AuditEvent]):
    resource = "audit-events"
    rows = AuditEvent.objects.all()
    shown = AuditEventShown
    listing = Listing(FILTERS, ("-at",))
