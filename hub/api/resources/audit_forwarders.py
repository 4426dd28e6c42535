"""Audit forwarders: receivers outside that get a copy of every audit event, by signed webhook or syslog."""

import datetime
from typing import Annotated, Self
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone
from pydantic import Field

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, Updates
from hub.api.documents import Body, Name, RecordShown
from hub.api.listing import Listing, TextFilter
from hub.audit.forwarders import create_forwarder, delete_forwarder, update_forwarder
from hub.audit.models import NO_EVENT, AuditEvent, AuditForwarder
from hub.operations.models import Operation

Url = Annotated[str, Field(min_length=1, max_length=500)]
Pem = Annotated[str, Field(max_length=64 * 1024)]
Secret = Annotated[str, Field(max_length=200)]

_LATER = Q(transaction__gt=OuterRef("transaction")) | Q(
    transaction=OuterRef("transaction"), id__gt=OuterRef("event_id")
)
_PENDING = AuditEvent.objects.filter(_LATER, transaction__gte=OuterRef("transaction")).order_by("transaction", "id")


class AuditForwarderShown(RecordShown):
    """``last_event`` is the last one delivered; ``pending_since`` is the time of the next one, and ``lag_seconds`` its age:
    null and 0 when all is delivered. ``last_error`` is "" after a delivery.
    """

    name: str
    url: str
    ca_pem: str
    is_enabled: bool
    signs: bool
    last_event: UUID | None
    last_event_at: datetime.datetime | None
    last_delivery_at: datetime.datetime | None
    pending_since: datetime.datetime | None
    lag_seconds: int
    failures: int
    last_error: str
    last_error_at: datetime.datetime | None
    next_attempt_at: datetime.datetime | None

    @classmethod
    def of(cls, source: AuditForwarder) -> Self:
        pending: datetime.datetime | None = getattr(source, "pending_since", None)
        lag = (timezone.now() - pending).total_seconds() if pending else 0.0
        names = set(cls.model_fields) - {"signs", "last_event", "pending_since", "lag_seconds"}
        return cls(
            **{name: getattr(source, name) for name in names},
            signs=bool(source.secret),
            last_event=source.event_id if source.event_id != NO_EVENT else None,
            pending_since=pending,
            lag_seconds=max(0, int(lag)),
        )


class CreatedForwarderShown(AuditForwarderShown):
    """``signing_secret`` is shown in this one answer, when the hub has made it."""

    signing_secret: str | None = None


class AuditForwarderChange(Body):
    """``signing_secret`` (``whsec_`` and base64) stays as it is when it is left out or null; it has to be given with another
    receiver's address.
    """

    url: Url
    ca_pem: Pem = ""
    is_enabled: bool = True
    signing_secret: Secret | None = Field(default=None, repr=False)


class AuditForwarderBody(AuditForwarderChange):
    """``url`` begins with ``https://`` (a webhook), ``syslog+tls://``, ``syslog+tcp://`` or ``syslog+udp://``. Without a
    secret a webhook gets a new one. ``ca_pem``: the only authorities that the receiver is trusted by.
    """

    name: Name


class AuditForwarderViewSet(
    Lists[AuditForwarder],
    Gets[AuditForwarder],
    Creates[AuditForwarder],
    Updates[AuditForwarder],
    Deletes[AuditForwarder],
):
    resource = "audit-forwarders"
    rows = AuditForwarder.objects.annotate(pending_since=Subquery(_PENDING.values("at")[:1]))
    shown = AuditForwarderShown
    created = CreatedForwarderShown
    listing = Listing((TextFilter("name"),), ("-created_at", "name"))
    create_body = AuditForwarderBody
    update_body = AuditForwarderChange

    def perform_create(self, body: AuditForwarderBody, references: References) -> Made:
        forwarder, secret = create_forwarder(
            self.actor,
            body.name,
            body.url,
            ca_pem=body.ca_pem,
            secret=body.signing_secret,
            is_enabled=body.is_enabled,
        )
        return Made(forwarder, extra={"signing_secret": secret} if secret else {})

    def perform_update(self, row: AuditForwarder, body: AuditForwarderChange, expected_version: int | None) -> Made:
        new = {
            name: getattr(body, name)
            for name in ("url", "ca_pem", "is_enabled")
            if getattr(body, name) != getattr(row, name)
        }
        update_forwarder(self.actor, row, secret=body.signing_secret, expected_version=expected_version, **new)
        return Made(row)

    def perform_delete(self, row: AuditForwarder, expected_version: int | None) -> Operation | None:
        delete_forwarder(self.actor, row, expected_version=expected_version)
        return None
