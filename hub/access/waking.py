"""Who has to look at a member cluster again because a role may have come into use there, or out of it."""

from collections.abc import Iterable

from django.db.models import Q

from hub.core.work import wake
from hub.federation.models import Cluster, ProjectNamespace

from .models import RoleBinding


def wake_members(bindings: Iterable[RoleBinding]) -> None:
    """Wakes the namespaces and clusters that these bindings are about, each once.

    A role on the whole hub may be new to any cluster; they are looked at twice a minute anyway, and not all woken at once.
    """
    places = {(one.scope_kind, one.tenant_id, one.project_id, one.cluster_id) for one in bindings}
    namespaces, clusters = Q(pk__in=()), Q(pk__in=())
    for kind, tenant_id, project_id, cluster_id in places:
        if kind == "cluster":
            clusters |= Q(pk=cluster_id)
        elif kind in ("tenant", "project"):
            where = Q(tenant_id=tenant_id) if kind == "tenant" else Q(project_id=project_id)
            namespaces |= where
            clusters |= where
    shared = ProjectNamespace.objects.filter(namespaces).values("cluster_id")
    for namespace in ProjectNamespace.objects.filter(namespaces).order_by("id"):
        wake(namespace)
    for cluster in Cluster.objects.filter(clusters | Q(pk__in=shared)).order_by("id"):
        wake(cluster)
