"""Project namespaces: made, marked, bound, kept right, and deleted, on a simulated API server and on a real one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.access.models import RoleBinding
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.models import HubIdentity
from hub.federation import rights
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.namespaces import request_namespace_deletion
from hub.federation.rights import project_group
from hub.tenancy.models import Project
from kube.errors import Forbidden
from kube.resources import CONFIG_MAPS, NAMESPACES, ROLE_BINDINGS, SECRETS, Object
from tests.bed.waiting import wait_for
from tests.hub.builders import make_actor, make_cluster, make_namespace, make_project, user_of
from tests.workers.reconcilers.members import (
    Member,
    as_user,
    is_gone,
    ready_cluster,
    status_of,
    visit,
    visit_until,
    wait_until_allowed,
)
from workers.reconcilers import project_namespace as reconciler

pytestmark = pytest.mark.usefixtures("hub")


def settle(member: Member, namespace: ProjectNamespace) -> ProjectNamespace:
    """Reconciles until Ready; what was made is taken away after the test."""
    member.made.append(namespace.name)
    visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
    return namespace


def bound(member: Member, cluster: Cluster, namespace: ProjectNamespace) -> ProjectNamespace:
    """Settled, after the cluster has the roles in use."""
    visit(cluster)
    return settle(member, namespace)


def bindings_in(member: Member, namespace: ProjectNamespace) -> dict[str, str]:
    """Subject to role, of every binding of the hub in the namespace."""
    found = member.client.list(ROLE_BINDINGS, namespace.name, label_selector="paddock.io/hub-id")
    return {binding["subjects"][0]["name"]: binding["roleRef"]["name"] for binding in found}


class TestCreation:
    def test_it_is_made_under_the_stored_name_with_the_marks_of_its_owner(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        namespace = make_namespace(project, cluster)
        stored = namespace.name
        settle(member, namespace)
        found = member.client.get(NAMESPACES, stored)
        assert namespace.uid == found["metadata"]["uid"]
        assert (
            found["metadata"]["labels"].items()
            >= {
                "paddock.io/hub-id": str(HubIdentity.objects.get().hub_id),
                "paddock.io/hub-epoch": "1",
                "paddock.io/owner-kind": "projectnamespace",
                "paddock.io/owner-id": str(namespace.pk),
                "paddock.io/tenant-id": str(project.tenant_id),
                "paddock.io/project-id": str(project.pk),
            }.items()
        )
        assert namespace.phase == "Ready"

    def test_flt22_one_whose_answer_was_lost_is_recognised(
        self, member: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        namespace = make_namespace(make_project(), ready_cluster(member))
        with monkeypatch.context() as patched:
            patched.setattr(reconciler, "failpoint", _kill_at("project_namespace.create.after_call"))
            with pytest.raises(Killed):
                visit(namespace)
        ProjectNamespace.objects.update(lease_expires_at=None)
        made = member.client.get(NAMESPACES, namespace.name)["metadata"]["uid"]
        assert settle(member, namespace).uid == made

    def test_a_namespace_of_somebody_else_is_reported_and_not_touched(self, member: Member) -> None:
        namespace = make_namespace(make_project(), ready_cluster(member))
        member.made.append(namespace.name)
        theirs = member.client.create(NAMESPACES, {"metadata": {"name": namespace.name, "labels": {"team": "b"}}})
        visit(namespace)
        assert status_of(namespace, "Ready") == ("False", "NamespaceTaken")
        now = member.client.get(NAMESPACES, namespace.name)
        assert now["metadata"]["labels"] == theirs["metadata"]["labels"]
        assert member.client.list(ROLE_BINDINGS, namespace.name) == []
        request_namespace_deletion(SYSTEM, namespace)
        visit(namespace)
        assert is_gone(namespace)
        assert "deletionTimestamp" not in member.client.get(NAMESPACES, namespace.name)["metadata"]

    def test_a_cluster_that_is_not_ready_is_waited_for(self) -> None:
        namespace = make_namespace(make_project(), make_cluster())
        outcome = visit(namespace)
        assert status_of(namespace, "Ready") == ("False", "ClusterUnavailable")
        assert outcome.next_run_in is not None

    def test_it_looks_again_as_soon_as_its_cluster_is_ready(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        namespace = make_namespace(make_project(), cluster)
        running = simulated_member.simulated
        assert running is not None
        port = int(simulated_member.admin.servers[0].rpartition(":")[2])
        running.run(running.server.unlisten("127.0.0.1", port))
        visit(cluster)
        visit(namespace)
        assert status_of(namespace, "Ready")[0] == "False"
        running.run(running.server.listen("127.0.0.1", port))
        ProjectNamespace.objects.update(next_run_at=None)
        visit(cluster)
        namespace.refresh_from_db()
        assert namespace.next_run_at is not None
        assert namespace.next_run_at <= timezone.now()


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def _kill_at(place: str) -> Callable[[str], None]:
    def failpoint(name: str) -> None:
        if name == place:
            raise Killed

    return failpoint


class TestBindings:
    def test_one_for_each_role_in_use_and_none_for_a_user(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        for _ in range(3):
            make_actor("project-viewer", project)
        namespace = bound(member, cluster, make_namespace(project, cluster))
        hub = {"paddock-hub": "paddock-hub-namespace"}
        viewers = {project_group(project.pk, "project-viewer"): "paddock-role-project-viewer"}
        assert bindings_in(member, namespace) == hub | viewers
        make_actor("tenant-owner", project.tenant)
        visit(namespace)
        assert bindings_in(member, namespace) == hub | viewers, "a role is bound once its ClusterRole is there"
        visit(cluster)
        visit(namespace)
        owners = {project_group(project.pk, "tenant-owner"): "paddock-role-tenant-owner"}
        assert bindings_in(member, namespace) == hub | viewers | owners

    def test_sec36_a_role_out_of_use_leaves_no_binding_behind(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        viewer = make_actor("project-viewer", project)
        namespace = bound(member, cluster, make_namespace(project, cluster))
        RoleBinding.objects.filter(user=user_of(viewer)).delete()
        visit(namespace)
        assert bindings_in(member, namespace) == {"paddock-hub": "paddock-hub-namespace"}

    def test_sec36_no_binding_is_left_of_a_role_that_ended_while_the_member_was_away(
        self, simulated_member: Member
    ) -> None:
        cluster, project = ready_cluster(simulated_member), make_project()
        viewer = make_actor("project-viewer", project)
        namespace = bound(simulated_member, cluster, make_namespace(project, cluster))
        running = simulated_member.simulated
        assert running is not None
        port = int(simulated_member.admin.servers[0].rpartition(":")[2])
        running.run(running.server.unlisten("127.0.0.1", port))
        RoleBinding.objects.filter(user=user_of(viewer)).delete()
        visit(cluster)
        visit(namespace)
        running.run(running.server.listen("127.0.0.1", port))
        assert project_group(project.pk, "project-viewer") in bindings_in(simulated_member, namespace)
        visit_until(cluster, lambda: cluster.phase == "Ready")
        namespace.refresh_from_db()
        assert namespace.next_run_at is not None
        assert namespace.next_run_at <= timezone.now()
        visit(namespace)
        assert bindings_in(simulated_member, namespace) == {"paddock-hub": "paddock-hub-namespace"}

    def test_sec36_a_planted_stray_goes_and_somebody_elses_binding_stays(self, member: Member) -> None:
        namespace = settle(member, make_namespace(make_project(), ready_cluster(member)))
        labels = {"paddock.io/hub-id": str(HubIdentity.objects.get().hub_id)}
        member.client.create(ROLE_BINDINGS, _binding("stray", namespace.name, labels))
        member.client.create(ROLE_BINDINGS, _binding("theirs", namespace.name, {}))
        visit(namespace)
        left = {binding["metadata"]["name"] for binding in member.client.list(ROLE_BINDINGS, namespace.name)}
        assert left == {"paddock-hub-namespace", "theirs"}

    def test_bindings_of_an_older_hub_go(self, member: Member) -> None:
        namespace = settle(member, make_namespace(make_project(), ready_cluster(member)))
        labels = {"paddock.io/hub-id": str(HubIdentity.objects.get().hub_id)}
        for name in ("paddock-project-admin", "paddock-project-viewer"):
            member.client.create(ROLE_BINDINGS, _binding(name, namespace.name, labels))
        visit(namespace)
        assert bindings_in(member, namespace) == {"paddock-hub": "paddock-hub-namespace"}

    def test_sec43_labels_that_carry_power_are_written_again(self, member: Member) -> None:
        namespace = settle(member, make_namespace(make_project(), ready_cluster(member)))
        theirs = {"paddock.io/tenant-id": "another", "paddock.io/project-id": None, "team": "b"}
        for labels in (theirs, {"paddock.io/hub-id": None, "paddock.io/owner-id": None}):
            member.client.patch(NAMESPACES, namespace.name, {"metadata": {"labels": labels}})
            visit(namespace)
            now = member.client.get(NAMESPACES, namespace.name)["metadata"]["labels"]
            assert now["paddock.io/tenant-id"] == str(namespace.tenant_id)
            assert now["paddock.io/project-id"] == str(namespace.project_id)
            assert now["paddock.io/owner-id"] == str(namespace.pk)
            assert now["team"] == "b"

    def test_a_viewer_of_the_project_reads_his_namespace_and_no_other(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_actor("project-viewer", project)
        namespace = bound(member, cluster, make_namespace(project, cluster))
        with as_user(cluster, project_group(project.pk, "project-viewer")) as viewer:
            wait_until_allowed(lambda: viewer.list(CONFIG_MAPS, namespace.name))
            assert viewer.get(NAMESPACES, namespace.name)
            for refused in (
                lambda: viewer.delete(NAMESPACES, namespace.name),
                lambda: viewer.delete(CONFIG_MAPS, "kube-root-ca.crt", namespace.name),
                lambda: viewer.list(SECRETS, namespace.name),
                lambda: viewer.list(CONFIG_MAPS, "default"),
                lambda: viewer.list(NAMESPACES),
            ):
                with pytest.raises(Forbidden):
                    refused()

    def test_an_owner_works_there_and_cannot_give_himself_more(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_actor("tenant-owner", project.tenant)
        namespace = bound(member, cluster, make_namespace(project, cluster))
        with as_user(cluster, project_group(project.pk, "tenant-owner")) as owner:
            config_map = {"metadata": {"name": "mine", "namespace": namespace.name}}
            wait_until_allowed(lambda: owner.apply(CONFIG_MAPS, config_map))
            assert owner.list(SECRETS, namespace.name) is not None
            with pytest.raises(Forbidden):
                owner.create(ROLE_BINDINGS, _binding("more", namespace.name, {}))
            with pytest.raises(Forbidden):
                owner.patch(NAMESPACES, namespace.name, {"metadata": {"labels": {"a": "b"}}})
            with pytest.raises(Forbidden):
                owner.request_token(namespace.name, rights.MACHINE_ACCOUNT, 600)


class TestDeletion:
    def test_the_row_goes_when_the_member_says_that_the_namespace_is_gone(self, member: Member) -> None:
        namespace = settle(member, make_namespace(make_project(), ready_cluster(member)))
        request_namespace_deletion(SYSTEM, namespace)
        visit(namespace)
        assert not is_gone(namespace)
        assert (namespace.phase, status_of(namespace, "Ready")) == ("Deleting", ("False", "Deleting"))
        visit_until(namespace, lambda: is_gone(namespace))
        assert member.client.find(NAMESPACES, namespace.name) is None
        assert AuditEvent.objects.filter(verb="remove", object_id=namespace.pk).exists()

    def test_flt24_it_waits_for_a_cluster_that_is_away(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        namespace = settle(simulated_member, make_namespace(make_project(), cluster))
        running = simulated_member.simulated
        assert running is not None
        port = int(simulated_member.admin.servers[0].rpartition(":")[2])
        running.run(running.server.unlisten("127.0.0.1", port))
        request_namespace_deletion(SYSTEM, namespace)
        ProjectNamespace.objects.update(deletion_requested_at=timezone.now() - timedelta(days=3))
        visit(namespace)
        assert not is_gone(namespace)
        assert status_of(namespace, "Ready")[1] == "Unavailable"
        running.run(running.server.listen("127.0.0.1", port))
        visit_until(namespace, lambda: is_gone(namespace))

    def test_flt28_a_namespace_of_the_same_name_made_meanwhile_is_not_ours(self, simulated_member: Member) -> None:
        namespace = settle(simulated_member, make_namespace(make_project(), ready_cluster(simulated_member)))
        client = simulated_member.client
        client.delete(NAMESPACES, namespace.name)
        wait_for("the namespace to be gone", lambda: client.find(NAMESPACES, namespace.name) is None, seconds=20)
        client.create(NAMESPACES, {"metadata": {"name": namespace.name}})
        request_namespace_deletion(SYSTEM, namespace)
        visit(namespace)
        assert is_gone(namespace)
        assert client.find(NAMESPACES, namespace.name) is not None

    def test_flt25_nothing_is_deleted_on_a_cluster_that_is_not_the_one_it_was(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        namespace = settle(simulated_member, make_namespace(make_project(), cluster))
        Cluster.objects.update(uid="another")
        visit(cluster)
        request_namespace_deletion(SYSTEM, namespace)
        visit(namespace)
        assert not is_gone(namespace)
        assert status_of(namespace, "Ready") == ("False", "ClusterUnavailable")
        assert simulated_member.client.find(NAMESPACES, namespace.name) is not None

    def test_a_namespace_that_somebody_deletes_there_comes_back(self, simulated_member: Member) -> None:
        project: Project = make_project()
        namespace = settle(simulated_member, make_namespace(project, ready_cluster(simulated_member)))
        first = namespace.uid
        simulated_member.client.delete(NAMESPACES, namespace.name)
        visit_until(namespace, lambda: namespace.uid != first and status_of(namespace, "Ready")[0] == "True")


def _binding(name: str, namespace: str, labels: dict[str, str]) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "somebody"}],
    }
