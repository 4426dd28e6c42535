"""/api/v1/users"""

from typing import Any

import pytest

from hub.api.models import KeptAnswer
from hub.audit.models import AuditEvent
from hub.identity.logins import authenticate_password
from hub.identity.models import User
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_user

GOOD = "correct horse battery staple"
BETTER = "quite another long password"
PEER = "192.0.2.7"


def test_an_administrator_makes_a_user_who_logs_in(admin: Caller) -> None:
    made = admin.post("users", {"username": "maria", "display_name": "Maria", "password": GOOD})
    assert (made.status, made.location) == (201, f"/api/v1/users/{made.body['id']}")
    assert made.body == admin.get(made.location).body
    assert set(made.body) == {
        "id",
        "version",
        "created_at",
        "updated_at",
        "username",
        "display_name",
        "is_active",
        "must_change_password",
    }
    assert (made.body["username"], made.body["display_name"]) == ("maria", "Maria")
    assert (made.body["is_active"], made.body["must_change_password"]) == (True, True)
    assert authenticate_password("maria", GOOD, peer=PEER) == User.objects.get(pk=made.body["id"])


def test_without_a_password_nobody_logs_in(admin: Caller) -> None:
    made = admin.post("users", {"username": "robot"})
    assert (made.status, made.body["must_change_password"]) == (201, False)
    assert authenticate_password("robot", "", peer=PEER) is None


def test_sec01_a_password_is_in_no_answer_audit_event_or_kept_answer(admin: Caller) -> None:
    made = admin.post("users", {"username": "maria", "password": GOOD}, key="k")
    changed = admin.patch(made.location, {"password": BETTER})
    refused = admin.patch(made.location, {"password": "too short"})
    kept = KeptAnswer.objects.get()
    told = "".join(answer.response.content.decode() for answer in (made, changed, refused, admin.get("users")))
    told += str([vars(event) for event in AuditEvent.objects.all()]) + kept.body.reveal()
    for secret in (
        GOOD,
        BETTER,
        "too short",
        *User.objects.exclude(password_hash="").values_list("password_hash", flat=True),
    ):
        assert secret not in told


@pytest.mark.parametrize(
    ("body", "status", "faults"),
    [
        ({}, 400, {"/username": "field.required"}),
        ({"username": "Maria"}, 400, {"/username": "user.name_invalid"}),
        ({"username": "a" * 65}, 400, {"/username": "user.name_invalid"}),
        ({"username": 5}, 400, {"/username": "field.type"}),
        ({"username": "maria", "display_name": "x" * 201}, 400, {"/display_name": "field.length"}),
        ({"username": "maria", "password": "short"}, 400, {"/password": "password.unfit"}),
        ({"username": "maria", "password": ""}, 400, {"/password": "password.unfit"}),
        ({"username": "maria", "password": "x" * 257}, 400, {"/password": "field.length"}),
        ({"username": "maria", "is_active": False}, 400, {"/is_active": "field.unknown"}),
        ({"username": "maria", "password_hash": "x"}, 400, {"/password_hash": "field.unknown"}),
        ({"username": "taken"}, 409, {"/username": "user.name_taken"}),
    ],
)
def test_a_user_who_is_wrong_is_refused_with_the_place(
    admin: Caller, body: dict[str, Any], status: int, faults: dict[str, str]
) -> None:
    assert admin.post("users", {"username": "taken"}).status == 201
    before = User.objects.count()
    answer = admin.post("users", body)
    assert (answer.status, answer.faults) == (status, faults)
    assert User.objects.count() == before


def test_everybody_sees_himself_and_an_administrator_everybody(admin: Caller, owner: Caller, nobody: Caller) -> None:
    assert owner.ids("users") == {str(owner.user_id)}
    assert nobody.get(f"users/{owner.user_id}").status == 404
    assert {str(caller.user_id) for caller in (admin, owner, nobody)} <= admin.ids("users")
    assert admin.ids(f"users?username={owner.user.name}") == {str(owner.user_id)}


