"""/api/v1/role-bindings"""

from typing import Any

import pytest

from hub.access.models import RoleBinding
from hub.audit.models import AuditEvent
from hub.core.ids import uuid7
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, denials, make_caller
from tests.hub.builders import bind, make_cluster, make_project, make_tenant, make_user


def test_an_owner_lets_a_second_person_in_and_out(owner: Caller, nobody: Caller, tenant: Tenant) -> None:
    made = owner.post("role-bindings", {"user": str(nobody.user_id), "role": "tenant-owner", "tenant": str(tenant.pk)})
    binding = RoleBinding.objects.get(user=nobody.user_id)
    assert (made.status, made.location) == (201, f"/api/v1/role-bindings/{binding.pk}")
    assert made.body == owner.get(made.location).body
    assert {
        name: made.body[name] for name in ("user", "username", "role", "scope", "tenant", "project", "cluster")
    } == {
        "user": str(nobody.user_id),
        "username": nobody.user.name,
        "role": "tenant-owner",
        "scope": "tenant",
        "tenant": str(tenant.pk),
        "project": None,
        "cluster": None,
    }
    assert nobody.ids("tenants") == {str(tenant.pk)}
    assert owner.delete(made.location, etag=made.etag).status == 204
    assert nobody.ids("tenants") == set()
    assert owner.get(made.location).status == 404
    events = AuditEvent.objects.filter(object_id=binding.pk).order_by("at")
    assert [(event.verb, event.actor_id) for event in events] == [
        ("create", owner.user_id),
        ("delete", owner.user_id),
    ]


