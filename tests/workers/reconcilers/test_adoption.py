"""Namespaces that were there before the hub: planned, adopted, moved and let go, on both kinds of server."""

import pytest

from hub.access.services import project_roles_in_use
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.errors import HubError
from hub.core.models import HubIdentity
from hub.federation import rights
from hub.federation.adoption import AdoptionPlan, adopt_namespace, plan_adoption
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.namespaces import (
    create_project_namespace,
    ensure_project_namespace,
    move_project_namespace,
    request_namespace_deletion,
)
from hub.federation.rights import project_group
from hub.tenancy.models import Project
from kube.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    RESOURCE_QUOTAS,
    ROLE_BINDINGS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from tests.hub.builders import make_actor, make_project, unique
from tests.workers.reconcilers.members import Member, is_gone, ready_cluster, status_of, visit, visit_until

pytestmark = pytest.mark.usefixtures("hub")

RANCHER = "field.cattle.io/projectId"


@pytest.fixture
def brownfield(member: Member) -> str:
    """A namespace of somebody's, with things in it, that another manager has marked."""
    name = unique("brown")
    member.made.append(name)
    metadata = {"name": name, "labels": {"team": "b", RANCHER: "p-1"}, "annotations": {RANCHER: "c-1:p-1"}}
    member.client.create(NAMESPACES, {"metadata": metadata})
    member.client.create(SERVICES, {"metadata": {"name": "web", "namespace": name}, "spec": {"ports": [{"port": 80}]}})
    hard = {"spec": {"hard": {"pods": "9"}}}
    member.client.create(RESOURCE_QUOTAS, {"metadata": {"name": "theirs", "namespace": name}} | hard)
    return name


def plan(project: Project, cluster: Cluster, name: str) -> AdoptionPlan:
    return plan_adoption(project, cluster, name, project_roles_in_use(project.pk, project.tenant_id))


def adopt(project: Project, cluster: Cluster, name: str, digest: str | None = None) -> ProjectNamespace:
    keys = project_roles_in_use(project.pk, project.tenant_id)
    return adopt_namespace(SYSTEM, project, cluster, name, digest or plan(project, cluster, name).digest, keys)


def refusal(attempt: object) -> str:
    with pytest.raises(HubError) as refused:
        attempt()  # type: ignore[operator]
    return refused.value.code


class TestPlan:
    def test_it_shows_what_is_there_and_what_would_change_and_writes_nothing(
        self, member: Member, brownfield: str
    ) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_actor("project-viewer", project)
        before = member.client.get(NAMESPACES, brownfield)
        found = plan(project, cluster, brownfield)
        assert found.contents["Service"] == 1
        assert found.contents["ResourceQuota"] == 1
        assert found.contents["PersistentVolumeClaim"] == len(member.client.list(PERSISTENT_VOLUME_CLAIMS, brownfield))
        (bound,) = found.bindings
        assert (bound.role, bound.cluster_role) == ("project-viewer", "paddock-role-project-viewer")
        assert bound.group == project_group(project.pk, "project-viewer")
        assert {label.name: (label.before, label.after) for label in found.labels}["paddock.io/project-id"] == (
            None,
            str(project.pk),
        )
        assert RANCHER in found.untouched
        assert found.conflicts == ()
        assert found.uid == before["metadata"]["uid"]
        assert member.client.get(NAMESPACES, brownfield) == before
        assert plan(project, cluster, brownfield).digest == found.digest
        assert not ProjectNamespace.objects.exists()

    @pytest.mark.parametrize(
        "name", ["default", "kube-system", "harvester-system", "longhorn-system", "cattle-system", "fleet-local",
                 "paddock-system", "paddock-public"],
    )  # fmt: skip
    def test_the_clusters_own_namespaces_are_refused(self, simulated_member: Member, name: str) -> None:
        cluster, project = ready_cluster(simulated_member), make_project()
        assert refusal(lambda: plan(project, cluster, name)) == "namespace.system"
        assert refusal(lambda: create_project_namespace(SYSTEM, project, cluster, name)) == "namespace.system"

    def test_one_that_is_missing_and_a_cluster_that_is_away_are_told_apart(self, simulated_member: Member) -> None:
        cluster, project = ready_cluster(simulated_member), make_project()
        assert refusal(lambda: plan(project, cluster, "nowhere")) == "adoption.namespace_missing"
        running = simulated_member.simulated
        assert running is not None
        running.run(running.server.unlisten("127.0.0.1", int(simulated_member.admin.servers[0].rpartition(":")[2])))
        assert refusal(lambda: plan(project, cluster, "nowhere")) == "cluster.unavailable"

    def test_conflicts_are_named_and_stop_it(self, simulated_member: Member) -> None:
        cluster, project, client = ready_cluster(simulated_member), make_project(), simulated_member.client
        client.create(NAMESPACES, {"metadata": {"name": "brown", "labels": {"paddock.io/hub-id": "another"}}})
        client.create(SERVICE_ACCOUNTS, {"metadata": {"name": rights.MACHINE_ACCOUNT, "namespace": "brown"}})
        found = plan(project, cluster, "brown")
        assert [conflict.problem for conflict in found.conflicts] == [
            "Another Paddock hub marks the namespace as its own",
            "There is a ServiceAccount paddock-machines that is not the hub's",
        ]
        assert all(conflict.fix for conflict in found.conflicts)
        assert refusal(lambda: adopt(project, cluster, "brown")) == "adoption.conflicts"