def test_sec32_nobody_but_an_administrator_changes_a_user(owner: Caller) -> None:
    other = make_user()
    for body in ({"password": GOOD}, {"is_active": False}, {"display_name": "x"}):
        assert owner.patch(f"users/{owner.user_id}", body).code == "request.denied"
        assert owner.patch(f"users/{other.pk}", body).code == "object.not_found"
    assert owner.post("users", {"username": "maria"}).code == "request.denied"


def test_one_patch_changes_all_that_it_names(admin: Caller) -> None:
    made = admin.post("users", {"username": "maria", "display_name": "M", "password": GOOD})
    body = {"display_name": "Maria", "is_active": False, "password": BETTER}
    changed = admin.patch(made.location, body, etag=made.etag)
    assert (changed.status, changed.body["display_name"], changed.body["is_active"]) == (200, "Maria", False)
    assert changed.body == admin.get(made.location).body
    assert admin.patch(made.location, {"is_active": True, "display_name": None}, etag=changed.etag).status == 200
    assert authenticate_password("maria", GOOD, peer=PEER) is None
    user = authenticate_password("maria", BETTER, peer=PEER)
    assert (user is not None and user.display_name) == ""


def test_a_patch_that_fails_at_one_member_changes_none(admin: Caller) -> None:
    made = admin.post("users", {"username": "maria"})
    answer = admin.patch(made.location, {"display_name": "Maria", "is_active": False, "password": "short"})
    assert (answer.status, answer.faults) == (400, {"/password": "password.unfit"})
    assert admin.get(made.location).body == made.body


@pytest.mark.parametrize("body", [{"display_name": "A"}, {"is_active": False}, {"password": BETTER}])
def test_a_stale_change_is_refused(admin: Caller, body: dict[str, Any]) -> None:
    made = admin.post("users", {"username": "maria"})
    assert admin.patch(made.location, {"display_name": "B"}, etag=made.etag).status == 200
    assert admin.patch(made.location, body, etag=made.etag).status == 412
    assert admin.patch(made.location, body, etag=None).status == 428


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"username": "other"}, {"/username": "field.unknown"}),
        ({"must_change_password": False}, {"/must_change_password": "field.unknown"}),
        ({"is_active": None}, {"/is_active": "field.required"}),
        ({"is_active": "no"}, {"/is_active": "field.type"}),
        ({"password": 5}, {"/password": "field.type"}),
    ],
)
def test_a_change_that_is_wrong_is_refused_with_its_place(
    admin: Caller, body: dict[str, Any], faults: dict[str, str]
) -> None:
    answer = admin.patch(f"users/{make_user().pk}", body)
    assert (answer.status, answer.faults) == (400, faults)


def test_sec36_a_disabled_user_has_no_access_at_once(admin: Caller, owner: Caller) -> None:
    assert admin.patch(f"users/{owner.user_id}", {"is_active": False}).status == 200
    assert owner.get("whoami").status == 401
    assert admin.patch(f"users/{owner.user_id}", {"is_active": True}).status == 200
    assert owner.get("whoami").status == 200


def test_sec37_the_last_administrator_cannot_be_disabled(admin: Caller) -> None:
    answer = admin.patch(f"users/{admin.user_id}", {"is_active": False, "display_name": "x"})
    assert (answer.status, answer.code) == (409, "role_binding.last_admin")
    assert admin.get("whoami").status == 200
    assert User.objects.get(pk=admin.user_id).display_name == ""
    make_caller("hub-admin")
    assert admin.patch(f"users/{admin.user_id}", {"is_active": False}).status == 200


def test_sec32_a_narrowed_token_sets_no_password(admin: Caller) -> None:
    """Who could, would log in with it and have what the token leaves out."""
    narrow = admin.narrowed(verbs=frozenset({"get", "update"}))
    answer = narrow.patch(f"users/{admin.user_id}", {"password": GOOD})
    assert (answer.status, answer.faults) == (403, {"/password": "token.scope_too_wide"})
    assert narrow.patch(f"users/{admin.user_id}", {"display_name": "A"}).status == 200
    assert authenticate_password(admin.user.name, GOOD, peer=PEER) is None


def test_a_user_cannot_be_deleted(admin: Caller) -> None:
    assert admin.delete(f"users/{make_user().pk}").status == 405
