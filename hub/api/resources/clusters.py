"""Member clusters: imported with a kubeconfig that is used once, watched by their checks, reached through the hub's proxy."""

import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.access.services import project_roles_in_use
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, Updates, location, posted
from hub.api.documents import Body, ConditionShown, Id, Labels, Name, OperationShown, RecordShown, Shown, read_body
from hub.api.listing import ChoiceFilter, IdFilter, LabelFilter, Listing, TextFilter
from hub.core.access import visible_to
from hub.core.errors import HubError
from hub.federation.adoption import plan_adoption
from hub.federation.models import Cluster, ClusterKind
from hub.federation.services import import_cluster, reimport_cluster, request_cluster_deletion, update_labels
from hub.operations.models import Operation
from hub.tenancy.models import Project

from .kubeconfigs import IssuedKubeconfigShown, KubeconfigBody, answer_kubeconfig


class EndpointShown(Shown):
    url: str
    kind: str


class CheckShown(Shown):
    """One step of the handshake, with what to do when it failed."""

    name: str
    state: Literal["pending", "passed", "warning", "failed"]
    message: str
    fix: str
    at: datetime.datetime


class ClusterShown(RecordShown):
    """Without tenant it is shared by the platform. ``operation`` is the latest on it. Everybody who may reach the cluster
    reads its ``shared_namespace``; "" where there is none.
    """

    name: str
    kind: str
    tenant: UUID | None = Field(validation_alias="tenant_id")
    project: UUID | None = Field(validation_alias="project_id")
    labels: dict[str, str]
    endpoints: list[EndpointShown]
    server_version: str
    node_count: int | None
    phase: str
    conditions: list[ConditionShown]
    checks: list[CheckShown]
    capabilities: dict[str, list[str]]
    shared_namespace: str
    last_seen_at: datetime.datetime | None
    credential_expires_at: datetime.datetime | None = Field(validation_alias="access_token_expires_at")
    deletion_requested_at: datetime.datetime | None
    operation: UUID | None = Field(validation_alias="operation_id")


class ClusterChange(Body):
    labels: Labels = Field(default_factory=dict)


class ClusterBody(ClusterChange):
    """``kubeconfig`` is an administrator's; it makes the hub's own account there and is then dropped."""

    name: Name
    kind: Literal["harvester", "kubernetes"]
    kubeconfig: Annotated[str, Field(min_length=1, max_length=512 * 1024, repr=False)]


class ImportBody(Body):
    """An administrator's kubeconfig of the same cluster; it is used once, as at the first import."""

    kubeconfig: Annotated[str, Field(min_length=1, max_length=512 * 1024, repr=False)]


class AdoptionPlanBody(Body):
    """The cluster's namespace ``namespace`` as one of ``project``."""

    namespace: Name
    project: Id


class PlannedBindingShown(Shown):
    """One role of the project that will hold in the namespace, for the group that the hub sends for its holders."""

    role: str
    group: str
    cluster_role: str


class PlannedLabelShown(Shown):
    """One label that will be written."""

    name: str
    before: str | None
    after: str


class ConflictShown(Shown):
    """What stands in the way."""

    problem: str
    fix: str


class AdoptionPlanShown(Shown):
    """What is there by kind, what would be bound and labelled, and what stays another manager's. Nothing is done yet:
    ``POST /project-namespaces`` with ``adopt`` and this ``digest`` does it, when there is no conflict and it is still so.
    """

    namespace: str
    uid: str
    contents: dict[str, int]
    bindings: list[PlannedBindingShown]
    labels: list[PlannedLabelShown]
    untouched: list[str]
    conflicts: list[ConflictShown]
    digest: str


class ClusterViewSet(Lists[Cluster], Gets[Cluster], Creates[Cluster], Updates[Cluster], Deletes[Cluster]):
    resource = "clusters"
    verbs = {"kubeconfig": "proxy", "adoption_plans": "update", "imports": "update"}
    rows = Cluster.objects.all()
    shown = ClusterShown
    listing = Listing(
        (
            TextFilter("name"),
            ChoiceFilter("kind", choices=tuple(ClusterKind.values)),
            IdFilter("tenant"),
            LabelFilter("label"),
        ),
        ("-created_at", "name"),
    )
    create_body = ClusterBody
    update_body = ClusterChange
    starts_work = delete_starts_work = True

    def perform_create(self, body: ClusterBody, references: References) -> Made:
        cluster = import_cluster(self.actor, body.name, body.kind, body.kubeconfig, body.labels)
        return Made(cluster, Operation.objects.get(target_id=cluster.pk))

    def perform_update(self, row: Cluster, body: ClusterChange, expected_version: int | None) -> Made:
        return Made(update_labels(self.actor, row, body.labels, expected_version=expected_version))

    def perform_delete(self, row: Cluster, expected_version: int | None) -> Operation | None:
        return request_cluster_deletion(self.actor, row, expected_version=expected_version)

    @posted(ImportBody, OperationShown)
    def imports(self, request: Request, pk: str) -> Response:
        """Registers the hub anew: when its credentials there have ended, or rights are missing that a newer hub needs."""
        body = read_body(ImportBody, request.data)
        return self.once(request.data, lambda: self._import_again(body))

    def _import_again(self, body: ImportBody) -> Response:
        operation = reimport_cluster(self.actor, self.row, body.kubeconfig)
        shown = OperationShown.of(operation).model_dump(mode="json")
        return Response(shown, status=201, headers={"Location": location("operations", operation.pk)})

    @posted(AdoptionPlanBody, AdoptionPlanShown, path="adoption-plans")
    def adoption_plans(self, request: Request, pk: str) -> Response:
        """Looks what taking over a namespace of the cluster into a project would mean."""
        body = read_body(AdoptionPlanBody, request.data)
        rows = Project.objects.select_related("tenant")
        project = visible_to(rows, self.actor, "get").filter(pk=body.project).first()
        if project is None:
            raise HubError("reference.not_found", pointer="/project", verb="get")
        roles = project_roles_in_use(project.pk, project.tenant_id)
        plan = plan_adoption(project, self.row, body.namespace, roles)
        return Response(AdoptionPlanShown.of(plan).model_dump(mode="json"), status=201)

    @posted(KubeconfigBody, IssuedKubeconfigShown)
    def kubeconfig(self, request: Request, pk: str) -> Response:
        """Issues a token of the caller's that reaches this cluster alone, and the kubeconfig that holds it."""
        body = read_body(KubeconfigBody, request.data)
        return self.once(request.data, lambda: answer_kubeconfig(self.actor, [self.row], body.lifetime))
