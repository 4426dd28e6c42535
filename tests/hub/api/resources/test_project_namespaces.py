"""/api/v1/project-namespaces"""

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.ids import uuid7
from hub.federation.models import Cluster, ClusterKind, ProjectNamespace
from hub.tenancy.models import Project, Tenant
from tests.hub.api.callers import Answer, Caller, denials
from tests.hub.api.orders import make_place, order
from tests.hub.builders import grant_everything, make_cluster, make_namespace, make_project, make_tenant
from tests.workers.stage import Stage


@pytest.fixture
def project(tenant: Tenant) -> Project:
    return make_project(tenant)


@pytest.fixture
def cluster(db: None) -> Cluster:
    return make_cluster(kind=ClusterKind.HARVESTER)


def let_in(caller: Caller, project: Project, cluster: Cluster) -> Answer:
    return caller.post("project-namespaces", {"project": str(project.pk), "cluster": str(cluster.pk)})


def test_an_administrator_lets_a_project_into_a_shared_cluster(
    admin: Caller, owner: Caller, project: Project, cluster: Cluster
) -> None:
    assert owner.ids("clusters") == set()
    made = let_in(admin, project, cluster)
    namespace = ProjectNamespace.objects.get()
    assert (made.status, made.location) == (201, f"/api/v1/project-namespaces/{namespace.pk}")
    seen = owner.get(made.location).body
    assert made.body == admin.get(made.location).body == {**seen, "can": made.body["can"]}
    assert seen["can"] == ["get", "list"]
    assert (made.body["project"], made.body["cluster"]) == (str(project.pk), str(cluster.pk))
    assert (made.body["tenant"], made.body["name"]) == (str(project.tenant_id), namespace.name)
    assert (made.body["phase"], made.body["deletion_requested_at"]) == ("Creating", None)
    assert namespace.next_run_at is not None
    event = AuditEvent.objects.get(object_id=namespace.pk)
    assert (event.verb, event.resource, event.actor_id) == ("create", "project-namespaces", admin.user_id)
    assert owner.ids("clusters") == {str(cluster.pk)}


def test_the_owner_then_places_his_first_order_there(
    admin: Caller, owner: Caller, tenant: Tenant, stage: Stage
) -> None:
    place = make_place(make_tenant())
    project = make_project(tenant)
    body = {**order(place), "project": str(project.pk)}
    assert owner.post("guest-clusters", body).faults == {"/infrastructure": "reference.not_found"}
    assert let_in(admin, project, place.cluster).status == 201
    grant_everything(tenant, place.cluster)
    assert owner.post("guest-clusters", body).status == 202


def test_asking_again_answers_the_one_that_is_there(admin: Caller, project: Project, cluster: Cluster) -> None:
    first, again = let_in(admin, project, cluster), let_in(admin, project, cluster)
    assert (again.status, again.body, again.location) == (201, first.body, first.location)
    assert ProjectNamespace.objects.count() == 1


def test_an_owner_does_not_let_himself_into_a_shared_cluster(owner: Caller, project: Project, cluster: Cluster) -> None:
    answers = [let_in(owner, project, cluster), let_in(owner, project, Cluster(pk=uuid7()))]
    assert [answer.code for answer in answers] == ["request.denied"] * 2
    assert answers[0].problem == answers[1].problem
    assert denials(owner) == [("create", "project-namespaces", None)] * 2
    assert not ProjectNamespace.objects.exists()


def test_sec33_a_project_gets_nothing_in_another_tenants_cluster(admin: Caller, project: Project) -> None:
    answer = let_in(admin, project, make_cluster(project=make_project()))
    assert (answer.status, answer.faults) == (422, {"/cluster": "cluster.foreign"})
    assert not ProjectNamespace.objects.exists()


def test_a_cluster_that_is_being_deleted_takes_no_more(admin: Caller, project: Project, cluster: Cluster) -> None:
    Cluster.objects.update(deletion_requested_at=timezone.now())
    assert (let_in(admin, project, cluster).status, ProjectNamespace.objects.count()) == (409, 0)


@pytest.mark.parametrize("member", ["project", "cluster"])
@pytest.mark.parametrize("value", [None, 5, "x", "", [], "01a20fcb-0000-7000-8000-000000000000"])
def test_a_wrong_reference_is_refused_with_its_place(
    admin: Caller, project: Project, cluster: Cluster, member: str, value: object
) -> None:
    body = {"project": str(project.pk), "cluster": str(cluster.pk), member: value}
    answer = admin.post("project-namespaces", body)
    assert (answer.status, list(answer.faults)) == (400, [f"/{member}"])
    assert not ProjectNamespace.objects.exists()


def test_a_list_is_narrowed_by_project_and_cluster(owner: Caller, tenant: Tenant) -> None:
    projects, clusters = [make_project(tenant) for _ in range(2)], [make_cluster() for _ in range(2)]
    ids = {(p.pk, c.pk): str(make_namespace(p, c).pk) for p in projects for c in clusters}
    make_namespace(make_project(), clusters[0])
    assert owner.ids("project-namespaces") == set(ids.values())
    assert owner.ids(f"project-namespaces?project={projects[0].pk}&cluster={clusters[1].pk}") == {
        ids[projects[0].pk, clusters[1].pk]
    }


