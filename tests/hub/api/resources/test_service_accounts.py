"""/api/v1/service-accounts and the tokens below them."""

import pytest

from hub.access.services import bind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.ids import uuid7
from hub.identity.models import ApiToken, User
from hub.tenancy.models import Project, ServiceAccount, Tenant
from hub.tenancy.service_accounts import create_service_account
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_project


@pytest.fixture
def project(tenant: Tenant) -> Project:
    return make_project(tenant)


@pytest.fixture
def account(project: Project) -> ServiceAccount:
    return create_service_account(SYSTEM, project, "ci")


@pytest.fixture
def project_owner(project: Project) -> Caller:
    return make_caller("project-owner", project)


def test_an_owner_makes_an_account_gives_it_a_role_and_a_token(project_owner: Caller, project: Project) -> None:
    made = project_owner.post("service-accounts", {"name": "ci", "project": str(project.pk), "description": "builds"})
    assert made.status == 201
    assert (made.body["tenant"], made.body["is_active"]) == (str(project.tenant_id), True)
    binding = {"user": made.body["user"], "role": "project-viewer", "project": str(project.pk)}
    assert project_owner.post("role-bindings", binding).status == 201
    issued = project_owner.post(f"{made.location.removeprefix('/api/v1/')}/tokens", {"name": "runner"})
    assert (issued.status, issued.body["user"]) == (201, made.body["user"])
    assert "delete" in issued.body["can"]
    robot = Caller(token=issued.body["token"])
    assert robot.get("whoami").body["kind"] == "service_account"
    assert robot.ids("projects") == {str(project.pk)}
    assert robot.post("service-accounts", {"name": "x", "project": str(project.pk)}).code == "request.denied"


def test_its_tokens_are_seen_rotated_and_revoked_by_who_rules_the_project(
    project_owner: Caller, account: ServiceAccount, foreigner: Caller, nobody: Caller
) -> None:
    issued = project_owner.post(f"service-accounts/{account.pk}/tokens", {"name": "runner"})
    path = f"tokens/{issued.body['id']}"
    assert issued.body["id"] in project_owner.ids(f"tokens?user={account.user_id}")
    for stranger in (foreigner, nobody):
        assert stranger.get(path).status == 404
        assert stranger.post(f"{path}/rotate", {}).status == 404
        assert stranger.delete(path).status == 404
    rotated = project_owner.post(f"{path}/rotate", {"overlap_seconds": 0})
    assert rotated.status == 201
    assert Caller(token=issued.body["token"]).get("whoami").status == 401
    assert Caller(token=rotated.body["token"]).get("whoami").status == 200
    assert project_owner.delete(f"tokens/{rotated.body['id']}").status == 204
    assert Caller(token=rotated.body["token"]).get("whoami").status == 401


def test_an_account_rotates_a_token_of_its_own(project_owner: Caller, account: ServiceAccount) -> None:
    issued = project_owner.post(f"service-accounts/{account.pk}/tokens", {"name": "runner"}).body
    robot = Caller(token=issued["token"])
    assert Caller(token=robot.post(f"tokens/{issued['id']}/rotate", {}).body["token"]).get("whoami").status == 200


def test_sec37_who_has_fewer_rights_than_the_account_does_not_speak_for_it(
    project_owner: Caller, owner: Caller, account: ServiceAccount, tenant: Tenant
) -> None:
    token = owner.post(f"service-accounts/{account.pk}/tokens", {"name": "runner"})
    assert token.status == 201
    bind_role(SYSTEM, "tenant-owner", account.user, tenant)
    path = f"service-accounts/{account.pk}"
    count = ApiToken.objects.count()
    assert project_owner.post(f"{path}/tokens", {"name": "up"}).code == "user.outranks"
    assert project_owner.post(f"tokens/{token.body['id']}/rotate", {}).code == "user.outranks"
    assert project_owner.delete(f"tokens/{token.body['id']}").code == "user.outranks"
    assert project_owner.patch(path, {"is_active": False}).code == "user.outranks"
    assert project_owner.delete(path).code == "user.outranks"
    assert ApiToken.objects.count() == count
    assert owner.post(f"{path}/tokens", {"name": "equal"}).status == 201


