"""Which roles are in use in a member cluster, for the reconcilers that keep its objects: a few queries each.

What is in use follows from bindings and not from who is logged in or fresh, so it changes seldom; a role whose only
binding has ended goes at the next visit.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.rights import PolicyRule, cluster_group, project_group, shared_group

from .built_in_roles import CLUSTER_ADMIN, CLUSTER_VIEWER
from .grants import BindingFact, Holdings, keys_in_cluster, keys_in_project
from .models import Role, RoleBinding
from .role_book import RoleBook

RulesByKey = dict[str, tuple[PolicyRule, ...]]

# In every cluster, whoever holds a role by now: the administrators of the hub are in no list of bindings here.
ALWAYS_IN_CLUSTERS = frozenset({CLUSTER_ADMIN, CLUSTER_VIEWER})


def project_roles_in_use(project_id: UUID, tenant_id: UUID) -> RulesByKey:
    """The roles that somebody holds on the project, by a binding on it or on its tenant, each with its own rules."""
    facts = RoleBinding.objects.of_tenants([tenant_id]).live(timezone.now()).facts()
    book = Role.objects.book_for(facts)
    return _rules(book, keys_in_project(Holdings(facts, book), project_id, tenant_id))


def cluster_roles_in_use(cluster: Cluster) -> RulesByKey:
    """The roles that hold in the whole cluster, each with its own rules."""
    facts = _facts_about(cluster, set())
    book = Role.objects.book_for(facts)
    return _rules(book, _keys_of_cluster(Holdings(facts, book), cluster))


def member_roles_in_use(cluster: Cluster) -> RulesByKey:
    """All roles that the cluster needs a ClusterRole for: of the whole cluster, and of the projects on it."""
    projects = _projects_on(cluster)
    facts = _facts_about(cluster, projects)
    book = Role.objects.book_for(facts)
    holdings = Holdings(facts, book)
    in_projects = (keys_in_project(holdings, *project) for project in projects)
    return _rules(book, _keys_of_cluster(holdings, cluster).union(*in_projects))


def groups_wanted(cluster: Cluster) -> list[str]:
    """The groups that the hub has to be able to send to this cluster, sorted."""
    projects = _projects_on(cluster)
    facts = _facts_about(cluster, projects)
    holdings = Holdings(facts, Role.objects.book_for(facts))
    groups = {cluster_group(cluster.pk, key) for key in _keys_of_cluster(holdings, cluster)}
    for project_id, tenant_id in projects:
        groups |= {project_group(project_id, key) for key in keys_in_project(holdings, project_id, tenant_id)}
    return sorted(groups | {shared_group(cluster.pk)})


def _projects_on(cluster: Cluster) -> set[tuple[UUID, UUID]]:
    return set(ProjectNamespace.objects.filter(cluster=cluster).kept().values_list("project_id", "tenant_id"))


def _facts_about(cluster: Cluster, projects: set[tuple[UUID, UUID]]) -> list[BindingFact]:
    """The bindings that can matter in the cluster: on it, on the hub, on its owner, and on who has a project there."""
    tenants = {tenant_id for _, tenant_id in projects} | ({cluster.tenant_id} if cluster.tenant_id else set())
    about = Q(scope_kind="hub") | Q(cluster=cluster) | Q(scope_kind__in=("tenant", "project"), tenant_id__in=tenants)
    return RoleBinding.objects.filter(about).live(timezone.now()).facts()


def _keys_of_cluster(holdings: Holdings, cluster: Cluster) -> frozenset[str]:
    return ALWAYS_IN_CLUSTERS | keys_in_cluster(holdings, cluster.pk, cluster.tenant_id, cluster.project_id)


def _rules(book: RoleBook, keys: Iterable[str]) -> RulesByKey:
    return {key: book.own_rules(key) for key in sorted(keys)}
