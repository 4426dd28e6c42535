"""/api/v1/roles and /api/v1/built-in-roles"""

from typing import Any

import pytest

from hub.access.built_in_roles import ROLES
from hub.access.models import Role, RoleBinding
from hub.core.ids import uuid7
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, denials, make_caller
from tests.hub.builders import make_project, make_tenant, make_user

RULE = {"resources": ["virtual-machines"], "verbs": ["get", "start"]}
IN_MEMBERS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


def body(tenant: Tenant | None, **given: Any) -> dict[str, Any]:
    wanted = {"name": "starter", "scopes": ["tenant", "project"], "rules": [RULE]}
    return {**wanted, "tenant": str(tenant.pk) if tenant else None, **given}


def test_an_owner_makes_changes_locks_and_deletes_a_role_of_his_tenant(owner: Caller, tenant: Tenant) -> None:
    made = owner.post("roles", body(tenant, kubernetes_rules=[IN_MEMBERS], inherits=["vm-console-user"]))
    assert made.status == 201
    assert made.body == owner.get(made.location).body
    assert (made.body["tenant"], made.body["scopes"]) == (str(tenant.pk), ["tenant", "project"])
    assert made.body["rules"] == [RULE]
    assert made.body["kubernetes_rules"] == [{**IN_MEMBERS, "resourceNames": [], "nonResourceURLs": []}]
    assert made.body["can"] == ["create", "delete", "get", "list", "update"]
    changed = owner.patch(made.location, {"is_locked": True, "rules": []}, etag=made.etag)
    assert (changed.status, changed.body["rules"], changed.body["is_locked"]) == (200, [], True)
    assert changed.body["kubernetes_rules"] == made.body["kubernetes_rules"]
    assert owner.delete(made.location, etag=changed.etag).status == 204
    assert not Role.objects.exists()


def test_a_custom_role_is_bound_by_its_id_and_told_by_its_name(owner: Caller, nobody: Caller, tenant: Tenant) -> None:
    role = owner.post("roles", body(tenant)).body
    wanted = {"user": str(nobody.user_id), "role": role["id"], "tenant": str(tenant.pk)}
    binding = owner.post("role-bindings", wanted)
    assert (binding.status, binding.body["role"], binding.body["role_name"]) == (201, role["id"], "starter")
    assert owner.delete(f"roles/{role['id']}").code == "role.in_use"


@pytest.mark.parametrize(
    ("change", "status", "faults"),
    [
        ({"name": ""}, 400, {"/name": "field.length"}),
        ({"name": "hub-admin"}, 400, {"/name": "role.name_invalid"}),
        ({"scopes": []}, 400, {"/scopes": "field.length"}),
        ({"scopes": ["galaxy"]}, 400, {"/scopes/0": "field.choice"}),
        ({"scopes": ["hub"]}, 400, {"/scopes": "role.scopes_invalid"}),
        ({"rules": [{"resources": ["gadgets"], "verbs": ["get"]}]}, 400, {"/rules/0/resources": "role.rule_invalid"}),
        ({"rules": [{"resources": ["tenants"], "verbs": ["fly"]}]}, 400, {"/rules/0/verbs": "role.rule_invalid"}),
        ({"rules": [{"resources": ["tenants"]}]}, 400, {"/rules/0/verbs": "field.required"}),
        ({"rules": [{**RULE, "apiGroups": [""]}]}, 400, {"/rules/0/apiGroups": "field.unknown"}),
        (
            {"kubernetes_rules": [{**IN_MEMBERS, "nonResourceURLs": ["*"]}]},
            400,
            {"/kubernetes_rules/0/nonResourceURLs": "field.unknown"},
        ),
        (
            {"kubernetes_rules": [{**IN_MEMBERS, "verbs": ["fly"]}]},
            400,
            {"/kubernetes_rules/0/verbs": "role.rule_invalid"},
        ),
        ({"inherits": ["nobody"]}, 422, {"/inherits/0": "role.parent_unknown"}),
        ({"tenant": str(uuid7())}, 400, {"/tenant": "reference.not_found"}),
        ({"is_built_in": True}, 400, {"/is_built_in": "field.unknown"}),
    ],
)
def test_a_role_that_is_wrong_is_refused_with_its_place(
    admin: Caller, tenant: Tenant, change: dict[str, Any], status: int, faults: dict[str, str]
) -> None:
    answer = admin.post("roles", {**body(tenant), **change})
    assert (answer.status, answer.faults) == (status, faults)
    assert not Role.objects.exists()


