"""Tenants: customers, departments or teams that see nothing of each other."""

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, Updates
from hub.api.documents import Body, Name, RecordShown, Text
from hub.api.listing import Listing, TextFilter
from hub.operations.models import Operation
from hub.tenancy.models import Tenant
from hub.tenancy.services import create_tenant, delete_tenant, rename_tenant


class TenantShown(RecordShown):
    name: str
    display_name: str


class TenantBody(Body):
    """``name`` is a DNS label, unique in the hub."""

    name: Name
    display_name: Text = ""


class TenantViewSet(Lists[Tenant], Gets[Tenant], Creates[Tenant], Updates[Tenant], Deletes[Tenant]):
    resource = "tenants"
    rows = Tenant.objects.all()
    shown = TenantShown
    listing = Listing((TextFilter("name"),), ("-created_at", "name"))
    create_body = update_body = TenantBody

    def perform_create(self, body: TenantBody, references: References) -> Made:
        return Made(create_tenant(self.actor, body.name, display_name=body.display_name))

    def perform_update(self, row: Tenant, body: TenantBody, expected_version: int | None) -> Made:
        changes = {"name": body.name, "display_name": body.display_name}
        return Made(rename_tenant(self.actor, row, **changes, expected_version=expected_version))

    def perform_delete(self, row: Tenant, expected_version: int | None) -> Operation | None:
        delete_tenant(self.actor, row, expected_version=expected_version)
        return None