class TestAdoption:
    def test_it_is_bound_and_labelled_and_everything_else_stays(self, member: Member, brownfield: str) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_actor("project-viewer", project)
        namespace = adopt(project, cluster, brownfield)
        assert (namespace.adopted, namespace.is_default) == (True, False)
        visit(cluster)
        visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
        metadata = member.client.get(NAMESPACES, brownfield)["metadata"]
        assert metadata["labels"]["paddock.io/owner-id"] == str(namespace.pk)
        assert metadata["labels"]["team"] == "b"
        assert metadata["annotations"][RANCHER] == "c-1:p-1"
        bindings = member.client.list(ROLE_BINDINGS, brownfield, label_selector="paddock.io/hub-id")
        assert {obj["metadata"]["name"] for obj in bindings} == {"paddock-role-project-viewer", "paddock-hub-namespace"}

    def test_what_changed_since_the_plan_is_a_new_plan(self, member: Member, brownfield: str) -> None:
        cluster, project = ready_cluster(member), make_project()
        digest = plan(project, cluster, brownfield).digest
        service = {"metadata": {"name": "more", "namespace": brownfield}, "spec": {"ports": [{"port": 81}]}}
        member.client.create(SERVICES, service)
        assert refusal(lambda: adopt(project, cluster, brownfield, digest)) == "adoption.plan_changed"
        assert not ProjectNamespace.objects.exists()
        digest = plan(project, cluster, brownfield).digest
        make_actor("project-viewer", project)
        assert refusal(lambda: adopt(project, cluster, brownfield, digest)) == "adoption.plan_changed"

    def test_sec33_it_needs_a_right_on_the_cluster(self, simulated_member: Member) -> None:
        cluster, project = ready_cluster(simulated_member), make_project()
        simulated_member.client.create(NAMESPACES, {"metadata": {"name": "brown"}})
        owner = make_actor("tenant-owner", project.tenant)
        keys = project_roles_in_use(project.pk, project.tenant_id)
        digest = plan_adoption(project, cluster, "brown", keys).digest
        assert refusal(lambda: adopt_namespace(owner, project, cluster, "brown", digest, keys)) == "request.denied"

    def test_it_is_adopted_once(self, simulated_member: Member) -> None:
        cluster, project = ready_cluster(simulated_member), make_project()
        simulated_member.client.create(NAMESPACES, {"metadata": {"name": "brown"}})
        adopt(project, cluster, "brown")
        assert refusal(lambda: adopt(make_project(), cluster, "brown")) == "adoption.conflicts"

    def test_deleting_it_takes_back_what_is_the_hubs_and_nothing_else(self, member: Member, brownfield: str) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_actor("project-viewer", project)
        member.client.create(CONFIG_MAPS, {"metadata": {"name": "kept", "namespace": brownfield}, "data": {"a": "b"}})
        before = member.client.get(NAMESPACES, brownfield)["metadata"]
        namespace = adopt(project, cluster, brownfield)
        visit(cluster)
        visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
        request_namespace_deletion(SYSTEM, namespace)
        visit_until(namespace, lambda: is_gone(namespace))
        after = member.client.get(NAMESPACES, brownfield)["metadata"]
        assert "deletionTimestamp" not in after
        assert (after["labels"], after["annotations"]) == (before["labels"], before["annotations"])
        assert member.client.list(ROLE_BINDINGS, brownfield, label_selector="paddock.io/hub-id") == []
        assert member.client.get(CONFIG_MAPS, "kept", brownfield)["data"] == {"a": "b"}
        assert member.client.get(RESOURCE_QUOTAS, "theirs", brownfield)
        assert AuditEvent.objects.filter(verb="remove", object_id=namespace.pk).exists()

    def test_one_that_somebody_deleted_there_is_not_made_anew(self, simulated_member: Member) -> None:
        cluster, project, client = ready_cluster(simulated_member), make_project(), simulated_member.client
        client.create(NAMESPACES, {"metadata": {"name": "brown"}})
        namespace = adopt(project, cluster, "brown")
        visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
        client.delete(NAMESPACES, "brown")
        visit_until(namespace, lambda: status_of(namespace, "Ready")[1] == "NamespaceGone")
        assert client.find(NAMESPACES, "brown") is None
        client.create(NAMESPACES, {"metadata": {"name": "brown"}})
        visit(namespace)
        assert status_of(namespace, "Ready") == ("False", "NamespaceGone")
        request_namespace_deletion(SYSTEM, namespace)
        visit(namespace)
        assert is_gone(namespace)
        assert client.get(NAMESPACES, "brown")["metadata"].get("labels", {}).get("paddock.io/hub-id") is None


