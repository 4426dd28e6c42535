"""The log of one machine. Lines outlive it, so its reader is found by the machine while there is one, then by the lines'
tenant: whoever may read all machines of that tenant.
"""

import datetime
from typing import Literal
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.documents import Shown
from hub.api.listing import Listing, envelope
from hub.api.viewsets import ApiViewSet, find_id
from hub.core.access import AccessScope, can, visible_to
from hub.core.errors import HubError
from hub.operations.models import LogLine
from hub.provisioning.models import Machine


class LogLineShown(Shown):
    at: datetime.datetime
    attempt: int
    step: str
    level: Literal["info", "warning", "error"]
    text: str


class MachineLogViewSet(ApiViewSet, wall=True):
    """``GET machines/{id}/log``, the oldest line first."""

    resource = "machines"
    title = "machine-logs"
    shown = LogLineShown
    listing = Listing(sorts=("at",))
    lines: QuerySet[LogLine]

    def authorise_action(self) -> None:
        """Raises HubError ``object.not_found`` alike for missing and foreign machines (SEC-40)."""
        id = find_id(self.kwargs["pk"])
        if id is None or not (self._sees_machine(id) or self._sees_tenant_of(id)):
            raise HubError("object.not_found", resource=self.resource)
        self.lines = LogLine.objects.filter(machine_id=id)

    def list(self, request: Request, pk: str) -> Response:
        page = self.listing.page(self.lines, request.GET)
        return Response(envelope([LogLineShown.of(line).model_dump(mode="json") for line in page.rows], page.next))

    def _sees_machine(self, id: UUID) -> bool:
        return visible_to(Machine.objects.filter(pk=id), self.actor, "get").exists()

    def _sees_tenant_of(self, id: UUID) -> bool:
        line = LogLine.objects.filter(machine_id=id).first()
        if line is None or line.tenant_id is None or Machine.objects.filter(pk=id).exists():
            return False
        return can(self.actor, "get", "machines", AccessScope(tenant_id=line.tenant_id)).allowed
