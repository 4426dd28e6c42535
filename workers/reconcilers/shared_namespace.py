"""The namespace of a cluster that everybody who may reach it reads: images, templates, networks, config maps (TEN11).

Its name is chosen and stored before it is made. One of that name that somebody else has made is left alone, and another
name is taken; one that this hub made in an earlier registration is known again. What is in it is the platform team's.
"""

from hub.federation.member_access import keep_object
from hub.federation.member_objects import build_shared_binding, build_shared_namespace
from hub.federation.registration import apply_object, is_ours
from hub.federation.rights import OWNER_KIND_LABEL, SHARED_ROLE, HubMark
from kube.client import KubeClient
from kube.errors import AlreadyExists
from kube.names import random_suffix
from kube.resources import NAMESPACES, ROLE_BINDINGS, Object
from workers.failpoints import failpoint
from workers.reconcilers.cluster_visit import Visit

DEFAULT_NAME = "paddock-public"


def keep_shared_namespace(visit: Visit, client: KubeClient) -> None:
    """The namespace with its labels and the one binding of all members. Raises KubeError, LostClaim."""
    cluster = visit.cluster
    if not cluster.shared_namespace:
        taken = client.find(NAMESPACES, DEFAULT_NAME)
        free = taken is None or _is_shared(taken, visit.mark)
        visit.set(shared_namespace=DEFAULT_NAME if free else f"{DEFAULT_NAME}-{random_suffix()}")
        visit.write()
        failpoint("cluster.shared_namespace.after_commit")
    name = cluster.shared_namespace
    wanted = build_shared_namespace(visit.mark, name, cluster.pk)
    found = client.find(NAMESPACES, name) or _create(client, wanted)
    binding = client.find(ROLE_BINDINGS, SHARED_ROLE, name)
    known = _is_shared(found, visit.mark) or (binding is not None and is_ours(binding, visit.mark))
    if not known:  # somebody was quicker
        visit.set(shared_namespace="")
        return
    if "deletionTimestamp" in found["metadata"]:
        return  # made anew when it is gone
    labels = found["metadata"].get("labels") or {}
    if labels != labels | wanted["metadata"]["labels"]:
        apply_object(client, wanted)
    keep_object(client, build_shared_binding(visit.mark, name, cluster.pk), binding)


def _create(client: KubeClient, wanted: Object) -> Object:
    try:
        return client.create(NAMESPACES, wanted)
    except AlreadyExists:
        return client.get(NAMESPACES, wanted["metadata"]["name"])


def _is_shared(namespace: Object, mark: HubMark) -> bool:
    labels = namespace["metadata"].get("labels") or {}
    return is_ours(namespace, mark) and labels.get(OWNER_KIND_LABEL) == "cluster"
