"""Projects: what a tenant divides its work into; each spans clusters as a set of namespaces."""

from uuid import UUID

from pydantic import Field

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, Updates
from hub.api.documents import Body, Id, Name, RecordShown, Text
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.operations.models import Operation
from hub.tenancy.models import Project, Tenant
from hub.tenancy.services import create_project, delete_project, rename_project


class ProjectShown(RecordShown):
    tenant: UUID = Field(validation_alias="tenant_id")
    name: str
    display_name: str


class ProjectChange(Body):
    """``name`` is a DNS label, unique in the tenant."""

    name: Name
    display_name: Text = ""


class ProjectBody(ProjectChange):
    """The tenant cannot change later."""

    tenant: Id


class ProjectViewSet(Lists[Project], Gets[Project], Creates[Project], Updates[Project], Deletes[Project]):
    resource = "projects"
    rows = Project.objects.all()
    shown = ProjectShown
    listing = Listing(
        (TextFilter("name"), TextFilter("display_name"), IdFilter("tenant")), ("-created_at", "name", "updated_at")
    )
    create_body = ProjectBody
    update_body = ProjectChange
    references = {"tenant": Reference(Tenant.objects.all())}

    def perform_create(self, body: ProjectBody, references: References) -> Made:
        return Made(create_project(self.actor, references["tenant"], body.name, display_name=body.display_name))

    def perform_update(self, row: Project, body: ProjectChange, expected_version: int | None) -> Made:
        changes = {"name": body.name, "display_name": body.display_name}
        return Made(rename_project(self.actor, row, **changes, expected_version=expected_version))

    def perform_delete(self, row: Project, expected_version: int | None) -> Operation | None:
        delete_project(self.actor, row, expected_version=expected_version)
        return None
