"""/api/v1/role-bindings"""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hub.access.models import RoleBinding
from hub.access.services import bind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.tenancy.models import Tenant
from hub.tenancy.service_accounts import create_service_account
from tests.hub.access.groups import make_group
from tests.hub.api.callers import Caller, denials, make_caller
from tests.hub.builders import bind, make_cluster, make_project, make_tenant, make_user, user_of


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
        ({"user": "x"}, 400, {"/user": "field.format"}),
        ({"user": str(uuid7())}, 400, {"/user": "reference.not_found"}),
        ({"role": ""}, 400, {"/role": "field.length"}),
        ({"role": None}, 400, {"/role": "field.type"}),
        ({"role": "cluster-emperor"}, 422, {"/role": "role.unknown"}),
        ({"role": str(uuid7())}, 422, {"/role": "role.unknown"}),
        ({"role": "cluster-admin"}, 422, {"/role": "role.scope_unfit"}),
        ({"expires_at": "tomorrow"}, 400, {"/expires_at": "field.format"}),
        ({"expires_at": "2036-01-01T00:00:00"}, 400, {"/expires_at": "field.format"}),
        ({"expires_at": 5}, 400, {"/expires_at": "field.format"}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, {"/expires_at": "role_binding.ended"}),
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


def test_no_role_is_bound_on_two_things_or_where_it_does_not_fit(admin: Caller, tenant: Tenant) -> None:
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


def test_a_group_gets_a_role_and_is_told_by_its_name(admin: Caller, tenant: Tenant) -> None:
    group = make_group("/ops")
    made = admin.post("role-bindings", {"group": str(group.pk), "role": "project-viewer", "tenant": str(tenant.pk)})
    assert (made.status, made.body["group"], made.body["group_name"]) == (201, str(group.pk), "/ops")
    assert (made.body["user"], made.body["username"]) == (None, None)
    assert admin.ids(f"role-bindings?group={group.pk}") == {made.body["id"]}


def test_a_service_account_gets_a_role_in_its_own_tenant_only(admin: Caller, owner: Caller, tenant: Tenant) -> None:
    account = create_service_account(SYSTEM, make_project(tenant), "ci")
    body = {"service_account": str(account.pk), "role": "project-viewer"}
    made = owner.post("role-bindings", {**body, "tenant": str(tenant.pk)})
    assert (made.status, made.body["service_account"]) == (201, str(account.pk))
    assert (made.body["user"], made.body["username"]) == (str(account.user_id), account.user.username)
    assert owner.ids(f"role-bindings?service_account={account.pk}") == {made.body["id"]}
    answer = admin.post("role-bindings", {**body, "tenant": str(make_tenant().pk)})
    assert (answer.status, answer.faults) == (422, {"/user": "role_binding.foreign"})


def test_sec40_by_name_an_owner_finds_only_who_is_in_his_tenant(
    admin: Caller, owner: Caller, nobody: Caller, tenant: Tenant
) -> None:
    body = {"role": "project-viewer", "tenant": str(tenant.pk)}
    answers = [owner.post("role-bindings", {**body, "username": name}) for name in (nobody.user.name, "no-such-user")]
    assert [answer.faults for answer in answers] == [{"/username": "reference.not_found"}] * 2
    assert answers[0].problem == answers[1].problem
    assert admin.post("role-bindings", {**body, "username": nobody.user.name}).status == 201
    wanted = {"role": "project-member", "tenant": str(tenant.pk), "username": nobody.user.name}
    assert owner.post("role-bindings", wanted).body["user"] == str(nobody.user_id)


@pytest.mark.parametrize("subjects", [{}, {"user": str(uuid7()), "username": "x"}, {"user": None, "group": None}])
def test_a_binding_has_one_subject(admin: Caller, tenant: Tenant, subjects: dict[str, Any]) -> None:
    answer = admin.post("role-bindings", {"role": "tenant-owner", "tenant": str(tenant.pk), **subjects})
    assert (answer.status, answer.code) == (400, "role_binding.one_subject")


