"""B8, second half: how many objects members hold for 500 users, 50 projects and 20 clusters.

Every project has a namespace in every cluster, every user a role in five projects, and three roles are in use. What one
simulated member holds after its reconcilers have run is counted, with 500 users and with 15, and held against the formula of
the written list; the other nineteen are alike. The peer is the formula that Rancher publishes for its role bindings.
"""

from __future__ import annotations

from collections import Counter

import pytest

from hub.access.models import RoleBinding
from hub.federation.models import Cluster, ProjectNamespace
from hub.identity.models import User
from hub.tenancy.models import Project
from kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    RESOURCE_QUOTAS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
)
from tests.benchmarks.measure import report, table
from tests.hub.builders import make_namespace, make_project, make_tenant, unique
from tests.workers.reconcilers.members import Member, ready_cluster, status_of, visit, visit_until

pytestmark = pytest.mark.usefixtures("hub")
USERS, PROJECTS, CLUSTERS = 500, 50, 20
FEW_USERS = 15
PROJECTS_OF_USER = 5
ROLES_IN_USE = ("project-owner", "project-member", "project-viewer")
COUNTED = (NAMESPACES, ROLE_BINDINGS, ROLES, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, SERVICE_ACCOUNTS, RESOURCE_QUOTAS)
BINDINGS = ("rolebindings", "clusterrolebindings")


def give_roles(projects: list[Project], users: int) -> None:
    """Each user has one role in a few projects, and each role is in use in each project, however few users there are."""
    rows = User.objects.bulk_create([User(username=unique("user")) for _ in range(users)])
    in_use = [(role, project) for role in ROLES_IN_USE for project in projects]
    chosen = [in_use[number % len(in_use)] for number in range(max(users * PROJECTS_OF_USER, len(in_use)))]
    RoleBinding.objects.bulk_create(
        RoleBinding(
            role=role,
            user=rows[number * users // len(chosen)],
            scope_kind="project",
            tenant_id=project.tenant_id,
            project=project,
        )
        for number, (role, project) in enumerate(chosen)
    )


def counted(member: Member, projects: list[Project], cluster: Cluster) -> Counter[str]:
    """What the hub has written there, by kind, after every row was brought to what is wanted."""
    visit(cluster)  # the roles in use come first, their bindings in the namespaces then
    for namespace in ProjectNamespace.objects.filter(cluster=cluster, project__in=projects):
        visit(namespace)
        visit_until(namespace, lambda row=namespace: status_of(row, "Ready")[0] == "True")  # type: ignore[misc]
    return Counter(
        {kind.plural: len(list(member.client.list(kind, label_selector="paddock.io/hub-id"))) for kind in COUNTED}
    )


def rancher_bindings(users_of_project_term: int) -> int:
    """``32C + U + 2UaC + 8P + 5Pa`` of Rancher's page on tuning at scale.

    Its project lives in one cluster: to be in all of them, there have to be as many of each. Here every user is in every
    cluster.
    """
    projects = PROJECTS * CLUSTERS
    return 32 * CLUSTERS + USERS + 2 * USERS * CLUSTERS + 8 * projects + 5 * users_of_project_term


def test_b8_objects_downstream(simulated_member: Member) -> None:
    cluster, tenant = ready_cluster(simulated_member), make_tenant()
    bare = counted(simulated_member, [], cluster)
    projects = [make_project(tenant) for _ in range(PROJECTS)]
    for project in projects:
        make_namespace(project, cluster)
    give_roles(projects, FEW_USERS)
    few = counted(simulated_member, projects, cluster)
    RoleBinding.objects.all().delete()
    give_roles(projects, USERS)
    many = counted(simulated_member, projects, cluster)
    assert many == few, "the number of users must not count"
    rows = [
        (kind, bare[kind], many[kind], (many[kind] - bare[kind]) / PROJECTS, many[kind] * CLUSTERS) for kind in many
    ]
    total = sum(many.values())
    rows.append(("all", sum(bare.values()), total, (total - sum(bare.values())) / PROJECTS, total * CLUSTERS))
    ours = sum(many[kind] for kind in BINDINGS) * CLUSTERS
    members_of_project = USERS * PROJECTS_OF_USER // PROJECTS
    literal = rancher_bindings(members_of_project)
    for_each_project = rancher_bindings(members_of_project * PROJECTS * CLUSTERS)
    report(
        "downstream",
        table(["kind", "a member without projects", f"with {PROJECTS}", "for each", f"in {CLUSTERS} members"], rows)
        + f"\n\nBindings: {ours:,} here. By Rancher's formula {literal:,} when its last term is read as it is printed "
        f"({literal / ours:.1f} times as many), {for_each_project:,} when it counts for each project "
        f"({for_each_project / ours:.0f} times).",
    )
    assert for_each_project >= 10 * ours