def test_sec32_a_narrow_token_issues_no_wider_one_for_an_account(
    project_owner: Caller, account: ServiceAccount
) -> None:
    narrow = project_owner.narrowed(verbs=frozenset({"get", "list", "update"}))
    assert narrow.post(f"service-accounts/{account.pk}/tokens", {"name": "x"}).code == "token.scope_too_wide"


def test_an_operator_sees_accounts_and_changes_none(project: Project, account: ServiceAccount) -> None:
    operator = make_caller("project-operator", project)
    assert operator.ids("service-accounts") == {str(account.pk)}
    assert operator.post(f"service-accounts/{account.pk}/tokens", {"name": "x"}).code == "request.denied"
    assert operator.patch(f"service-accounts/{account.pk}", {"is_active": False}).code == "request.denied"
    assert operator.delete(f"service-accounts/{account.pk}").code == "request.denied"


def test_sec40_another_tenant_sees_no_account(foreigner: Caller, account: ServiceAccount) -> None:
    assert foreigner.items("service-accounts") == []
    missing = foreigner.get(f"service-accounts/{uuid7()}")
    assert foreigner.get(f"service-accounts/{account.pk}").problem == missing.problem
    for path in (f"service-accounts/{account.pk}", f"service-accounts/{uuid7()}"):
        assert foreigner.delete(path).status == 404
        assert foreigner.post(f"{path}/tokens", {"name": "x"}).status == 404
    body = {"name": "x", "project": str(account.project_id)}
    assert foreigner.post("service-accounts", body).faults == {"/project": "reference.not_found"}


def test_an_account_is_changed_and_deleted(project_owner: Caller, account: ServiceAccount) -> None:
    path = f"service-accounts/{account.pk}"
    changed = project_owner.patch(path, {"description": "nightly", "is_active": False})
    assert (changed.body["description"], changed.body["is_active"]) == ("nightly", False)
    assert project_owner.patch(path, {"is_active": True}, etag='"1"').status == 412
    assert project_owner.patch(path, {"name": "other"}).faults == {"/name": "field.unknown"}
    assert project_owner.delete(path).status == 204
    assert not User.objects.filter(pk=account.user_id).exists()
    assert project_owner.get(path).status == 404


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"name": "ci"}, {"/project": "field.required"}),
        ({"name": "CI"}, {"/name": "name.invalid"}),
        ({"name": "x", "description": "x" * 201}, {"/description": "field.length"}),
        ({"name": "x", "user": str(uuid7())}, {"/user": "field.unknown"}),
    ],
)
def test_an_order_that_is_wrong_is_refused_with_its_place(
    project_owner: Caller, project: Project, body: dict[str, str], faults: dict[str, str]
) -> None:
    sent = body if "/project" in faults else {"project": str(project.pk), **body}
    assert project_owner.post("service-accounts", sent).faults == faults


def test_sec03_issuing_is_recorded_without_the_token(project_owner: Caller, account: ServiceAccount) -> None:
    issued = project_owner.post(f"service-accounts/{account.pk}/tokens", {"name": "runner"}).body
    event = AuditEvent.objects.get(object_id=issued["id"])
    assert (event.actor_id, event.detail["user"]) == (project_owner.user_id, account.username)
    assert issued["token"].rpartition("_")[2] not in str(list(AuditEvent.objects.values()))


def test_repeating_with_a_key_issues_one_token(project_owner: Caller, account: ServiceAccount) -> None:
    path = f"service-accounts/{account.pk}/tokens"
    first, again = (project_owner.post(path, {"name": "runner"}, key="k") for _ in range(2))
    assert first.body["token"] == again.body["token"]
    assert ApiToken.objects.filter(user_id=account.user_id).count() == 1