def test_a_binding_ends_when_it_is_told_to_and_its_end_can_be_moved(
    owner: Caller, nobody: Caller, tenant: Tenant
) -> None:
    body = {"user": str(nobody.user_id), "role": "project-viewer", "tenant": str(tenant.pk)}
    made = owner.post("role-bindings", {**body, "expires_at": "2036-01-01T02:00:00+02:00"})
    assert made.body["expires_at"] == "2036-01-01T00:00:00Z"
    moved = owner.patch(made.location, {"expires_at": "2035-01-01T00:00:00Z"}, etag=made.etag)
    assert (moved.status, moved.body["expires_at"]) == (200, "2035-01-01T00:00:00Z")
    assert owner.ids("role-bindings?expires_before=2035-06-01T00:00:00Z") == {made.body["id"]}
    assert owner.patch(made.location, {"expires_at": None}, etag=moved.etag).body["expires_at"] is None
    assert owner.patch(made.location, {"expires_at": None}, etag=made.etag).status == 412
    assert owner.patch(made.location, {"role": "tenant-owner"}).faults == {"/role": "field.unknown"}
    RoleBinding.objects.filter(pk=made.body["id"]).update(expires_at=timezone.now())
    assert nobody.ids("tenants") == set()
    event = AuditEvent.objects.filter(object_id=made.body["id"], verb="update").order_by("at")[0]
    assert event.changes["expires_at"] == ["2036-01-01 00:00:00+00:00", "2035-01-01 00:00:00+00:00"]


def test_sec32_nobody_gives_a_role_for_longer_than_he_has_it(nobody: Caller, tenant: Tenant) -> None:
    end = timezone.now() + timedelta(days=1)
    bind_role(SYSTEM, "tenant-owner", user_of(nobody.user), tenant, expires_at=end)
    body = {"user": str(make_user().pk), "role": "project-viewer", "tenant": str(tenant.pk)}
    for expires_at in (None, (end + timedelta(minutes=1)).isoformat()):
        answer = nobody.post("role-bindings", {**body, "expires_at": expires_at})
        assert (answer.status, answer.faults) == (403, {"/role": "role_binding.escalates"})
    made = nobody.post("role-bindings", {**body, "expires_at": (end - timedelta(minutes=1)).isoformat()})
    assert made.status == 201
    own = f"role-bindings/{RoleBinding.objects.get(user=nobody.user_id).pk}"
    for path in (made.location, own):
        assert nobody.patch(path, {"expires_at": None}).faults == {"/role": "role_binding.escalates"}


def test_sec37_the_last_administrators_role_does_not_come_to_an_end(admin: Caller) -> None:
    path = f"role-bindings/{RoleBinding.objects.get(user=admin.user_id).pk}"
    assert admin.patch(path, {"expires_at": "2036-01-01T00:00:00Z"}).code == "role_binding.last_admin"
    make_caller("hub-admin")
    assert admin.patch(path, {"expires_at": "2036-01-01T00:00:00Z"}).status == 200


def test_lists_are_sorted_and_narrowed_by_scope_and_cluster(admin: Caller, tenant: Tenant) -> None:
    cluster = make_cluster()
    body = {"user": str(make_user().pk), "role": "cluster-viewer", "cluster": str(cluster.pk)}
    of_cluster = admin.post("role-bindings", body).body["id"]
    assert admin.ids("role-bindings?scope=cluster") == admin.ids(f"role-bindings?cluster={cluster.pk}") == {of_cluster}
    assert [item["role"] for item in admin.items("role-bindings?sort=role")] == ["cluster-viewer", "hub-admin"]
    assert admin.get("role-bindings?scope=galaxy").code == "query.invalid"
    assert admin.get("role-bindings?sort=expires_at").code == "query.invalid"


def test_a_list_asks_the_database_as_often_for_many_as_for_one(
    admin: Caller, tenant: Tenant, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        bind_role(SYSTEM, "project-viewer", make_group("/x"), tenant)
        bind_role(SYSTEM, "project-viewer", make_user(), tenant)
    admin.get("whoami")
    with django_assert_max_num_queries(6):
        assert len(admin.items("role-bindings")) == 11