def test_a_projects_binding_names_its_tenant_too(owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    body = {"user": str(make_user().pk), "role": "project-viewer", "project": str(project.pk), "tenant": None}
    made = owner.post("role-bindings", body)
    assert (made.status, made.body["scope"]) == (201, "project")
    assert (made.body["project"], made.body["tenant"]) == (str(project.pk), str(tenant.pk))


def test_an_administrator_makes_another_one(admin: Caller, nobody: Caller) -> None:
    made = admin.post("role-bindings", {"user": str(nobody.user_id), "role": "hub-admin"})
    assert (made.status, made.body["scope"]) == (201, "hub")
    assert nobody.get(made.location).status == 200


def test_sec32_nobody_makes_an_administrator_but_one(owner: Caller, nobody: Caller) -> None:
    for caller in (owner, nobody):
        answer = caller.post("role-bindings", {"user": str(caller.user_id), "role": "hub-admin"})
        assert (answer.status, answer.code) == (403, "request.denied")
        assert denials(caller) == [("create", "role-bindings", None)]
    assert not RoleBinding.objects.filter(role="hub-admin").exists()


def test_sec32_who_may_bind_but_lacks_a_right_of_the_role_does_not_give_it(admin: Caller, tenant: Tenant) -> None:
    narrow = admin.narrowed(verbs=frozenset({"get", "list", "create"}))
    body = {"user": str(admin.user_id), "tenant": str(tenant.pk)}
    answer = narrow.post("role-bindings", {**body, "role": "tenant-owner"})
    assert (answer.status, answer.faults) == (403, {"/role": "role_binding.escalates"})
    assert not RoleBinding.objects.filter(role="tenant-owner").exists()


def test_sec33_an_owner_gives_nothing_in_another_tenant(owner: Caller, tenant: Tenant) -> None:
    foreign, user = make_project(), str(make_user().pk)
    for member, ids in (("tenant", (foreign.tenant_id, uuid7())), ("project", (foreign.pk, uuid7()))):
        body = {"user": user, "role": "project-viewer"}
        answers = [owner.post("role-bindings", {**body, member: str(id)}) for id in ids]
        assert [answer.faults for answer in answers] == [{f"/{member}": "reference.not_found"}] * 2
        assert answers[0].problem == answers[1].problem


def test_a_viewer_is_denied_whoever_he_names(tenant: Tenant) -> None:
    viewer = make_caller("project-viewer", tenant)
    for user in (make_user().pk, uuid7()):
        body = {"user": str(user), "role": "project-viewer", "tenant": str(tenant.pk)}
        assert viewer.post("role-bindings", body).code == "request.denied"
    assert viewer.ids("role-bindings") == set()


@pytest.mark.parametrize(
    ("change", "status", "faults"),
    [
        ({"user": None}, 400, {"/user": "field.format"}),
        ({"user": "x"}, 400, {"/user": "field.format"}),
        ({"user": str(uuid7())}, 400, {"/user": "reference.not_found"}),
        ({"role": ""}, 400, {"/role": "field.length"}),
        ({"role": None}, 400, {"/role": "field.type"}),
        ({"role": "cluster-admin"}, 422, {"/role": "role.unknown"}),
        ({"role": "hub-admin"}, 422, {"/role": "role.scope_unfit"}),
        ({"tenant": None}, 422, {"/role": "role.scope_unfit"}),
        ({"tenant": 5}, 400, {"/tenant": "field.format"}),
        ({"scope": "hub"}, 400, {"/scope": "field.unknown"}),
    ],
)
def test_a_binding_that_is_wrong_is_refused_with_its_place(
    admin: Caller, tenant: Tenant, change: dict[str, Any], status: int, faults: dict[str, str]
) -> None:
    body = {"user": str(make_user().pk), "role": "tenant-owner", "tenant": str(tenant.pk), **change}
    answer = admin.post("role-bindings", body)
    assert (answer.status, answer.faults) == (status, faults)
    assert not RoleBinding.objects.filter(role="tenant-owner").exists()


def test_no_role_is_bound_on_two_things_or_on_a_cluster_yet(admin: Caller, tenant: Tenant) -> None:
    body = {"user": str(make_user().pk), "role": "project-viewer", "cluster": str(make_cluster().pk)}
    assert admin.post("role-bindings", body).faults == {"/role": "role.scope_unfit"}
    answer = admin.post("role-bindings", {**body, "tenant": str(tenant.pk)})
    assert (answer.status, answer.code) == (400, "role_binding.many_scopes")


def test_the_same_binding_twice_is_refused(owner: Caller, tenant: Tenant) -> None:
    body = {"user": str(make_user().pk), "role": "project-viewer", "tenant": str(tenant.pk)}
    answers = [owner.post("role-bindings", body) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 409]
    assert answers[1].faults == {"/role": "role_binding.exists"}


def test_a_list_is_narrowed_by_user_role_tenant_and_project(admin: Caller, owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    viewer = make_caller("project-viewer", project)
    elsewhere = bind(viewer.user, "project-viewer", make_tenant())
    own, of_project = RoleBinding.objects.get(user=owner.user_id), RoleBinding.objects.get(project=project)
    assert owner.ids("role-bindings") == {str(own.pk), str(of_project.pk)}
    assert admin.ids(f"role-bindings?user={viewer.user_id}") == {str(of_project.pk), str(elsewhere.pk)}
    assert admin.ids("role-bindings?role=tenant-owner") == {str(own.pk)}
    assert admin.ids(f"role-bindings?tenant={tenant.pk}") == {str(own.pk), str(of_project.pk)}
    assert admin.ids(f"role-bindings?project={project.pk}") == {str(of_project.pk)}


def test_sec37_the_last_administrator_keeps_his_role(admin: Caller) -> None:
    path = f"role-bindings/{RoleBinding.objects.get(user=admin.user_id).pk}"
    answer = admin.delete(path)
    assert (answer.status, answer.code) == (409, "role_binding.last_admin")
    make_caller("hub-admin")
    assert admin.delete(path).status == 204
    assert admin.get("users").body["items"][0]["id"] == str(admin.user_id)


def test_taking_a_role_away_needs_the_version(owner: Caller) -> None:
    path = f"role-bindings/{RoleBinding.objects.get(user=owner.user_id).pk}"
    assert owner.delete(path, etag=None).status == 428
    assert owner.delete(path, etag='"9"').status == 412


def test_sec33_the_bindings_of_another_tenant_are_out_of_reach(owner: Caller, foreigner: Caller) -> None:
    path = f"role-bindings/{RoleBinding.objects.get(user=foreigner.user_id).pk}"
    assert (owner.get(path).status, owner.delete(path).status) == (404, 404)
    assert RoleBinding.objects.filter(user=foreigner.user_id).exists()


def test_a_binding_cannot_be_changed(owner: Caller) -> None:
    path = f"role-bindings/{RoleBinding.objects.get(user=owner.user_id).pk}"
    assert owner.patch(path, {}).status == 405
