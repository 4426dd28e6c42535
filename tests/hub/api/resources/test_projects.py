"""/api/v1/projects"""

import pytest

from hub.core.ids import uuid7
from hub.tenancy.models import Project, Tenant
from tests.hub.api.callers import Caller, denials, make_caller
from tests.hub.builders import make_cluster, make_namespace, make_project, make_tenant


def test_an_owner_makes_changes_and_deletes_projects_of_his_tenant(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("projects", {"name": "web", "tenant": str(tenant.pk), "display_name": "Web"})
    assert (made.status, made.body["tenant"], made.body["name"]) == (201, str(tenant.pk), "web")
    changed = owner.patch(made.location, {"name": "web-2", "display_name": None}, etag=made.etag)
    assert (changed.status, changed.body["name"], changed.body["display_name"]) == (200, "web-2", "")
    assert owner.delete(made.location, etag=changed.etag).status == 204
    assert owner.get(made.location).status == 404


def test_sec40_the_id_of_a_foreign_tenant_is_as_good_as_none(owner: Caller, tenant: Tenant) -> None:
    answers = [owner.post("projects", {"name": "web", "tenant": str(id)}) for id in (make_tenant().pk, uuid7())]
    assert [(answer.status, answer.faults) for answer in answers] == [(400, {"/tenant": "reference.not_found"})] * 2
    assert answers[0].problem == answers[1].problem
    assert not Project.objects.exists()


@pytest.mark.parametrize("tenant_id", [None, 5, "x", "", [], {}])
def test_a_malformed_tenant_is_refused_with_its_place(owner: Caller, tenant_id: object) -> None:
    answer = owner.post("projects", {"name": "web", "tenant": tenant_id})
    assert (answer.status, list(answer.faults)) == (400, ["/tenant"])


def test_who_sees_a_tenant_and_may_not_make_projects_there_is_denied(tenant: Tenant) -> None:
    viewer = make_caller("project-viewer", tenant)
    answer = viewer.post("projects", {"name": "web", "tenant": str(tenant.pk)})
    assert (answer.status, answer.code) == (403, "request.denied")
    assert denials(viewer) == [("create", "projects", None)]
    assert not Project.objects.exists()


def test_two_tenants_may_use_one_name_and_one_tenant_may_not(admin: Caller) -> None:
    first, second = make_tenant(), make_tenant()
    bodies = [{"name": "web", "tenant": str(tenant.pk)} for tenant in (first, second, first)]
    answers = [admin.post("projects", body) for body in bodies]
    assert [answer.status for answer in answers] == [201, 201, 409]
    assert answers[2].faults == {"/name": "project.name_taken"}


def test_a_project_does_not_change_its_tenant(admin: Caller) -> None:
    project = make_project()
    answer = admin.patch(f"projects/{project.pk}", {"tenant": str(make_tenant().pk)})
    assert (answer.status, answer.faults) == (400, {"/tenant": "field.unknown"})


def test_a_project_with_namespaces_stays(owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    make_namespace(project, make_cluster())
    answer = owner.delete(f"projects/{project.pk}")
    assert (answer.status, answer.code) == (409, "object.in_use")
    assert Project.objects.filter(pk=project.pk).exists()


def test_a_stale_change_is_refused(owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    assert owner.patch(f"projects/{project.pk}", {"display_name": "A"}, etag='"1"').status == 200
    assert owner.patch(f"projects/{project.pk}", {"display_name": "B"}, etag='"1"').status == 412
    assert owner.delete(f"projects/{project.pk}", etag='"1"').status == 412


def test_a_token_for_one_project_makes_no_other_and_sees_no_other(owner: Caller, tenant: Tenant) -> None:
    inside, outside = make_project(tenant), make_project(tenant)
    narrow = owner.narrowed(projects=frozenset({inside.pk}))
    assert narrow.ids("projects") == {str(inside.pk)}
    assert narrow.get(f"projects/{outside.pk}").status == 404
    assert narrow.post("projects", {"name": "web", "tenant": str(tenant.pk)}).code == "request.denied"
