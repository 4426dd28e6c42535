"""/api/v1/clusters/{id}/adoption-plans, and the adoption by such a plan, over a simulated member."""

import pytest

from hub.core.models import HubIdentity
from hub.federation.models import Cluster, ProjectNamespace
from hub.tenancy.models import Project, Tenant
from kube.resources import NAMESPACES
from tests.hub.api.callers import Answer, Caller
from tests.hub.builders import make_project
from tests.workers.reconcilers.members import (  # noqa: F401  (fixtures, found by name)
    Member,
    hub,
    ready_cluster,
    simulated_member,
)


@pytest.fixture
def cluster(hub: HubIdentity, simulated_member: Member) -> Cluster:  # noqa: F811
    simulated_member.client.create(NAMESPACES, {"metadata": {"name": "brown", "labels": {"team": "b"}}})
    return ready_cluster(simulated_member)


@pytest.fixture
def project(tenant: Tenant) -> Project:
    return make_project(tenant)


def plan(caller: Caller, project: Project, cluster: Cluster, name: str = "brown") -> Answer:
    return caller.post(f"clusters/{cluster.pk}/adoption-plans", {"namespace": name, "project": str(project.pk)})


def adopt(caller: Caller, project: Project, cluster: Cluster, digest: str) -> Answer:
    body = {"project": str(project.pk), "cluster": str(cluster.pk), "adopt": "brown", "plan": digest}
    return caller.post("project-namespaces", body)


def test_a_plan_says_what_would_be_and_its_digest_does_it(admin: Caller, project: Project, cluster: Cluster) -> None:
    planned = plan(admin, project, cluster)
    assert planned.status == 201
    assert (planned.body["namespace"], planned.body["conflicts"]) == ("brown", [])
    assert {"name": "paddock.io/project-id", "before": None, "after": str(project.pk)} in planned.body["labels"]
    assert not ProjectNamespace.objects.exists()
    made = adopt(admin, project, cluster, planned.body["digest"])
    assert (made.status, made.body["name"], made.body["adopted"]) == (201, "brown", True)
    again = adopt(admin, project, cluster, planned.body["digest"])
    assert (again.status, again.faults) == (409, {"/plan": "adoption.plan_changed"})


def test_a_digest_of_another_plan_is_refused(admin: Caller, project: Project, cluster: Cluster) -> None:
    other = plan(admin, make_project(), cluster).body["digest"]
    assert adopt(admin, project, cluster, other).code == "adoption.plan_changed"
    assert not ProjectNamespace.objects.exists()


def test_faults_are_told_with_their_place(admin: Caller, project: Project, cluster: Cluster) -> None:
    assert plan(admin, project, cluster, "kube-system").faults == {"/namespace": "namespace.system"}
    assert plan(admin, project, cluster, "nowhere").faults == {"/namespace": "adoption.namespace_missing"}
    assert plan(admin, Project(tenant=project.tenant), cluster).faults == {"/project": "reference.not_found"}


def test_sec40_a_tenant_plans_nothing_on_a_shared_cluster(
    admin: Caller, owner: Caller, project: Project, cluster: Cluster
) -> None:
    assert plan(owner, project, cluster).code == "object.not_found"
    admin.post("project-namespaces", {"project": str(project.pk), "cluster": str(cluster.pk)})
    assert plan(owner, project, cluster).code == "request.denied"


def test_the_shared_namespace_is_shown(admin: Caller, cluster: Cluster) -> None:
    assert admin.get(f"clusters/{cluster.pk}").body["shared_namespace"] == "paddock-public"
