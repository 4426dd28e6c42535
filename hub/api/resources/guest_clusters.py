"""Guest clusters: Kubernetes clusters that a tenant orders on an infrastructure cluster."""

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Prefetch
from pydantic import AliasPath, ConfigDict, Field

from hub.api.actions import Creates, Deletes, Gets, Lists, Made, Reference, References
from hub.api.documents import Body, ConditionShown, Id, Labels, LongText, Name, RecordShown, Related, Shown, Text
from hub.api.listing import IdFilter, Listing, TextFilter
from hub.federation.models import Cluster
from hub.operations.models import Operation
from hub.provisioning.models import GuestCluster, NodePool
from hub.provisioning.orders import GuestClusterOrder, PoolOrder
from hub.provisioning.services import delete_guest_cluster, order_guest_cluster
from hub.tenancy.models import Project

Texts = Annotated[list[Text], Field(max_length=100)]


class PoolSummaryShown(Shown):
    id: UUID
    name: str
    role: Literal["server", "worker"]
    count: int
    ready: int


class GuestClusterShown(RecordShown):
    """``namespace`` is its project's on the infrastructure; ``member_cluster`` is what its API is reached by, once it is up.
    ``operation`` is the latest on it.
    """

    name: str
    project: UUID = Field(validation_alias="project_id")
    tenant: UUID = Field(validation_alias="tenant_id")
    infrastructure: UUID = Field(validation_alias="infrastructure_id")
    namespace: str = Field(validation_alias=AliasPath("namespace", "name"))
    driver: str
    distribution: str
    kubernetes_version: str
    network: dict[str, Any]
    phase: str
    conditions: list[ConditionShown]
    member_cluster: UUID | None = Field(validation_alias="member_id")
    pools: Annotated[list[PoolSummaryShown], Related]
    deletion_requested_at: datetime.datetime | None
    operation: UUID | None = Field(validation_alias="operation_id")


class NetworkBody(Body):
    """Pod and service networks; two of each for dual stack. None of it can change later."""

    cluster_cidrs: Texts | None = None
    service_cidrs: Texts | None = None
    cluster_dns: Text | None = None
    cluster_domain: Text | None = None
    cni: Texts | None = None


class MirrorBody(Body):
    """Where images of one registry are really pulled from, in order; ``rewrites`` maps regular expressions on paths."""

    endpoints: Texts
    rewrites: Annotated[dict[Text, Text], Field(max_length=64)] | None = None


class RegistryAccessBody(Body):
    """``credential`` is one of the project's, of kind ``basic`` or ``token``; a secret itself has no place here."""

    credential: Id | None = None
    ca_pem: Annotated[str, Field(max_length=65536)] | None = None
    insecure_skip_verify: bool | None = None


class RegistriesBody(Body):
    """Mirrors by registry, and access by host."""

    mirrors: Annotated[dict[Text, MirrorBody], Field(max_length=64)] | None = None
    access: Annotated[dict[Text, RegistryAccessBody], Field(max_length=64)] | None = None


class OptionsBody(Body):
    """``distribution_options`` and ``component_args`` are the distribution's own words."""

    tls_sans: Texts | None = None
    ssh_authorized_keys: Annotated[list[LongText], Field(max_length=100)] | None = None
    distribution_options: dict[str, Any] | None = None
    component_args: dict[str, Annotated[list[LongText], Field(max_length=100)]] | None = None
    registries: RegistriesBody | None = None


class TaintBody(Body):
    key: Text
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    value: Text = ""


class StaticAddressBody(Body):
    """For one machine: its addresses with prefix, the node's own first."""

    addresses: Annotated[list[Text], Field(min_length=1, max_length=8)]
    gateways: Annotated[list[Text], Field(max_length=2)] = []
    nameservers: Annotated[list[Text], Field(max_length=8)] = []
    search_domains: Annotated[list[Text], Field(max_length=8)] = []
    mac_address: Text | None = None
    interface: Text = "enp1s0"


class PoolBody(Body):
    """``settings`` are the driver's: see node-drivers."""

    name: Name
    role: Literal["server", "worker"]
    count: int
    settings: dict[str, Any]
    labels: Labels = Field(default_factory=dict)
    taints: Annotated[list[TaintBody], Field(max_length=64)] = []
    static_addresses: Annotated[list[StaticAddressBody], Field(max_length=500)] = []


_MACHINE = {
    "image": "default/ubuntu-24.04",
    "network": "default/vlan1",
    "cpu_count": 4,
    "memory_gib": 8,
    "disk_gib": 60,
}
EXAMPLE: dict[str, Any] = {
    "name": "web",
    "project": "01a20f88-fbb9-7bcc-98bb-c7f56f737aec",
    "infrastructure": "01a20f88-fc68-7702-a43d-1de58f318b35",
    "distribution": "k3s",
    "pools": [
        {"name": "servers", "role": "server", "count": 3, "settings": _MACHINE},
        {"name": "workers", "role": "worker", "count": 2, "settings": _MACHINE},
    ],
}


class GuestClusterBody(Body):
    """Without ``kubernetes_version`` it is the newest stable release (see releases)."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Name
    project: Id
    infrastructure: Id
    distribution: Literal["k3s", "rke2"]
    kubernetes_version: Text | None = None
    driver: Text = "harvester"
    network: NetworkBody = NetworkBody()
    options: OptionsBody = OptionsBody()
    pools: Annotated[list[PoolBody], Field(min_length=1, max_length=20)]


class GuestClusterViewSet(Lists[GuestCluster], Gets[GuestCluster], Creates[GuestCluster], Deletes[GuestCluster]):
    resource = "guest-clusters"
    rows = GuestCluster.objects.select_related("namespace").prefetch_related(
        Prefetch("pools", NodePool.objects.with_ready_count())
    )
    shown = GuestClusterShown
    listing = Listing(
        (TextFilter("name"), IdFilter("project"), IdFilter("tenant"), IdFilter("infrastructure")),
        ("-created_at", "name"),
    )
    create_body = GuestClusterBody
    references = {
        "project": Reference(Project.objects.select_related("tenant")),
        "infrastructure": Reference(Cluster.objects.all(), verb="use"),
    }
    starts_work = delete_starts_work = True

    def perform_create(self, body: GuestClusterBody, references: References) -> Made:
        guest, operation = order_guest_cluster(self.actor, _order(body, references))
        return Made(guest, operation)

    def perform_delete(self, row: GuestCluster, expected_version: int | None) -> Operation | None:
        return delete_guest_cluster(self.actor, row, expected_version=expected_version)


def _order(body: GuestClusterBody, references: References) -> GuestClusterOrder:
    return GuestClusterOrder(
        name=body.name,
        project=references["project"],
        infrastructure=references["infrastructure"],
        distribution=body.distribution,
        pools=[PoolOrder(**pool.model_dump()) for pool in body.pools],
        kubernetes_version=body.kubernetes_version,
        driver=body.driver,
        network=body.network.model_dump(exclude_none=True),
        options=body.options.model_dump(mode="json", exclude_none=True),
    )
