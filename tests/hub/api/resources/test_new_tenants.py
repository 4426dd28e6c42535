"""A tenant in one step: with grants, budget and owner, or not at all; and what lists of tenants and projects take."""

from typing import Any

import pytest
from django.db import transaction

from hub.access.models import Invitation, Role, RoleBinding
from hub.allowances.models import Grant, Quota
from hub.api.models import KeptAnswer
from hub.audit.models import AuditEvent
from hub.core.changes import record_insert
from hub.core.ids import uuid7
from hub.federation.models import Cluster, ClusterKind
from hub.tenancy.models import Project, Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_cluster, make_project, make_tenant, make_user


@pytest.fixture
def cluster(db: None) -> Cluster:
    return make_cluster(kind=ClusterKind.HARVESTER)


def grant(cluster: Cluster, kind: str = "image", name: str = "default/ubuntu") -> dict[str, Any]:
    return {"cluster": str(cluster.pk), "kind": kind, "name": name}


def nothing_is_left() -> bool:
    return not any(model.objects.exists() for model in (Tenant, Grant, Quota, Invitation))


def test_a_tenant_is_made_with_grants_budget_and_an_invitation_in_one_step(admin: Caller, cluster: Cluster) -> None:
    other = make_cluster()
    body = {
        "name": "blue",
        "grants": [grant(cluster), grant(cluster, "network", "default/vlan1"), grant(other, "storage_class", "*")],
        "quota": {"cpu": 16, "memory": "64Gi"},
        "invite_owner": {"note": "Ann", "expires_in_seconds": 3600},
    }
    answer = admin.post("tenants", body)
    assert answer.status == 201
    tenant = Tenant.objects.get()
    assert set(map(str, Grant.objects.filter(tenant=tenant).values_list("pk", flat=True))) == set(answer.body["grants"])
    assert len(answer.body["grants"]) == 3
    quota = Quota.objects.get()
    assert (str(quota.pk), quota.limits) == (answer.body["quota"], {"cpu": 16, "memory": 65536})
    assert (quota.tenant, quota.project, quota.cluster) == (tenant, None, None)
    invitation = Invitation.objects.get()
    assert (invitation.tenant, invitation.role, invitation.note) == (tenant, "tenant-owner", "Ann")
    shown = answer.body["invitation"]
    assert shown["id"] == str(invitation.pk)
    assert "/invitations/pdi_" in shown["link"]
    assert answer.body["role_binding"] is None
    assert set(admin.get(answer.location).body) == {
        "id",
        "version",
        "created_at",
        "updated_at",
        "name",
        "display_name",
        "can",
    }
    created = AuditEvent.objects.filter(verb="create", tenant_id=tenant.pk).values_list("resource", flat=True)
    assert sorted(created) == ["grants", "grants", "grants", "invitations", "quotas", "tenants"]


def test_sec01_the_link_is_kept_nowhere_but_in_the_sealed_answer(admin: Caller) -> None:
    body = {"name": "blue", "invite_owner": {}}
    link = admin.post("tenants", body, key="once").body["invitation"]["link"]
    assert admin.post("tenants", body, key="once").body["invitation"]["link"] == link
    secret = link.rpartition("_")[2]
    kept = KeptAnswer.objects.filter(key="once").values_list("body", flat=True).get()
    assert secret not in str(kept)
    assert not any(secret in str([event.detail, event.changes]) for event in AuditEvent.objects.all())


