"""/api/v1/whoami"""

from hub.identity.models import ApiToken
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_project


def test_a_caller_sees_himself_his_token_and_his_roles(owner: Caller, tenant: Tenant) -> None:
    body = owner.get("whoami").body
    assert body == {
        "kind": "user",
        "id": str(owner.user_id),
        "name": owner.user.name,
        "token": str(ApiToken.objects.get(user_id=owner.user_id).pk),
        "scope": {"read_only": False, "verbs": None, "projects": None, "clusters": None},
        "roles": [{"role": "tenant-owner", "scope_kind": "tenant", "scope_id": str(tenant.pk)}],
    }


def test_a_role_on_the_whole_hub_has_no_scope_id(admin: Caller) -> None:
    assert admin.get("whoami").body["roles"] == [{"role": "hub-admin", "scope_kind": "hub", "scope_id": None}]


def test_what_a_token_narrows_is_shown(tenant: Tenant) -> None:
    project = make_project(tenant)
    viewer = make_caller("project-viewer", project).narrowed(read_only=True, projects=frozenset({project.pk}))
    assert viewer.get("whoami").body["scope"] == {
        "read_only": True,
        "verbs": None,
        "projects": [str(project.pk)],
        "clusters": None,
    }


def test_somebody_without_roles_is_still_somebody(nobody: Caller, stranger: Caller) -> None:
    assert nobody.get("whoami").body["roles"] == []
    assert stranger.get("whoami").status == 401


def test_whoami_is_only_read(admin: Caller) -> None:
    assert [admin.call(method, "whoami", {}).status for method in ("POST", "PATCH", "DELETE")] == [405] * 3
