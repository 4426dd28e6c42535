"""Rows of federation: member clusters, and the namespaces that projects have in them."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import models

from hub.core.models import Reconciled
from hub.core.sealed import SealedText
from hub.tenancy.models import Project, Tenant

from .querysets import ClusterQuerySet, ProjectNamespaceQuerySet


class ClusterKind(models.TextChoices):
    HARVESTER = "harvester"
    KUBERNETES = "kubernetes"


class Cluster(Reconciled):
    """One member cluster: what was asked for, how to reach it, and what the last probe saw.

    A cluster without tenant is shared by the platform. ``endpoints`` is an ordered list of ``{"url", "kind": "direct"}``;
    ``checks`` a list of ``{"name", "state", "message", "fix", "at"}``; ``capabilities`` maps served API groups to
    their versions, the preferred one first; ``groups`` are the groups that the member lets the hub impersonate by now.

    Secrets: ``pasted_kubeconfig`` (or, for a guest, ``client_certificate``: JSON ``{"cert", "key"}``) only until the
    hub's own account works; ``access_token`` lives an hour and does the work; ``renewal_token`` lives a month, may only
    ask for new tokens, and brings the hub back in after an outage of either side.
    """

    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=20, choices=ClusterKind)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="clusters")
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.PROTECT, related_name="clusters")
    labels = models.JSONField(default=dict, blank=True)
    endpoints = models.JSONField(default=list)
    ca_pem = models.TextField(default="", blank=True)
    tls_server_name = models.CharField(max_length=253, default="", blank=True)

    pasted_kubeconfig = SealedText(default="", blank=True)
    client_certificate = SealedText(default="", blank=True)
    access_token = SealedText(default="", blank=True)
    access_token_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    access_token_renew_at = models.DateTimeField(null=True, blank=True, editable=False)
    renewal_token = SealedText(default="", blank=True)
    renewal_token_renew_at = models.DateTimeField(null=True, blank=True, editable=False)

    uid = models.CharField(max_length=64, default="", blank=True, editable=False)
    server_version = models.CharField(max_length=64, default="", blank=True, editable=False)
    capabilities = models.JSONField(default=dict, blank=True, editable=False)
    node_count = models.IntegerField(null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    checks = models.JSONField(default=list, blank=True, editable=False)
    groups = models.JSONField(default=list, blank=True, editable=False)
    rights_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    operation_id = models.UUIDField(null=True, blank=True, editable=False)
    # The namespace that every member of the cluster may read (images, templates); chosen once, "" until then.
    shared_namespace = models.CharField(max_length=63, default="", blank=True, db_default="", editable=False)

    objects = ClusterQuerySet.as_manager()

    class Meta(Reconciled.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "project", "name"], name="cluster_name_in_owner", nulls_distinct=False
            ),
            # One cluster is imported once: two rows would write the same objects against each other.
            models.UniqueConstraint(fields=["uid"], name="cluster_uid_once", condition=~models.Q(uid="")),
        ]

    @property
    def servers(self) -> tuple[str, ...]:
        """The URLs of the endpoints, in the order to try them."""
        return tuple(endpoint["url"] for endpoint in self.endpoints)

    def set_servers(self, urls: Iterable[str]) -> None:
        """Replaces the endpoints, in memory."""
        self.endpoints = [direct_endpoint(url) for url in urls]

    @property
    def has_enrolment_secret(self) -> bool:
        """Whether there is still a credential that somebody else made."""
        return bool(self.pasted_kubeconfig) or bool(self.client_certificate)

    def __str__(self) -> str:
        return self.name


class ProjectNamespace(Reconciled):
    """A project's namespace in a member cluster. ``name`` is chosen and stored before it is made there.

    ``uid`` is the namespace's own, once it exists: deletion never touches another one of the same name. An ``adopted``
    one was there before: the hub binds its roles in it and takes only that back, never the namespace. ``is_default`` is the
    one that orders of the project go to. The node driver works there as an account of its own, ``machine_token``.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="namespaces")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="namespaces")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="namespaces")
    name = models.CharField(max_length=63)
    uid = models.CharField(max_length=64, default="", blank=True, editable=False)
    adopted = models.BooleanField(default=False, db_default=False)
    is_default = models.BooleanField(default=False, db_default=False)
    machine_token = SealedText(default="", blank=True, db_default="")
    machine_token_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    machine_token_renew_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ProjectNamespaceQuerySet.as_manager()

    class Meta(Reconciled.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["cluster", "name"], name="namespace_name_in_cluster"),
            models.UniqueConstraint(
                fields=["project", "cluster"],
                name="namespace_default_once",
                condition=models.Q(is_default=True, deletion_requested_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


def direct_endpoint(url: str) -> dict[str, Any]:
    """An endpoint that is reached by connecting to it."""
    return {"url": url, "kind": "direct"}