def test_somebody_who_is_known_becomes_the_owner_at_once(admin: Caller) -> None:
    user = make_user()
    answer = admin.post("tenants", {"name": "blue", "owner": str(user.pk)})
    binding = RoleBinding.objects.get(user=user)
    assert (answer.status, answer.body["role_binding"]) == (201, str(binding.pk))
    assert (binding.role, binding.tenant) == ("tenant-owner", Tenant.objects.get())


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"quota": {"cpu": "lots"}}, "/quota/cpu", "quota.amount_invalid"),
        ({"owner": str(uuid7())}, "/owner", "reference.not_found"),
        ({"invite_owner": {"note": "a\nb"}}, "/note", "invitation.note_invalid"),
        ({"invite_owner": {"expires_in_seconds": 0}}, "/invite_owner/expires_in_seconds", "field.range"),
        ({"name": "No"}, "/name", "name.invalid"),
        (
            {"grants": [{"cluster": str(uuid7()), "kind": "image", "name": "a/b"}]},
            "/grants/0/cluster",
            "reference.not_found",
        ),
        ({"version": 3}, "/version", "field.unknown"),
        ({"id": "x"}, "/id", "field.unknown"),
    ],
)
def test_sec42_what_is_wrong_with_one_part_leaves_nothing_of_the_others(
    admin: Caller, cluster: Cluster, change: dict[str, Any], pointer: str, code: str
) -> None:
    body = {"name": "blue", "grants": [grant(cluster)], "quota": {"cpu": 1}, "invite_owner": {}, **change}
    answer = admin.post("tenants", body)
    assert (answer.status // 100, answer.faults) == (4, {pointer: code})
    assert nothing_is_left()


def test_a_bad_name_among_grants_is_told_with_its_place(admin: Caller, cluster: Cluster) -> None:
    bodies = [grant(make_cluster()), grant(cluster, name="A")]
    assert admin.post("tenants", {"name": "blue", "grants": bodies}).faults == {"/grants/1/name": "grant.name_invalid"}
    assert nothing_is_left()


def test_sec33_a_cluster_of_another_tenant_is_granted_to_nobody(admin: Caller) -> None:
    project = make_project()
    answer = admin.post("tenants", {"name": "blue", "grants": [grant(make_cluster(project=project))]})
    assert answer.code == "cluster.foreign"
    assert Tenant.objects.get() == project.tenant


def test_owners_of_tenants_make_no_tenants(owner: Caller, cluster: Cluster) -> None:
    assert owner.post("tenants", {"name": "blue", "invite_owner": {}}).code == "request.denied"
    assert Tenant.objects.count() == 1


def test_tenants_and_projects_are_found_and_sorted(admin: Caller) -> None:
    for name in ("b", "c", "a"):
        body = {"tenant": admin.post("tenants", {"name": name, "display_name": "Same"}).body["id"], "name": "web"}
        assert admin.post("projects", {**body, "display_name": f"Web of {name}"}).status == 201
    assert [item["name"] for item in admin.items("tenants?sort=name")] == ["a", "b", "c"]
    assert [item["name"] for item in admin.items("tenants?sort=-updated_at")] == ["a", "c", "b"]
    assert len(admin.items("tenants?display_name=Same")) == 3
    assert [item["name"] for item in admin.items("tenants?name=c")] == ["c"]
    (found,) = admin.items("projects?display_name=Web of a".replace(" ", "%20"))
    assert found["name"] == "web"
    assert len(admin.items("projects?name=web&sort=-updated_at")) == 3


def test_sec41_filters_sorting_and_lookups_count_only_what_is_visible(owner: Caller, tenant: Tenant) -> None:
    hidden = make_project(make_tenant(), "secret")
    make_project(tenant, "seen")
    for query in ("", f"?name={hidden.name}", f"?tenant={hidden.tenant_id}", "?sort=name", "?sort=-name"):
        assert str(hidden.pk) not in owner.ids(f"projects{query}")
    assert owner.ids(f"tenants?name={hidden.tenant.name}") == set()
    assert owner.ids("tenants") == {str(tenant.pk)}
    for unknown in ("tenant__name", "name__startswith", "count", "tenant__owner__password"):
        assert owner.get(f"projects?{unknown}=a").code == "query.unknown"
    assert owner.get("projects?sort=tenant__name").code == "query.invalid"


def test_sec41_what_keeps_a_project_from_being_deleted_names_nobody_else_s(owner: Caller, tenant: Tenant) -> None:
    project = make_project(tenant)
    make_cluster(project=project)
    make_cluster(project=make_project())
    answer = owner.delete(f"projects/{project.pk}")
    assert (answer.status, answer.body["params"]) == (409, {"inside": {"clusters": 1}})
    assert Project.objects.filter(pk=project.pk).exists()


@pytest.mark.parametrize(
    ("part", "resource"),
    [("grants", "grants"), ("quota", "quotas"), ("owner", "role-bindings"), ("invite_owner", "invitations")],
)
def test_sec32_a_role_that_only_makes_tenants_gives_nothing_by_the_way(
    cluster: Cluster, part: str, resource: str
) -> None:
    rules = [
        {"resources": ["tenants"], "verbs": ["create", "get", "list"]},
        {"resources": ["clusters", "users"], "verbs": ["get", "list"]},
    ]
    role = Role(name="registrar", scopes=["hub"], rules=rules)
    with transaction.atomic():
        record_insert(role)
    caller = make_caller(role.key)
    parts = {"grants": [grant(cluster)], "quota": {"cpu": 1}, "owner": str(make_user().pk), "invite_owner": {}}
    answer = caller.post("tenants", {"name": "blue", part: parts[part]})
    assert (answer.code, answer.body["params"]) == ("request.denied", {"verb": "create", "resource": resource})
    assert nothing_is_left()
    assert caller.post("tenants", {"name": "blue"}).status == 201
