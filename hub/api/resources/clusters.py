"""Member clusters: imported with a kubeconfig that is used once, watched by their checks, reached through the hub's proxy."""

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, References, Updates, location, posted
from hub.api.documents import Body, ConditionShown, Labels, Name, RecordShown, Shown, read_body
from hub.api.kubeconfigs import issue_kubeconfig
from hub.api.listing import ChoiceFilter, IdFilter, LabelFilter, Listing, TextFilter
from hub.federation.models import Cluster, ClusterKind
from hub.federation.services import import_cluster, request_cluster_deletion, update_labels
from hub.identity.tokens import DEFAULT_LIFETIME
from hub.operations.models import Operation

from .tokens import Lifetime


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
    """Without tenant it is shared by the platform. ``operation`` is the latest on it."""

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


class KubeconfigBody(Body):
    expires_in_seconds: Lifetime = int(DEFAULT_LIFETIME.total_seconds())


class KubeconfigShown(Shown):
    """``kubeconfig`` holds a token of the caller's that reaches this cluster alone; it is shown in this one answer."""

    kubeconfig: str
    expires_at: datetime.datetime
    token_id: UUID


class ClusterViewSet(Lists[Cluster], Gets[Cluster], Creates[Cluster], Updates[Cluster], Deletes[Cluster]):
    resource = "clusters"
    verbs = {"kubeconfig": "proxy"}
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

    @posted(KubeconfigBody, KubeconfigShown)
    def kubeconfig(self, request: Request, pk: str) -> Response:
        """Issues a token of the caller's that reaches this cluster alone, and the kubeconfig that holds it."""
        body = read_body(KubeconfigBody, request.data)
        return self.once(request.data, lambda: self._issue(body))

    def _issue(self, body: KubeconfigBody) -> Response:
        token, text = issue_kubeconfig(self.actor, self.row, datetime.timedelta(seconds=body.expires_in_seconds))
        shown: dict[str, Any] = KubeconfigShown(
            kubeconfig=text, expires_at=token.expires_at, token_id=token.pk
        ).model_dump(mode="json")
        return Response(shown, status=201, headers={"Location": location("tokens", token.pk)})