def test_sec32_an_owner_makes_no_role_that_can_more_than_he(owner: Caller, tenant: Tenant) -> None:
    for wrong in (
        body(tenant, rules=[{"resources": ["tenants"], "verbs": ["create"]}]),
        body(tenant, inherits=["hub-admin"]),
        body(
            tenant,
            rules=[{"resources": ["clusters"], "verbs": ["proxy"]}],
            kubernetes_rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        ),
    ):
        answer = owner.post("roles", wrong)
        assert (answer.status, answer.faults) == (403, {"/rules": "role.escalates"})
    assert denials(owner) == [("create", "roles", None)] * 3


def test_sec32_a_role_that_is_bound_to_himself_does_not_grow(owner: Caller, tenant: Tenant) -> None:
    role = owner.post("roles", body(tenant)).body
    owner.post("role-bindings", {"user": str(owner.user_id), "role": role["id"], "tenant": str(tenant.pk)})
    wanted = {"rules": [{"resources": ["*"], "verbs": ["*"]}]}
    assert owner.patch(f"roles/{role['id']}", wanted).code == "role.escalates"
    assert owner.get("users").body["items"][0]["id"] == str(owner.user_id)
    assert len(owner.ids("users")) == 1


def test_sec33_a_role_of_another_tenant_or_of_the_hub_is_not_there(owner: Caller, admin: Caller) -> None:
    foreign, of_hub = (admin.post("roles", body(tenant)).body["id"] for tenant in (make_tenant(), None))
    answers = [owner.get(f"roles/{id}") for id in (foreign, of_hub, uuid7())]
    assert [answer.status for answer in answers] == [404] * 3
    assert answers[0].problem == answers[1].problem == answers[2].problem
    assert owner.ids("roles") == set()
    assert admin.ids("roles") == {foreign, of_hub}
    assert owner.post("roles", body(None)).code == "request.denied"


def test_a_viewer_makes_none_and_sees_none(owner: Caller, tenant: Tenant) -> None:
    viewer = make_caller("project-viewer", tenant)
    owner.post("roles", body(tenant))
    assert viewer.post("roles", body(tenant)).code == "request.denied"
    assert viewer.ids("roles") == set()


def test_built_in_roles_are_told_to_everybody_and_changed_by_nobody(nobody: Caller, admin: Caller) -> None:
    told = nobody.items("built-in-roles")
    assert [role["name"] for role in told] == list(ROLES)
    by_name = {role["name"]: role for role in told}
    assert by_name["hub-admin"]["rules"] == [{"resources": ["*"], "verbs": ["*"]}]
    assert by_name["tenant-owner"]["in_clusters"] == "cluster-admin"
    assert by_name["cluster-admin"]["kubernetes_rules"][1]["nonResourceURLs"] == ["*"]
    assert admin.post("built-in-roles", {}).status == 405
    assert admin.call("delete", "built-in-roles/hub-admin").status in (404, 405)


def test_lists_are_sorted_and_narrowed(admin: Caller, tenant: Tenant) -> None:
    for name in ("b", "a", "c"):
        admin.post("roles", body(tenant, name=name))
    assert [role["name"] for role in admin.items("roles")] == ["a", "b", "c"]
    assert [role["name"] for role in admin.items("roles?sort=-name&limit=2")][:2] == ["c", "b"]
    assert [role["name"] for role in admin.items(f"roles?tenant={tenant.pk}&name=b")] == ["b"]


def test_a_project_owner_uses_his_tenants_roles_only_as_far_as_he_has_their_rights(
    owner: Caller, tenant: Tenant
) -> None:
    project = make_project(tenant)
    in_charge = make_caller("project-owner", project)
    role = owner.post("roles", body(tenant)).body["id"]
    wanted = {"user": str(make_user().pk), "role": role, "project": str(project.pk)}
    assert in_charge.post("role-bindings", wanted).status == 201
    assert in_charge.post("role-bindings", {**wanted, "project": str(make_project(tenant).pk)}).status == 400
    assert RoleBinding.objects.filter(role=role).count() == 1
