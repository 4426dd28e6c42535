"""Guest clusters, their node pools and machines: what is ordered and what was seen of it.

``services`` writes what is wanted; the reconcilers of ``workers`` write what was seen. Secrets of a guest (its certificate
authorities and join tokens) are sealed here and leave only inside a machine's cloud-init.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from hub.core.models import Reconciled, Record
from hub.core.sealed import SealedText
from hub.federation.models import Cluster, ProjectNamespace
from hub.tenancy.models import Credential, Project, Tenant

from .choices import DistributionName, Role
from .querysets import GuestClusterQuerySet, MachineQuerySet, NodePoolQuerySet


class GuestCluster(Reconciled):
    """A Kubernetes cluster that a tenant orders on an HCI cluster.

    ``network`` and ``options`` are what ``bootstrap.model`` takes, validated when ordered. ``operation_id`` is the latest
    operation on this cluster; operations outlive it, so it is no foreign key.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="guest_clusters")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="guest_clusters")
    name = models.CharField(max_length=40)
    infrastructure = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="hosted_guests")
    namespace = models.ForeignKey(ProjectNamespace, on_delete=models.PROTECT, related_name="guest_clusters")
    member = models.OneToOneField(Cluster, null=True, on_delete=models.SET_NULL, related_name="guest_cluster")
    driver = models.CharField(max_length=40)
    distribution = models.CharField(max_length=20, choices=DistributionName)
    kubernetes_version = models.CharField(max_length=40)
    network = models.JSONField(default=dict, blank=True)
    options = models.JSONField(default=dict, blank=True)
    pki = SealedText(default="", blank=True)
    server_token = SealedText(default="", blank=True)
    agent_token = SealedText(default="", blank=True)
    operation_id = models.UUIDField(null=True)

    objects = GuestClusterQuerySet.as_manager()

    class Meta(Reconciled.Meta):
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # Also while one is being deleted: its machines still carry the name on the HCI.
            models.UniqueConstraint(fields=["project", "name"], name="guestcluster_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def cluster_id(self) -> object:
        """The cluster it lives on, for the audit trail."""
        return self.infrastructure_id


class GuestCredential(Record):
    """That a guest names a credential in its options: it cannot be deleted meanwhile."""

    guest = models.ForeignKey(GuestCluster, on_delete=models.CASCADE, related_name="credentials")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="guest_credentials")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["guest", "credential"], name="guestcredential_once"),
        ]

    def __str__(self) -> str:
        return f"{self.credential_id} of {self.guest_id}"


class NodePool(Record):
    """Machines of one kind. ``settings`` are the driver's, ``static_addresses`` one entry for each machine (or none)."""

    guest = models.ForeignKey(GuestCluster, on_delete=models.CASCADE, related_name="pools")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=16)
    role = models.CharField(max_length=10, choices=Role)
    count = models.IntegerField()
    settings = models.JSONField(default=dict)
    labels = models.JSONField(default=dict, blank=True)
    taints = models.JSONField(default=list, blank=True)
    static_addresses = models.JSONField(default=list, blank=True)

    objects = NodePoolQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["guest", "name"], name="nodepool_name"),
            models.CheckConstraint(condition=Q(count__gte=0), name="nodepool_count"),
        ]

    def __str__(self) -> str:
        return self.name


class Machine(Reconciled):
    """One machine of a pool, from the choice of its name to the proof that nothing of it is left.

    ``name`` is the name of the VM and of the node, stored before anything is created. ``founder`` marks the server that
    carries the cluster's certificate authorities; there is one. ``attempt`` counts the tries of its bootstrap.
    """

    guest = models.ForeignKey(GuestCluster, on_delete=models.PROTECT, related_name="machines")
    pool = models.ForeignKey(NodePool, on_delete=models.PROTECT, related_name="machines")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    role = models.CharField(max_length=10, choices=Role)
    founder = models.BooleanField(default=False)
    attempt = models.IntegerField(default=1)
    static_address = models.JSONField(null=True, blank=True)
    external_id = models.CharField(max_length=100, default="", blank=True)
    address = models.CharField(max_length=45, default="", blank=True)
    joined_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    bootstrap_forgotten_at = models.DateTimeField(null=True, blank=True)

    objects = MachineQuerySet.as_manager()

    class Meta(Reconciled.Meta):
        ordering: ClassVar[list[str]] = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["guest", "name"], name="machine_name"),
            models.UniqueConstraint(fields=["guest"], condition=Q(founder=True), name="machine_founder"),
        ]

    def __str__(self) -> str:
        return self.name
