"""Project namespaces: what a project has in a cluster. Having one lets the project's people see and use a shared cluster.

A namespace is made and deleted in the member by its reconciler; the document says how far that is. One that was there
before is adopted by a plan, which ``clusters/{id}/adoption-plans`` makes.
"""

import datetime
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.services import project_roles_in_use
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, posted
from hub.api.documents import Body, ConditionShown, Id, Name, RecordShown, read_body
from hub.api.listing import IdFilter, Listing
from hub.core.access import visible_to
from hub.core.errors import HubError
from hub.federation.adoption import adopt_namespace
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.namespaces import (
    create_project_namespace,
    ensure_project_namespace,
    move_project_namespace,
    request_namespace_deletion,
)
from hub.operations.models import Operation
from hub.tenancy.models import Project


class ProjectNamespaceShown(RecordShown):
    """``name`` is that of the namespace in the cluster. Orders go to the ``default`` one; an ``adopted`` one was there
    before, and stays when this object is deleted.
    """

    project: UUID = Field(validation_alias="project_id")
    cluster: UUID = Field(validation_alias="cluster_id")
    tenant: UUID = Field(validation_alias="tenant_id")
    name: str
    is_default: bool
    adopted: bool
    phase: str
    conditions: list[ConditionShown]
    deletion_requested_at: datetime.datetime | None


class ProjectNamespaceBody(Body):
    """Without a name it is the project's default namespace in the cluster, made when there is none: asking again answers the
    one that is there. With ``name`` it is one more. With ``adopt`` it is the cluster's namespace of that name, taken over as
    the plan with this digest says.
    """

    project: Id
    cluster: Id
    name: Name | None = None
    adopt: Name | None = None
    plan: Name | None = None

    @model_validator(mode="after")
    def check_adoption(self) -> Self:
        if (self.adopt is None) != (self.plan is None) or (self.adopt is not None and self.name is not None):
            raise ValueError("adopt and plan come together, and without name")
        return self


class MoveBody(Body):
    project: Id


class ProjectNamespaceViewSet(
    Lists[ProjectNamespace], Gets[ProjectNamespace], Creates[ProjectNamespace], Deletes[ProjectNamespace]
):
    resource = "project-namespaces"
    verbs = {"move": "update"}
    rows = ProjectNamespace.objects.select_related("cluster")
    shown = ProjectNamespaceShown
    listing = Listing((IdFilter("project"), IdFilter("cluster"), IdFilter("tenant")), ("-created_at", "name"))
    create_body = ProjectNamespaceBody
    references = {
        "project": Reference(Project.objects.select_related("tenant")),
        "cluster": Reference(Cluster.objects.all()),
    }
    delete_shows_row = True

    def perform_create(self, body: ProjectNamespaceBody, references: References) -> Made:
        project, cluster = references["project"], references["cluster"]
        if body.adopt is not None and body.plan is not None:
            roles = project_roles_in_use(project.pk, project.tenant_id)
            return Made(adopt_namespace(self.actor, project, cluster, body.adopt, body.plan, roles))
        if body.name is not None:
            return Made(create_project_namespace(self.actor, project, cluster, body.name))
        return Made(ensure_project_namespace(project, cluster, actor=self.actor))

    def perform_delete(self, row: ProjectNamespace, expected_version: int | None) -> Operation | None:
        request_namespace_deletion(self.actor, row, expected_version=expected_version)
        return None

    @posted(MoveBody, ProjectNamespaceShown)
    def move(self, request: Request, pk: str) -> Response:
        """Gives the namespace to another project, with all that is in it; needs ``update`` here and ``create`` there."""
        body = read_body(MoveBody, request.data)
        return self.once(request.data, lambda: self._move(body))

    def _move(self, body: MoveBody) -> Response:
        project = visible_to(Project.objects.all(), self.actor, "get").filter(pk=body.project).first()
        if project is None:
            raise HubError("reference.not_found", pointer="/project", verb="get")
        moved = move_project_namespace(self.actor, self.row, project)
        return self.answer(Made(moved), 201)
