"""/api/v1/credentials"""

from typing import Any

import pytest
from django.db import connection

from hub.audit.models import AuditEvent
from hub.identity.models import User
from hub.tenancy.credentials import reveal
from hub.tenancy.models import Credential, Project, Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_project

CANARY = "c4n4ry-c4n4ry"
KEY_PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nYzRuNHJ5\n-----END OPENSSH PRIVATE KEY-----\n"
VALUES: dict[str, dict[str, str]] = {
    "basic": {"username": "robot", "password": CANARY},
    "token": {"token": CANARY},
    "ssh_key": {"private_key": KEY_PEM, "passphrase": CANARY},
    "s3": {"access_key_id": "AK", "secret_access_key": CANARY, "region": "eu"},
}


@pytest.fixture
def project(tenant: Tenant) -> Project:
    return make_project(tenant)


def body(project: Project, **changes: Any) -> dict[str, Any]:
    return {"name": "registry", "project": str(project.pk), "kind": "basic", "values": VALUES["basic"], **changes}


@pytest.mark.parametrize("kind", VALUES)
def test_sec01_values_go_in_and_only_their_keys_come_out(owner: Caller, project: Project, kind: str) -> None:
    made = owner.post("credentials", body(project, kind=kind, values=VALUES[kind]))
    assert made.status == 201, made.body
    assert (made.body["keys"], made.body["readable"]) == (sorted(VALUES[kind]), True)
    assert reveal(Credential.objects.get()) == VALUES[kind]
    for answer in (made, owner.get(f"credentials/{made.body['id']}"), owner.get("credentials")):
        assert CANARY not in answer.response.content.decode()
        assert "PRIVATE KEY" not in answer.response.content.decode()


@pytest.mark.parametrize(
    ("kind", "values", "faults"),
    [
        ("basic", {"username": "a", "password": "b", "notes": CANARY}, {"/values/notes": "credential.key_unknown"}),
        ("basic", {"username": "a"}, {"/values/password": "credential.key_missing"}),
        ("basic", {"username": "", "password": "b"}, {"/values/username": "credential.value_invalid"}),
        ("basic", {"username": "a", "password": f"{CANARY}\nb"}, {"/values/password": "credential.value_invalid"}),
        ("token", {"password": CANARY}, {
            "/values/password": "credential.key_unknown", "/values/token": "credential.key_missing"
        }),
        ("ssh_key", {"private_key": CANARY}, {"/values/private_key": "credential.value_invalid"}),
        ("s3", {"access_key_id": "a", "secret_access_key": "x" * 5000}, {
            "/values/secret_access_key": "credential.value_invalid"
        }),
        ("token", {"token": 5}, {"/values/token": "field.type"}),
    ],
)  # fmt: skip
def test_sec02_a_kind_takes_its_own_keys_and_a_refusal_repeats_no_value(
    owner: Caller, project: Project, kind: str, values: dict[str, Any], faults: dict[str, str]
) -> None:
    answer = owner.post("credentials", body(project, kind=kind, values=values))
    assert answer.faults == faults
    assert CANARY not in answer.response.content.decode()
    assert not Credential.objects.exists()


def test_values_are_changed_one_by_one_and_the_trail_says_which(owner: Caller, project: Project) -> None:
    made = owner.post("credentials", body(project, kind="s3", values=VALUES["s3"])).body
    path = f"credentials/{made['id']}"
    changed = owner.patch(path, {"values": {"secret_access_key": "new", "region": ""}})
    assert (changed.status, changed.body["keys"]) == (200, ["access_key_id", "secret_access_key"])
    assert reveal(Credential.objects.get()) == {"access_key_id": "AK", "secret_access_key": "new"}
    event = AuditEvent.objects.get(verb="update", resource="credentials")
    assert event.detail == {"keys": ["region", "secret_access_key"]}
    assert event.changes == {"data": ["***", "***"]}
    assert owner.patch(path, {"description": "for images"}).body["keys"] == ["access_key_id", "secret_access_key"]
    assert owner.patch(path, {"values": {"secret_access_key": ""}}).faults == {
        "/values/secret_access_key": "credential.key_missing"
    }


def test_flt41_one_whose_key_is_lost_is_shown_as_such_and_can_be_entered_again(owner: Caller, project: Project) -> None:
    made = owner.post("credentials", body(project)).body
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tenancy_credential SET data = 'v1.gone.AAAA'")
    path = f"credentials/{made['id']}"
    shown = owner.get(path).body
    assert (shown["readable"], shown["keys"]) == (False, ["password", "username"])
    assert owner.patch(path, {"values": {"password": "x"}}).faults == {"/values/username": "credential.key_missing"}
    assert owner.patch(path, {"values": VALUES["basic"]}).body["readable"] is True


def test_sec06_who_may_read_the_project_gets_references_and_no_material(owner: Caller, project: Project) -> None:
    owner.post("credentials", body(project))
    for reader in (owner.narrowed(read_only=True), make_caller("project-viewer", project)):
        answer = reader.get("credentials")
        assert answer.status == 200
        assert CANARY not in answer.response.content.decode()
        assert reader.post("credentials", body(project, name="b")).status in {400, 403}


def test_sec40_another_tenant_sees_nothing_of_it(owner: Caller, foreigner: Caller, project: Project) -> None:
    made = owner.post("credentials", body(project)).body
    assert foreigner.items("credentials") == []
    assert foreigner.get(f"credentials/{made['id']}").status == 404
    assert foreigner.patch(f"credentials/{made['id']}", {"values": {"password": "x"}}).status == 404
    assert foreigner.delete(f"credentials/{made['id']}").status == 404
    assert foreigner.post("credentials", body(project, name="b")).status in {400, 403}


def test_a_name_is_taken_once_in_a_project(owner: Caller, project: Project) -> None:
    owner.post("credentials", body(project))
    assert owner.post("credentials", body(project)).code == "credential.name_taken"
    assert owner.post("credentials", body(make_project(project.tenant))).status == 201


def test_it_survives_who_made_it(owner: Caller, admin: Caller, project: Project) -> None:
    made = owner.post("credentials", body(project)).body
    User.objects.get(pk=owner.user_id).delete()
    assert admin.get(f"credentials/{made['id']}").body["readable"] is True
    assert reveal(Credential.objects.get()) == VALUES["basic"]


def test_it_is_deleted(owner: Caller, project: Project) -> None:
    made = owner.post("credentials", body(project)).body
    assert owner.delete(f"credentials/{made['id']}").status == 204
    assert not Credential.objects.exists()
