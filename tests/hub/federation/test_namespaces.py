"""What is asked of project namespaces: one default, more by name, moves with rights on both ends, deletion."""

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.namespaces import (
    choose_namespace_name,
    create_project_namespace,
    ensure_project_namespace,
    move_project_namespace,
    request_namespace_deletion,
)
from hub.provisioning.models import GuestCluster
from hub.tenancy.models import Project, Tenant
from kube.names import is_dns_label
from tests.hub.builders import make_actor, make_cluster, make_project, unique

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def place() -> tuple[Project, Cluster]:
    return make_project(), make_cluster()


class TestDefault:
    def test_a_project_gets_one_and_keeps_it(self) -> None:
        project, cluster = make_project(), make_cluster()
        first = ensure_project_namespace(project, cluster)
        assert first.is_default
        assert ensure_project_namespace(project, cluster) == first
        assert first.next_run_at is None  # the row as it was; the stored one is due
        assert ProjectNamespace.objects.get().next_run_at is not None
        assert ensure_project_namespace(make_project(project.tenant), cluster) != first

    def test_a_row_of_an_older_hub_becomes_the_default(self, place: tuple[Project, Cluster]) -> None:
        project, cluster = place
        old = ensure_project_namespace(*place)
        create_project_namespace(SYSTEM, project, cluster)
        ProjectNamespace.objects.update(is_default=False)
        assert ensure_project_namespace(*place) == old
        assert [row.pk for row in ProjectNamespace.objects.filter(is_default=True)] == [old.pk]

    def test_an_adopted_one_is_never_the_default(self, place: tuple[Project, Cluster]) -> None:
        project, cluster = place
        brown = create_project_namespace(SYSTEM, project, cluster, "brown")
        ProjectNamespace.objects.filter(pk=brown.pk).update(adopted=True, is_default=False)
        assert ensure_project_namespace(*place) != brown

    def test_one_that_is_being_deleted_is_not_given_out_again(self, place: tuple[Project, Cluster]) -> None:
        first = ensure_project_namespace(*place)
        request_namespace_deletion(SYSTEM, first)
        request_namespace_deletion(SYSTEM, first)
        assert ensure_project_namespace(*place) != first
        assert AuditEvent.objects.filter(object_id=first.pk, verb="delete").count() == 1

    def test_the_database_keeps_two_defaults_out(self, place: tuple[Project, Cluster]) -> None:
        project, cluster = place
        ensure_project_namespace(*place)
        create_project_namespace(SYSTEM, project, cluster)
        with pytest.raises(IntegrityError), transaction.atomic():
            ProjectNamespace.objects.update(is_default=True)

    def test_sec33_names_are_readable_valid_and_never_anothers_by_chance(self) -> None:
        project = Project(name="web", tenant=Tenant(name="acme"))
        names = {choose_namespace_name(project) for _ in range(50)}
        assert len(names) == 50
        assert all(name.startswith("acme-web-") and is_dns_label(name) for name in names)
        long = Project(name="p" * 63, tenant=Tenant(name="t" * 63))
        assert is_dns_label(choose_namespace_name(long))

    def test_sec33_none_is_made_in_another_tenants_cluster(self) -> None:
        project = make_project()
        with pytest.raises(HubError, match=r"cluster\.foreign"):
            ensure_project_namespace(project, make_cluster(project=make_project()))
        assert not ProjectNamespace.objects.exists()
        assert ensure_project_namespace(project, make_cluster(project=make_project(project.tenant)))


