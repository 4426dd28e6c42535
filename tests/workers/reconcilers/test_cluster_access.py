"""What people may do in a member: roles in use, groups, strays and the shared namespace, kept on both kinds of server."""

from datetime import timedelta

import pytest
from django.utils import timezone

from hub.access.models import RoleBinding
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.conditions import condition
from hub.core.models import HubIdentity
from hub.federation import rights
from hub.federation.clients import client_for
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group, member_role, project_group, shared_group
from hub.federation.services import register_guest_cluster, reimport_cluster
from kube.errors import Forbidden
from kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    NAMESPACES,
    ROLE_BINDINGS,
    SECRETS,
    Object,
    Resource,
)
from tests.hub.builders import make_actor, make_namespace, make_project, user_of
from tests.workers.reconcilers.members import (
    Member,
    as_user,
    ready_cluster,
    status_of,
    visit,
    visit_until,
    wait_until_allowed,
)
from workers.reconcilers import cluster as reconciler

pytestmark = pytest.mark.usefixtures("hub")

RBAC = "rbac.authorization.k8s.io"


def hub_label() -> dict[str, str]:
    return {"paddock.io/hub-id": str(HubIdentity.objects.get().hub_id)}


def role(name: str, labels: dict[str, str]) -> Object:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    return {"metadata": {"name": name, "labels": labels}, "rules": [rule]}


def binding(name: str, labels: dict[str, str], namespace: str | None = None) -> Object:
    metadata = {"name": name, "labels": labels} | ({"namespace": namespace} if namespace else {})
    return {
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "somebody"}],
    }


def written(member: Member, resource: Resource) -> set[str]:
    """The names of everything with the hub's label, its own objects aside."""
    own = {*rights.OWN_CLUSTER_ROLES, *rights.OWN_CLUSTER_ROLE_BINDINGS}
    found = member.client.list(resource, label_selector="paddock.io/hub-id")
    return {obj["metadata"]["name"] for obj in found} - own


