"""Project namespaces: what a project has in one cluster. Having one lets the project's people see and use a shared cluster.

A namespace is made and deleted in the member by its reconciler; the document says how far that is.
"""

import datetime
from uuid import UUID

from pydantic import Field

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References
from hub.api.documents import Body, ConditionShown, Id, RecordShown
from hub.api.listing import IdFilter, Listing
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.services import ensure_project_namespace, request_namespace_deletion
from hub.operations.models import Operation
from hub.tenancy.models import Project


class ProjectNamespaceShown(RecordShown):
    """``name`` is that of the namespace in the cluster."""

    project: UUID = Field(validation_alias="project_id")
    cluster: UUID = Field(validation_alias="cluster_id")
    tenant: UUID = Field(validation_alias="tenant_id")
    name: str
    phase: str
    conditions: list[ConditionShown]
    deletion_requested_at: datetime.datetime | None


class ProjectNamespaceBody(Body):
    """A project has one namespace in a cluster; asking again answers the one that is there."""

    project: Id
    cluster: Id


class ProjectNamespaceViewSet(
    Lists[ProjectNamespace], Gets[ProjectNamespace], Creates[ProjectNamespace], Deletes[ProjectNamespace]
):
    resource = "project-namespaces"
    rows = ProjectNamespace.objects.all()
    shown = ProjectNamespaceShown
    listing = Listing((IdFilter("project"), IdFilter("cluster")), ("-created_at", "name"))
    create_body = ProjectNamespaceBody
    references = {
        "project": Reference(Project.objects.select_related("tenant")),
        "cluster": Reference(Cluster.objects.all()),
    }
    delete_shows_row = True

    def perform_create(self, body: ProjectNamespaceBody, references: References) -> Made:
        return Made(ensure_project_namespace(references["project"], references["cluster"], actor=self.actor))

    def perform_delete(self, row: ProjectNamespace, expected_version: int | None) -> Operation | None:
        request_namespace_deletion(self.actor, row, expected_version=expected_version)
        return None