class TestMoving:
    def test_sec33_labels_and_bindings_follow_to_the_other_tenant(self, member: Member) -> None:
        cluster, here, there = ready_cluster(member), make_project(), make_project()
        for project in (here, there):
            make_actor("project-viewer", project)
        namespace = ensure_project_namespace(here, cluster)
        member.made.append(namespace.name)
        visit(cluster)
        visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
        move_project_namespace(SYSTEM, namespace, there)
        namespace.refresh_from_db()
        assert (namespace.project, namespace.tenant, namespace.is_default) == (there, there.tenant, True)
        assert status_of(namespace, "Ready") == ("False", "Moved")
        visit(cluster)
        visit(cluster)
        visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
        labels = member.client.get(NAMESPACES, namespace.name)["metadata"]["labels"]
        assert labels["paddock.io/tenant-id"] == str(there.tenant_id)
        assert labels["paddock.io/project-id"] == str(there.pk)
        bindings = member.client.list(ROLE_BINDINGS, namespace.name, label_selector="paddock.io/hub-id")
        groups = {obj["subjects"][0]["name"] for obj in bindings if obj["subjects"][0]["kind"] == "Group"}
        assert groups == {project_group(there.pk, "project-viewer")}
        assert {event.tenant_id for event in AuditEvent.objects.filter(verb="move")} == {
            here.tenant_id,
            there.tenant_id,
        }
        assert str(HubIdentity.objects.get().hub_id) == labels["paddock.io/hub-id"]

    def test_the_machines_token_of_the_old_tenant_is_dropped(self, simulated_member: Member) -> None:
        cluster, here, there = ready_cluster(simulated_member, "harvester"), make_project(), make_project()
        namespace = ensure_project_namespace(here, cluster)
        visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
        old = namespace.machine_token.reveal()
        move_project_namespace(SYSTEM, namespace, there)
        namespace.refresh_from_db()
        assert not namespace.machine_token
        visit(namespace)
        assert namespace.machine_token.reveal() not in ("", old)