@pytest.mark.django_db(transaction=True)
def test_two_orders_at_once_agree_on_one_default() -> None:
    project, cluster = make_project(), make_cluster()
    found: list[ProjectNamespace] = []

    def order() -> None:
        found.append(ensure_project_namespace(project, cluster))
        connection.close()

    threads = [threading.Thread(target=order) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({row.pk for row in found}) == 1
    assert ProjectNamespace.objects.count() == 1


class TestMore:
    def test_a_project_has_several_in_a_cluster_and_the_first_is_the_default(
        self, place: tuple[Project, Cluster]
    ) -> None:
        project, cluster = place
        name = unique("first")
        first = create_project_namespace(SYSTEM, project, cluster, name)
        second = create_project_namespace(SYSTEM, project, cluster)
        assert (first.name, first.is_default, second.is_default) == (name, True, False)
        assert second.name.startswith(project.tenant.name[:10])
        assert ensure_project_namespace(*place) == first

    @pytest.mark.parametrize("name", ["", "Upper", "a_b", "a" * 64, "-a", "a.b"])
    def test_a_name_that_kubernetes_refuses_is_refused(self, place: tuple[Project, Cluster], name: str) -> None:
        with pytest.raises(HubError, match=r"namespace\.name_invalid"):
            create_project_namespace(SYSTEM, *place, name)

    @pytest.mark.parametrize("name", ["default", "kube-public", "cattle-fleet-system", "paddock-system"])
    def test_the_clusters_own_are_refused(self, place: tuple[Project, Cluster], name: str) -> None:
        with pytest.raises(HubError, match=r"namespace\.system"):
            create_project_namespace(SYSTEM, *place, name)

    def test_sec33_a_name_is_one_projects_in_a_cluster_and_free_in_another(
        self, place: tuple[Project, Cluster]
    ) -> None:
        project, cluster = place
        create_project_namespace(SYSTEM, project, cluster, "web")
        with pytest.raises(HubError, match=r"namespace\.name_taken"):
            create_project_namespace(SYSTEM, make_project(), cluster, "web")
        other = create_project_namespace(SYSTEM, make_project(), make_cluster(), "web")
        assert other.name == "web"


class TestMoves:
    def refused(self, code: str, *arguments: object, **named: object) -> None:
        with pytest.raises(HubError) as error:
            move_project_namespace(*arguments, **named)  # type: ignore[arg-type]
        assert error.value.code == code

    def test_sec33_it_needs_rights_on_both_ends(self, place: tuple[Project, Cluster]) -> None:
        here, cluster = place
        there, namespace = make_project(), ensure_project_namespace(*place)
        for role, scope in (("tenant-owner", here.tenant), ("tenant-owner", there.tenant), ("cluster-admin", cluster)):
            self.refused("request.denied", make_actor(role, scope), namespace, there)
        namespace.refresh_from_db()
        assert namespace.project == here
        move_project_namespace(make_actor("hub-admin"), namespace, there)
        namespace.refresh_from_db()
        assert (namespace.project, namespace.tenant_id) == (there, there.tenant_id)

    def test_sec33_not_into_another_tenants_cluster_and_not_to_itself(self) -> None:
        project = make_project()
        namespace = ensure_project_namespace(project, make_cluster(project=project))
        self.refused("cluster.foreign", SYSTEM, namespace, make_project())
        self.refused("namespace.same_project", SYSTEM, namespace, project)
        sibling = make_project(project.tenant)
        assert move_project_namespace(SYSTEM, namespace, sibling).project == sibling

    def test_not_while_guests_live_in_it_or_it_is_being_deleted(self, place: tuple[Project, Cluster]) -> None:
        project, cluster = place
        namespace = ensure_project_namespace(*place)
        guest = GuestCluster(
            tenant=project.tenant, project=project, name="web", infrastructure=cluster, namespace=namespace,
            driver="harvester", distribution="k3s",
        )  # fmt: skip
        guest.save()
        self.refused("object.in_use", SYSTEM, namespace, make_project())
        guest.delete()
        request_namespace_deletion(SYSTEM, namespace)
        self.refused("object.being_deleted", SYSTEM, namespace, make_project())

    def test_the_default_moves_on_and_never_doubles(self, place: tuple[Project, Cluster]) -> None:
        here, cluster = place
        there = make_project()
        first, second = ensure_project_namespace(*place), create_project_namespace(SYSTEM, here, cluster)
        theirs = ensure_project_namespace(there, cluster)
        assert not move_project_namespace(SYSTEM, first, there).is_default
        assert ensure_project_namespace(here, cluster) == second
        assert ensure_project_namespace(there, cluster) == theirs

    def test_it_is_not_done_on_a_version_that_is_gone(self, place: tuple[Project, Cluster]) -> None:
        namespace = ensure_project_namespace(*place)
        with pytest.raises(StaleVersion):
            move_project_namespace(SYSTEM, namespace, make_project(), expected_version=namespace.version + 1)