class TestRoles:
    def test_one_binding_for_each_role_on_the_whole_cluster_and_none_for_a_user(self, member: Member) -> None:
        cluster = ready_cluster(member)
        for _ in range(3):
            make_actor("cluster-viewer", cluster)
        visit(cluster)
        found = member.client.list(CLUSTER_ROLE_BINDINGS, label_selector="paddock.io/hub-id")
        people = [binding for binding in found if binding["subjects"][0]["kind"] != "ServiceAccount"]
        bound = {binding["subjects"][0]["name"]: binding["roleRef"]["name"] for binding in people}
        assert bound == {
            cluster_group(cluster.pk, "cluster-admin"): "paddock-role-cluster-admin",
            cluster_group(cluster.pk, "cluster-viewer"): "paddock-role-cluster-viewer",
        }

    def test_one_cluster_role_for_each_role_in_use_and_it_goes_with_its_last_binding(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_namespace(project, cluster)
        operator, viewer = make_actor("vm-operator", project), make_actor("project-viewer", project)
        visit(cluster)
        always = {"paddock-role-cluster-admin", "paddock-role-cluster-viewer"}
        used = {"paddock-role-vm-operator", "paddock-role-project-viewer"}
        assert written(member, CLUSTER_ROLES) == always | used
        RoleBinding.objects.filter(user__in=[user_of(operator), user_of(viewer)]).delete()
        visit(cluster)
        visit(cluster)
        assert written(member, CLUSTER_ROLES) == written(member, CLUSTER_ROLE_BINDINGS) == always

    def test_the_hubs_rights_on_roles_are_exactly_those_in_use(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_namespace(project, cluster)
        make_actor("vm-operator", project)
        visit(cluster)
        hub_client = client_for(cluster)
        for name in ("vm-operator", "cluster-viewer"):
            for verb in ("create", "patch", "delete", "bind", "escalate"):
                assert hub_client.can_i(verb, CLUSTER_ROLES, name=member_role(name)), (verb, name)
        for verb in ("create", "patch", "update", "delete", "bind", "escalate"):
            assert not hub_client.can_i(verb, CLUSTER_ROLES, name="cluster-admin"), verb
            assert not hub_client.can_i(verb, CLUSTER_ROLES, name=member_role("project-owner")), verb
            assert not hub_client.can_i(verb, CLUSTER_ROLE_BINDINGS, name="other"), verb
        with pytest.raises(Forbidden):
            hub_client.apply(CLUSTER_ROLES, role("another", {}))
        with pytest.raises(Forbidden):
            hub_client.create(CLUSTER_ROLES, role(member_role("vm-operator"), {}))
        with pytest.raises(Forbidden):
            hub_client.apply(CLUSTER_ROLE_BINDINGS, binding(member_role("cluster-viewer"), {}))

    def test_a_change_by_hand_is_put_right(self, member: Member) -> None:
        cluster = ready_cluster(member)
        client, name = member.client, "paddock-role-cluster-viewer"
        before = client.get(CLUSTER_ROLES, name)
        changed = {**before, "rules": [*before["rules"], *role("", {})["rules"]]}
        client.replace(CLUSTER_ROLES, changed)
        bound = client.get(CLUSTER_ROLE_BINDINGS, name)
        client.replace(CLUSTER_ROLE_BINDINGS, {**bound, "subjects": binding("", {})["subjects"]})
        visit(cluster)
        assert client.get(CLUSTER_ROLES, name)["rules"] == before["rules"]
        assert client.get(CLUSTER_ROLE_BINDINGS, name)["subjects"] == bound["subjects"]

    def test_a_binding_that_somebody_made_anew_to_another_role_is_replaced(self, member: Member) -> None:
        cluster = ready_cluster(member)
        client, name = member.client, "paddock-role-cluster-viewer"
        client.delete(CLUSTER_ROLE_BINDINGS, name)
        client.create(CLUSTER_ROLE_BINDINGS, binding(name, {}))
        visit(cluster)
        assert client.get(CLUSTER_ROLE_BINDINGS, name)["roleRef"]["name"] == name

    def test_a_visit_that_finds_all_well_writes_nothing(self, member: Member) -> None:
        cluster = ready_cluster(member)
        visit(cluster)
        versions = [
            obj["metadata"]["resourceVersion"]
            for resource in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)
            for obj in member.client.list(resource, label_selector="paddock.io/hub-id")
        ]
        visit(cluster)
        assert versions == [
            obj["metadata"]["resourceVersion"]
            for resource in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)
            for obj in member.client.list(resource, label_selector="paddock.io/hub-id")
        ]


