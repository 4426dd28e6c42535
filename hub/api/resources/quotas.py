"""Quotas: how much a tenant may take of all clusters or one, its projects' shares, and the limits of their namespaces.

A tenant's budget is the hub's to give; its owner divides it among his projects.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from django.db.models import Model
from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from hub.access.permissions import WRITE_VERBS
from hub.allowances.models import Quota
from hub.allowances.quotas import (
    create_quota,
    delete_quota,
    exceeded_by_use,
    promised_beyond_budget,
    update_quota,
)
from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References, Updates
from hub.api.documents import CAN, Body, Id, RecordShown
from hub.api.listing import IdFilter, Listing
from hub.core.access import HUB_SCOPE, can
from hub.core.errors import HubError, define
from hub.federation.models import Cluster
from hub.operations.models import Operation
from hub.tenancy.models import Project, Tenant

define("quota.whose", 400, "Name the tenant whose budget it is, or the project whose share, not both")


def _amount(value: object) -> object:
    if value is not None and type(value) not in (int, str):
        raise ValueError("an amount is a whole number or a quantity")
    return value


_AMOUNT = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "null"}]}
LimitsGiven = Annotated[
    dict[str, Annotated[Any, PlainValidator(_amount), WithJsonSchema(_AMOUNT)]], Field(max_length=20)
]
"""A whole number in the resource's unit (cores, MiB, GiB, pieces), or a Kubernetes quantity such as ``64Gi``."""


class QuotaShown(RecordShown):
    """Without ``project`` it is the tenant's budget, without ``cluster`` it holds for all together. Amounts are in cores,
    MiB, GiB and pieces; a resource that is not named has no limit here.
    """

    tenant: UUID = Field(validation_alias="tenant_id")
    project: UUID | None = Field(validation_alias="project_id")
    cluster: UUID | None = Field(validation_alias="cluster_id")
    limits: dict[str, int]
    namespace_defaults: dict[str, int]


class QuotaSet(QuotaShown):
    """``exceeded`` says by how much more is taken already than the quota allows, ``promised`` by how much the shares of all
    projects together exceed the tenant's budget. Both may be; neither stops anything that runs.
    """

    exceeded: dict[str, int]
    promised: dict[str, int]


class QuotaChange(Body):
    """``namespace_defaults`` are the limits of each namespace of the project, in place of its share."""

    limits: LimitsGiven = Field(default_factory=dict)
    namespace_defaults: LimitsGiven = Field(default_factory=dict)


class QuotaBody(QuotaChange):
    """Either ``tenant`` or ``project``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tenant": "01a20f88-fbb9-7bcc-98bb-c7f56f737aec",
                    "limits": {"cpu": 64, "memory": "256Gi", "storage": "4Ti", "vms": 30},
                }
            ]
        }
    )

    tenant: Id | None = None
    project: Id | None = None
    cluster: Id | None = None


class QuotaViewSet(Lists[Quota], Gets[Quota], Creates[Quota], Updates[Quota], Deletes[Quota]):
    resource = "quotas"
    rows = Quota.objects.all()
    shown = QuotaShown
    created = QuotaSet
    listing = Listing((IdFilter("tenant"), IdFilter("project"), IdFilter("cluster")))
    create_body = QuotaBody
    update_body = QuotaChange
    references = {
        "project": Reference(Project.objects.select_related("tenant")),
        "tenant": Reference(Tenant.objects.all()),
        "cluster": Reference(Cluster.objects.all()),
    }

    def documents_of(self, rows: Sequence[Model]) -> list[dict[str, Any]]:
        """A budget is changed by the hub's people alone, so nobody else is shown that he could."""
        hub_verbs = {verb for verb in WRITE_VERBS if can(self.actor, verb, "quotas", HUB_SCOPE).allowed}
        return [
            document
            if document["project"] is not None
            else {**document, CAN: [verb for verb in document[CAN] if verb not in WRITE_VERBS or verb in hub_verbs]}
            for document in super().documents_of(rows)
        ]

    def perform_create(self, body: QuotaBody, references: References) -> Made:
        if (body.tenant is None) == (body.project is None):
            raise HubError("quota.whose", pointer="/tenant")
        project = references.get("project")
        if project is None:
            self.authorise("create", HUB_SCOPE)
        quota = create_quota(
            self.actor,
            project.tenant if project is not None else references["tenant"],
            project=project,
            cluster=references.get("cluster"),
            limits=given_limits(body.limits),
            namespace_defaults=given_limits(body.namespace_defaults),
        )
        return _made(quota)

    def perform_update(self, row: Quota, body: QuotaChange, expected_version: int | None) -> Made:
        self._refuse_others_budget(row)
        quota = update_quota(
            self.actor,
            row,
            limits=given_limits(body.limits),
            namespace_defaults=given_limits(body.namespace_defaults),
            expected_version=expected_version,
        )
        return _made(quota)

    def perform_delete(self, row: Quota, expected_version: int | None) -> Operation | None:
        self._refuse_others_budget(row)
        delete_quota(self.actor, row, expected_version=expected_version)
        return None

    def _refuse_others_budget(self, row: Quota) -> None:
        """A tenant's own people do not widen its budget, whatever their role on the tenant says."""
        if row.project_id is None:
            self.authorise(self.verb, HUB_SCOPE)


def given_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of ``LimitsGiven``: null takes a limit away, as in a merge patch."""
    return {resource: amount for resource, amount in limits.items() if amount is not None}


def _made(quota: Quota) -> Made:
    return Made(quota, extra={"exceeded": exceeded_by_use(quota), "promised": promised_beyond_budget(quota)})
