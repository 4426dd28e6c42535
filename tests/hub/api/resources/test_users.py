"""/api/v1/users"""

from typing import Any

import pyotp
import pytest

from hub.access.custom_roles import RoleText, create_role
from hub.access.services import ensure_first_admin
from hub.api.models import KeptAnswer
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.identity.actors import actor_of
from hub.identity.logins import authenticate_password
from hub.identity.models import RecoveryCode, User, UserKind
from hub.identity.second_factor import begin_enrolment, confirm_enrolment
from hub.identity.sessions import authenticate_session, start_session
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_user, unique, user_of

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
        "email",
        "is_active",
        "must_change_password",
        "second_factor",
        "last_login_at",
        "can",
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
    user = make_user()
    narrow = admin.narrowed(verbs=frozenset({"get", "update"}))
    answer = narrow.patch(f"users/{user.pk}", {"password": GOOD})
    assert (answer.status, answer.faults) == (403, {"/password": "token.scope_too_wide"})
    assert narrow.patch(f"users/{user.pk}", {"display_name": "A"}).status == 200
    assert authenticate_password(user.username, GOOD, peer=PEER) is None


def test_ones_own_password_is_not_set_without_the_one_before(admin: Caller) -> None:
    answer = admin.patch(f"users/{admin.user_id}", {"password": GOOD})
    assert (answer.status, answer.faults) == (409, {"/password": "password.own"})


def test_sec47_who_gets_a_password_from_another_is_logged_out_everywhere(admin: Caller) -> None:
    other = make_caller()
    session, cookie = start_session(user_of(other.user), peer=PEER, user_agent="")
    assert admin.patch(f"users/{other.user_id}", {"password": GOOD}).status == 200
    assert other.get("whoami").status == 401
    assert authenticate_session(cookie) is None
    session.refresh_from_db()
    assert session.end_reason == "password_changed"


def test_sec47_a_disabled_users_session_does_not_come_back_with_him(admin: Caller) -> None:
    user = make_user()
    _, cookie = start_session(user, peer=PEER, user_agent="")
    for active in (False, True):
        assert admin.patch(f"users/{user.pk}", {"is_active": active}).status == 200
        assert authenticate_session(cookie) is None


def test_sec47_an_administrator_logs_a_user_out_everywhere(admin: Caller) -> None:
    other = make_caller()
    _, cookie = start_session(user_of(other.user), peer=PEER, user_agent="")
    assert admin.post(f"users/{other.user_id}/end-sessions", None).status == 204
    assert other.get("whoami").status == 401
    assert authenticate_session(cookie) is None
    assert AuditEvent.objects.filter(actor_id=admin.user_id, resource="sessions", verb="delete").count() == 1


def test_an_administrator_resets_a_second_factor_and_that_is_in_the_trail(admin: Caller) -> None:
    user = make_user()
    begin_enrolment(actor_of(user), user)
    confirm_enrolment(actor_of(user), user, pyotp.TOTP(user.totp_secret.reveal()).now(), peer=PEER)
    assert admin.get(f"users/{user.pk}").body["second_factor"] is True
    assert admin.post(f"users/{user.pk}/reset-second-factor", None).status == 204
    user.refresh_from_db()
    assert not user.has_second_factor
    assert not user.totp_secret
    assert not RecoveryCode.objects.filter(user=user).exists()
    event = AuditEvent.objects.get(actor_id=admin.user_id, object_id=user.pk, verb="update")
    assert event.changes == {"second_factor": [True, False]}


def test_ones_own_second_factor_is_not_reset_without_a_code(admin: Caller) -> None:
    answer = admin.post(f"users/{admin.user_id}/reset-second-factor", None)
    assert (answer.status, answer.code) == (409, "second_factor.own")


ACTS = ("patch", "disable", "password", "delete", "end-sessions", "reset-second-factor", "end-session")


@pytest.mark.parametrize("act", ACTS)
def test_sec37_nobody_acts_on_a_user_with_a_right_that_he_lacks(admin: Caller, tenant: Tenant, act: str) -> None:
    """A helper who may do everything to users and sessions, and nothing else, against an owner of a tenant."""
    rules = [{"resources": ["users", "sessions"], "verbs": ["*"]}]
    role = create_role(SYSTEM, None, RoleText(unique("helper"), "", ["hub"], rules, [], []))
    helper = make_caller(role.key)
    weak, strong = make_user(), user_of(make_caller("tenant-owner", tenant).user)
    assert act_on(helper, act, weak) in (200, 204)
    assert act_on(helper, act, strong) == 403
    assert User.objects.get(pk=strong.pk) == strong
    assert authenticate_password(strong.username, BETTER, peer=PEER) is None


def act_on(caller: Caller, act: str, user: User) -> int:
    session, _ = start_session(user, peer=PEER, user_agent="")
    path = f"users/{user.pk}"
    bodies: dict[str, Any] = {
        "patch": {"display_name": "x"},
        "disable": {"is_active": False},
        "password": {"password": BETTER},
    }
    if act in bodies:
        return caller.patch(path, bodies[act]).status
    if act == "delete":
        return caller.delete(path).status
    if act == "end-session":
        return caller.delete(f"sessions/{session.pk}").status
    return caller.post(f"{path}/{act}", None).status


def test_a_deleted_user_is_gone_and_what_he_made_is_not(admin: Caller) -> None:
    maker = make_caller("hub-admin")
    made = maker.post("tenants", {"name": unique("made")})
    _, cookie = start_session(user_of(maker.user), peer=PEER, user_agent="")
    assert admin.delete(f"users/{maker.user_id}").status == 204
    assert admin.get(f"users/{maker.user_id}").status == 404
    assert admin.get(made.location).status == 200
    assert maker.get("whoami").status == 401
    assert authenticate_session(cookie) is None
    event = AuditEvent.objects.get(verb="delete", resource="users", object_id=maker.user_id)
    assert (event.actor_id, event.object_name) == (admin.user_id, maker.user.name)


def test_sec37_the_last_administrator_cannot_be_deleted(admin: Caller) -> None:
    answer = admin.delete(f"users/{admin.user_id}")
    assert (answer.status, answer.code) == (409, "role_binding.last_admin")
    assert admin.get("whoami").status == 200


def test_sec12_a_deleted_first_administrator_does_not_come_back(db: None) -> None:
    first, password = ensure_first_admin()
    assert password is not None
    assert first.must_change_password
    other = make_caller("hub-admin")
    assert other.delete(f"users/{first.pk}").status == 204
    assert ensure_first_admin()[1] is None
    assert not User.objects.filter(username=first.username).exists()


def test_a_service_account_is_not_among_the_users(admin: Caller) -> None:
    account = make_user()
    User.objects.filter(pk=account.pk).update(kind=UserKind.SERVICE_ACCOUNT)
    assert admin.get(f"users/{account.pk}").status == 404


@pytest.mark.parametrize("member", ["totp_secret", "kind", "last_login_at", "password_hash", "email", "is_active"])
def test_sec42_what_the_hub_owns_is_not_taken_from_a_client(admin: Caller, member: str) -> None:
    answer = admin.post("users", {"username": unique("maria"), member: "x"})
    assert (answer.status, answer.faults) == (400, {f"/{member}": "field.unknown"})