class TestStrays:
    def test_sec36_planted_strays_go_and_other_managers_objects_stay(self, member: Member) -> None:
        cluster = ready_cluster(member)
        client = member.client
        for labels, name in ((hub_label(), "planted"), ({"app": "theirs"}, "theirs")):
            client.apply(CLUSTER_ROLES, role(name, labels))
            client.apply(CLUSTER_ROLE_BINDINGS, binding(name, labels))
            client.apply(ROLE_BINDINGS, binding(name, labels, "default"))
        visit(cluster)
        for resource, namespace in ((CLUSTER_ROLES, None), (CLUSTER_ROLE_BINDINGS, None), (ROLE_BINDINGS, "default")):
            assert client.find(resource, "planted", namespace) is None, resource
            assert client.find(resource, "theirs", namespace) is not None, resource
        event = AuditEvent.objects.get(verb="sweep", object_id=cluster.pk)
        assert sorted(event.detail["strays"]) == [
            "ClusterRole planted",
            "ClusterRoleBinding planted",
            "RoleBinding default/planted",
        ]
        assert not client_for(cluster).can_i("delete", CLUSTER_ROLES, name="planted")
        for resource, namespace in ((CLUSTER_ROLES, None), (CLUSTER_ROLE_BINDINGS, None), (ROLE_BINDINGS, "default")):
            client.delete(resource, "theirs", namespace)

    def test_what_an_older_hub_has_left_goes(self, member: Member) -> None:
        cluster = ready_cluster(member)
        member.client.apply(CLUSTER_ROLES, role("paddock-project-admin", hub_label()))
        member.client.apply(CLUSTER_ROLE_BINDINGS, binding("paddock-cluster-admin", hub_label()))
        visit(cluster)
        assert member.client.find(CLUSTER_ROLES, "paddock-project-admin") is None
        assert member.client.find(CLUSTER_ROLE_BINDINGS, "paddock-cluster-admin") is None

    def test_sec36_a_role_given_up_while_the_member_was_away_is_gone_on_return(self, simulated_member: Member) -> None:
        running = simulated_member.simulated
        assert running is not None
        cluster, project = ready_cluster(simulated_member), make_project()
        make_namespace(project, cluster)
        owner = make_actor("vm-operator", project)
        visit(cluster)
        port = int(simulated_member.admin.servers[0].rpartition(":")[2])
        running.run(running.server.unlisten("127.0.0.1", port))
        RoleBinding.objects.filter(user=user_of(owner)).delete()
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "False"
        running.run(running.server.listen("127.0.0.1", port))
        simulated_member.client.apply(CLUSTER_ROLES, role("planted", hub_label()))
        visit_until(cluster, lambda: cluster.phase == "Ready" and "vm-operator" not in str(cluster.groups))
        visit(cluster)
        left = {"paddock-role-cluster-admin", "paddock-role-cluster-viewer"}
        assert written(simulated_member, CLUSTER_ROLES) == left

    def test_rights_that_an_older_registration_lacks_are_named_with_the_way_out(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        old = simulated_member.client.get(CLUSTER_ROLES, "paddock-hub")
        wide = {"clusterroles", "clusterrolebindings"}
        old["rules"] = [rule for rule in old["rules"] if set(rule["resources"]) != wide]
        for rule in old["rules"]:
            if rule["verbs"] == ["bind"]:
                rule["resourceNames"] = ["paddock-machine-driver"]
        simulated_member.client.replace(CLUSTER_ROLES, old)
        Cluster.objects.update(rights_checked_at=timezone.now() - timedelta(hours=1))
        visit(cluster)
        registered = condition(cluster, "Registered")
        assert registered is not None
        assert registered.status == "False"
        assert f"list clusterroles.{RBAC}" in registered.message
        assert f"bind clusterroles.{RBAC} paddock-hub-namespace" in registered.message
        assert f"bind clusterroles.{RBAC} paddock-machine-driver" not in registered.message
        assert "Import the cluster again" in registered.message
        _age_check(cluster, "rights", timedelta(minutes=5))
        again = visit(cluster).next_run_in
        assert again is not None
        assert again >= 60, "no loop: somebody has to act"
        reimport_cluster(SYSTEM, cluster, simulated_member.kubeconfig)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")


def _age_check(cluster: Cluster, name: str, by: timedelta) -> None:
    past = (timezone.now() - by).isoformat()
    checks = [entry | ({"at": past} if entry["name"] == name else {}) for entry in cluster.checks]
    Cluster.objects.filter(pk=cluster.pk).update(checks=checks)


class TestGroups:
    def on_member(self, member: Member) -> list[str]:
        rules = member.client.get(CLUSTER_ROLES, rights.IMPERSONATION_ROLE)["rules"]
        (names,) = [rule["resourceNames"] for rule in rules if rule["resources"] == ["groups"]]
        return list(names)

    def test_a_role_that_comes_into_use_is_allowed_there_and_then_sent(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        namespace = make_namespace(project, cluster)
        visit(cluster)
        keys = ("cluster-admin", "cluster-viewer", "member")
        assert cluster.groups == [cluster_group(cluster.pk, key) for key in keys]
        make_actor("project-viewer", project)
        type(namespace).objects.update(next_run_at=None)
        visit(cluster)
        assert project_group(project.pk, "project-viewer") in cluster.groups
        assert self.on_member(member) == cluster.groups
        namespace.refresh_from_db()
        assert namespace.next_run_at is not None, "its bindings waited for the role"

    def test_sec36_a_role_out_of_use_is_first_not_sent_and_then_refused_there(self, member: Member) -> None:
        cluster, project = ready_cluster(member), make_project()
        make_namespace(project, cluster)
        viewer = make_actor("project-viewer", project)
        visit(cluster)
        group = project_group(project.pk, "project-viewer")
        RoleBinding.objects.filter(user=user_of(viewer)).delete()
        assert visit(cluster).next_run_in == reconciler.GROUP_GRACE
        assert group not in cluster.groups
        assert group in self.on_member(member)
        visit(cluster)
        assert group not in self.on_member(member)

    def test_a_list_that_somebody_changed_there_is_put_right(self, member: Member) -> None:
        cluster = ready_cluster(member)
        changed = member.client.get(CLUSTER_ROLES, rights.IMPERSONATION_ROLE)
        changed["rules"].append(
            {"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"], "resourceNames": ["system:masters"]}
        )
        member.client.replace(CLUSTER_ROLES, changed)
        visit(cluster)
        assert self.on_member(member) == cluster.groups


class TestSharedNamespace:
    def test_everybody_who_may_reach_the_cluster_reads_it_and_no_secret(self, member: Member) -> None:
        cluster = ready_cluster(member)
        member.made.append(cluster.shared_namespace)
        assert cluster.shared_namespace.startswith("paddock-public")
        assert shared_group(cluster.pk) in cluster.groups
        with as_user(cluster, shared_group(cluster.pk)) as somebody:
            wait_until_allowed(lambda: somebody.list(CONFIG_MAPS, cluster.shared_namespace))
            for refused in (
                lambda: somebody.list(SECRETS, cluster.shared_namespace),
                lambda: somebody.list(CONFIG_MAPS, "default"),
                lambda: somebody.delete(NAMESPACES, cluster.shared_namespace),
                lambda: somebody.apply(
                    CONFIG_MAPS, {"metadata": {"name": "mine", "namespace": cluster.shared_namespace}}
                ),
            ):
                with pytest.raises(Forbidden):
                    refused()

    def test_one_of_somebody_else_is_left_alone_and_another_name_is_taken(self, simulated_member: Member) -> None:
        client = simulated_member.client
        client.apply(NAMESPACES, {"metadata": {"name": "paddock-public", "labels": {"team": "b"}}})
        cluster = ready_cluster(simulated_member)
        assert cluster.shared_namespace.startswith("paddock-public-")
        assert client.list(ROLE_BINDINGS, "paddock-public") == []
        theirs = client.get(NAMESPACES, "paddock-public")["metadata"]["labels"]
        assert not [label for label in theirs if label.startswith("paddock.io")]

    def test_lost_labels_and_bindings_and_the_namespace_itself_come_back(self, simulated_member: Member) -> None:
        cluster, client = ready_cluster(simulated_member), simulated_member.client
        name = cluster.shared_namespace
        none = {"paddock.io/hub-id": None, "paddock.io/owner-kind": None}
        client.patch(NAMESPACES, name, {"metadata": {"labels": none}})
        visit(cluster)
        assert client.get(NAMESPACES, name)["metadata"]["labels"]["paddock.io/owner-id"] == str(cluster.pk)
        client.delete(ROLE_BINDINGS, rights.SHARED_ROLE, name)
        visit(cluster)
        assert client.get(ROLE_BINDINGS, rights.SHARED_ROLE, name)
        client.delete(NAMESPACES, name)
        visit_until(cluster, lambda: _is_there(simulated_member, name))
        assert cluster.shared_namespace == name

    def test_a_tenants_own_cluster_has_none(self, simulated_member: Member) -> None:
        project = make_project()
        cluster = register_guest_cluster(project, "guest", simulated_member.admin, owner_id=project.pk)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        assert cluster.shared_namespace == ""
        assert simulated_member.client.find(NAMESPACES, "paddock-public") is None


def _is_there(member: Member, name: str) -> bool:
    found = member.client.find(NAMESPACES, name)
    return found is not None and "deletionTimestamp" not in found["metadata"]
