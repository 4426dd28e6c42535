"""The audit trail as a file: the events of a list's filters, all of them, newest first, as NDJSON or CSV.

Behind the same wall as the list (SEC-41). A reader holds one of few places, for a limited time, because each is a thread of
this process.
"""

import threading
import time
from collections.abc import Iterator
from typing import Self

from django.http import StreamingHttpResponse
from rest_framework.request import Request

from hub.api.listing import Listing, read_parameters
from hub.api.viewsets import ResourceViewSet
from hub.audit.exports import FORMATS
from hub.audit.models import AuditEvent
from hub.core.errors import HubError, define

from .audit_events import FILTERS, AuditEventShown

MOST_AT_ONCE = 2
LONGEST_SECONDS = 900.0
DEFAULT_FORMAT = "ndjson"

define("export.busy", 503, "Others are exporting now; try again")

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class AuditExportViewSet(ResourceViewSet[AuditEvent], wall=True):
    """``GET audit-events/export?format=ndjson|csv`` with the filters of ``audit-events``."""

    resource = "audit-events"
    title = "audit-exports"
    rows = AuditEvent.objects.all()
    shown = AuditEventShown
    listing = Listing(FILTERS, paged=False)
    exports = {name: media_type for name, (media_type, _) in FORMATS.items()}

    def list(self, request: Request) -> StreamingHttpResponse:
        values = read_parameters(request.GET, ("format", *self.listing.parameters))
        name = values.get("format", DEFAULT_FORMAT)
        if name not in FORMATS:
            raise HubError("query.invalid", parameter="format", known=sorted(FORMATS))
        events = self.listing.narrow(self.visible(), values)
        media_type, write = FORMATS[name]
        response = StreamingHttpResponse(_Place.taken(write(events)), content_type=media_type)
        response["Content-Disposition"] = f'attachment; filename="audit-events.{name}"'
        return response


class _Place:
    """An export under way, in one of the places. Given back when it is closed, whether or not anybody has read it."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._deadline = time.monotonic() + LONGEST_SECONDS
        self._held = True

    @classmethod
    def taken(cls, parts: Iterator[bytes]) -> Self:
        """Raises HubError ``export.busy``."""
        if not _places.acquire(blocking=False):
            raise HubError("export.busy", retry_after=5)
        return cls(parts)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Raises TimeoutError, which ends the answer before its end, so that the reader knows it is not whole."""
        if time.monotonic() > self._deadline:
            raise TimeoutError("the export took too long")
        return next(self._parts)

    def close(self) -> None:
        if self._held:
            self._held = False
            _places.release()