def test_deletion_goes_on_after_the_answer_which_shows_the_namespace(
    admin: Caller, project: Project, cluster: Cluster
) -> None:
    made = let_in(admin, project, cluster)
    deleted = admin.delete(made.location, etag=made.etag)
    assert (deleted.status, deleted.location, deleted.body["id"]) == (202, made.location, made.body["id"])
    assert deleted.body["deletion_requested_at"] is not None
    assert deleted.body == admin.get(made.location).body
    again = admin.delete(made.location)
    assert (again.status, again.body) == (202, deleted.body)
    assert AuditEvent.objects.filter(verb="delete", object_id=made.body["id"]).count() == 1


def test_deletion_needs_the_version(admin: Caller, project: Project, cluster: Cluster) -> None:
    made = let_in(admin, project, cluster)
    assert admin.delete(made.location, etag=None).status == 428
    assert admin.delete(made.location, etag='"9"').status == 412
    assert admin.get(made.location).body["deletion_requested_at"] is None


def test_a_namespace_with_a_guest_cluster_in_it_stays(admin: Caller, tenant: Tenant, stage: Stage) -> None:
    place = make_place(tenant)
    assert admin.post("guest-clusters", order(place)).status == 202
    answer = admin.delete(f"project-namespaces/{place.namespace.pk}")
    assert (answer.status, answer.code) == (409, "object.in_use")


def test_a_namespace_cannot_be_changed(admin: Caller, project: Project, cluster: Cluster) -> None:
    assert admin.patch(let_in(admin, project, cluster).location, {}).status == 405


class TestMore:
    def test_with_a_name_it_is_one_more(self, admin: Caller, project: Project, cluster: Cluster) -> None:
        default = let_in(admin, project, cluster)
        body = {"project": str(project.pk), "cluster": str(cluster.pk), "name": "web-extra"}
        more = admin.post("project-namespaces", body)
        assert (more.status, more.body["name"], more.body["is_default"]) == (201, "web-extra", False)
        assert (default.body["is_default"], default.body["adopted"]) == (True, False)
        again = admin.post("project-namespaces", body)
        assert (again.status, again.faults) == (409, {"/name": "namespace.name_taken"})

    @pytest.mark.parametrize(("name", "code"), [("Up", "namespace.name_invalid"), ("kube-system", "namespace.system")])
    def test_a_name_that_is_not_to_be_had(
        self, admin: Caller, project: Project, cluster: Cluster, name: str, code: str
    ) -> None:
        body = {"project": str(project.pk), "cluster": str(cluster.pk), "name": name}
        assert admin.post("project-namespaces", body).faults == {"/name": code}

    @pytest.mark.parametrize("extra", [{"adopt": "a"}, {"plan": "b"}, {"adopt": "a", "plan": "b", "name": "c"}])
    def test_adoption_needs_name_and_plan_and_nothing_else(
        self, admin: Caller, project: Project, cluster: Cluster, extra: dict[str, str]
    ) -> None:
        body = {"project": str(project.pk), "cluster": str(cluster.pk), **extra}
        answer = admin.post("project-namespaces", body)
        assert (answer.status, list(answer.faults.values())) == (400, ["field.format"])
        assert not ProjectNamespace.objects.exists()

    def test_a_list_is_narrowed_by_tenant(self, admin: Caller, project: Project, cluster: Cluster) -> None:
        mine = let_in(admin, project, cluster)
        let_in(admin, make_project(), cluster)
        assert admin.ids(f"project-namespaces?tenant={project.tenant_id}") == {mine.body["id"]}


class TestMove:
    def test_an_administrator_moves_it_and_both_tenants_see_that(
        self, admin: Caller, owner: Caller, project: Project, cluster: Cluster
    ) -> None:
        made, there = let_in(admin, project, cluster), make_project()
        moved = admin.post(f"project-namespaces/{made.body['id']}/move", {"project": str(there.pk)})
        assert (moved.status, moved.body["project"], moved.body["tenant"]) == (201, str(there.pk), str(there.tenant_id))
        assert owner.ids("project-namespaces") == set()
        changes = AuditEvent.objects.filter(verb="move", tenant_id=project.tenant_id).get().changes
        assert changes["project"] == [str(project.pk), str(there.pk)]

    def test_sec33_an_owner_moves_nothing_and_learns_nothing_of_others(
        self, admin: Caller, owner: Caller, foreigner: Caller, project: Project, cluster: Cluster
    ) -> None:
        made = let_in(admin, project, cluster)
        path = f"project-namespaces/{made.body['id']}/move"
        assert owner.post(path, {"project": str(make_project(project.tenant).pk)}).code == "request.denied"
        assert foreigner.post(path, {"project": str(make_project().pk)}).code == "object.not_found"
        assert ProjectNamespace.objects.get().project == project

    def test_a_project_that_is_not_there_is_named(self, admin: Caller, project: Project, cluster: Cluster) -> None:
        made = let_in(admin, project, cluster)
        path = f"project-namespaces/{made.body['id']}/move"
        assert admin.post(path, {"project": str(uuid7())}).faults == {"/project": "reference.not_found"}
        assert admin.post(path, {}).faults == {"/project": "field.required"}
