"""/api/v1/tokens"""

import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.ids import uuid7
from hub.identity.models import ApiToken, TokenPurpose, User
from hub.identity.sessions import COOKIE, CSRF_HEADER, csrf_token, end_session, start_session
from hub.identity.tokens import longest_lifetime
from tests.hub.api.callers import Caller

LONGEST = int(longest_lifetime(TokenPurpose.API).total_seconds())


def test_everybody_issues_uses_and_revokes_tokens_of_his_own(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "laptop", "expires_in_seconds": 3600})
    assert made.status == 201
    assert made.body["name"] == "laptop"
    assert made.body["token"].startswith(f"pdk_{made.body['key_id']}_")
    expires_at = datetime.datetime.fromisoformat(made.body["expires_at"])
    assert abs(expires_at - timezone.now() - datetime.timedelta(hours=1)) < datetime.timedelta(minutes=1)

    user = Caller(token=made.body["token"])
    assert user.get("whoami").body["id"] == str(nobody.user_id)

    read = nobody.get(made.location)
    assert "token" not in read.body
    assert nobody.delete(made.location, etag=read.etag).status == 204
    assert user.get("whoami").status == 401
    assert nobody.get(made.location).body["revoked_at"] is not None


def test_sec01_the_secret_is_in_one_answer_and_nowhere_else(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "laptop"})
    secret = made.body["token"].rpartition("_")[2]
    assert "secret_hash" not in made.body
    assert secret not in nobody.get("tokens").response.content.decode()
    assert secret not in nobody.get(made.location).response.content.decode()


def test_sec03_issuing_a_token_is_recorded_without_it(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "laptop"})
    event = AuditEvent.objects.get(object_id=made.body["id"])
    assert (event.verb, event.resource, event.detail["key_id"]) == ("create", "tokens", made.body["key_id"])
    assert made.body["token"].rpartition("_")[2] not in str(vars(event))


def test_a_scope_is_kept_and_shown(nobody: Caller) -> None:
    scope = {"read_only": True, "verbs": ["list", "get"], "projects": [str(uuid7())], "clusters": []}
    made = nobody.post("tokens", {"name": "ci", "scope": scope})
    assert made.body["scope"] == {**scope, "verbs": ["get", "list"]}


def test_a_token_without_scope_is_not_narrowed(nobody: Caller) -> None:
    assert nobody.post("tokens", {"name": "x"}).body["scope"] == {
        "read_only": False,
        "verbs": None,
        "projects": None,
        "clusters": None,
    }


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, {"/name": "field.required"}),
        ({"name": ""}, {"/name": "field.length"}),
        ({"name": "x" * 101}, {"/name": "field.length"}),
        ({"name": "   "}, {"/name": "token.name_invalid"}),
        ({"name": "x", "expires_in_seconds": 0}, {"/expires_in_seconds": "field.range"}),
        ({"name": "x", "expires_in_seconds": -1}, {"/expires_in_seconds": "field.range"}),
        ({"name": "x", "expires_in_seconds": LONGEST + 1}, {"/expires_in_seconds": "token.lifetime_invalid"}),
        ({"name": "x", "expires_in_seconds": 2**62}, {"/expires_in_seconds": "field.range"}),
        ({"name": "x", "expires_in_seconds": "60"}, {"/expires_in_seconds": "field.type"}),
        ({"name": "x", "expires_in_seconds": 1.5}, {"/expires_in_seconds": "field.type"}),
        ({"name": "x", "scope": None}, {"/scope": "field.type"}),
        ({"name": "x", "scope": {"admin": True}}, {"/scope/admin": "field.unknown"}),
        ({"name": "x", "scope": {"read_only": "no"}}, {"/scope/read_only": "field.type"}),
        ({"name": "x", "scope": {"projects": ["x"]}}, {"/scope/projects/0": "field.format"}),
        ({"name": "x", "scope": {"verbs": "get"}}, {"/scope/verbs": "field.type"}),
        ({"name": "x", "scope": {"verbs": ["get"] * 201}}, {"/scope/verbs": "field.length"}),
        ({"name": "x", "user": str(uuid7())}, {"/user": "field.unknown"}),
        ({"name": "x", "expires_at": "2099-01-01T00:00:00Z"}, {"/expires_at": "field.unknown"}),
        ({"name": "x", "key_id": "a" * 12}, {"/key_id": "field.unknown"}),
    ],
)
def test_an_order_that_is_wrong_is_refused_with_its_place(nobody: Caller, body: dict[str, Any], faults: Any) -> None:
    before = ApiToken.objects.count()
    answer = nobody.post("tokens", body)
    assert (answer.status, answer.faults) == (400, faults)
    assert ApiToken.objects.count() == before


def test_sec32_a_narrow_token_issues_no_wider_one(admin: Caller) -> None:
    project = uuid7()
    narrow = admin.narrowed(projects=frozenset({project}), verbs=frozenset({"create", "get"}))
    wide = narrow.post("tokens", {"name": "x"})
    assert wide.code in {"request.denied", "token.scope_too_wide"}
    assert ApiToken.objects.filter(name="x").count() == 0


def test_a_token_that_only_reads_issues_none(admin: Caller) -> None:
    assert admin.narrowed(read_only=True).post("tokens", {"name": "x"}).code == "request.denied"


def test_nobody_sees_or_revokes_the_tokens_of_others(nobody: Caller, owner: Caller) -> None:
    token = ApiToken.objects.get(user_id=owner.user_id)
    assert str(token.pk) not in nobody.ids("tokens")
    assert nobody.get(f"tokens/{token.pk}").status == 404
    assert nobody.delete(f"tokens/{token.pk}").status == 404
    assert owner.get("whoami").status == 200


def test_an_administrator_revokes_the_token_of_anybody(admin: Caller, owner: Caller) -> None:
    token = ApiToken.objects.get(user_id=owner.user_id)
    assert admin.ids(f"tokens?user={owner.user_id}") == {str(token.pk)}
    assert admin.delete(f"tokens/{token.pk}").status == 204
    assert owner.get("whoami").status == 401


def test_revoking_again_changes_nothing(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "x"})
    assert nobody.delete(made.location).status == 204
    revoked = nobody.get(made.location).body["revoked_at"]
    assert nobody.delete(made.location).status == 204
    assert nobody.get(made.location).body["revoked_at"] == revoked


def test_revoking_needs_the_version(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "x"})
    assert nobody.delete(made.location, etag=None).status == 428
    assert nobody.delete(made.location, etag='"9"').status == 412


def test_a_token_cannot_be_changed(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "x"})
    assert nobody.patch(made.location, {"name": "y"}).status == 405


def test_a_token_is_rotated_with_an_overlap(nobody: Caller) -> None:
    made = nobody.post("tokens", {"name": "ci", "expires_in_seconds": 86400})
    rotated = nobody.post(f"tokens/{made.body['id']}/rotate", {"overlap_seconds": 60})
    assert rotated.status == 201
    assert rotated.location == f"/api/v1/tokens/{rotated.body['id']}"
    assert (rotated.body["name"], rotated.body["replaced_by"]) == ("ci", None)
    for text in (made.body["token"], rotated.body["token"]):
        assert Caller(token=text).get("whoami").status == 200
    old = nobody.get(made.location).body
    assert old["replaced_by"] == rotated.body["id"]
    left = datetime.datetime.fromisoformat(old["expires_at"]) - timezone.now()
    assert left <= datetime.timedelta(seconds=60)
    assert nobody.post(f"tokens/{made.body['id']}/rotate", {}).code == "token.rotated"


def test_a_rotation_sent_again_with_its_key_gives_the_same_token(nobody: Caller) -> None:
    path = f"tokens/{nobody.post('tokens', {'name': 'ci'}).body['id']}/rotate"
    first, again = (nobody.post(path, {}, key="once") for _ in range(2))
    assert first.body["token"] == again.body["token"]
    assert ApiToken.objects.filter(name="ci").count() == 2


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"overlap_seconds": -1}, {"/overlap_seconds": "field.range"}),
        ({"overlap_seconds": 30 * 86400 + 1}, {"/overlap_seconds": "field.range"}),
        ({"overlap_seconds": "60"}, {"/overlap_seconds": "field.type"}),
        ({"name": "x"}, {"/name": "field.unknown"}),
    ],
)
def test_a_rotation_that_is_wrong_is_refused_with_its_place(nobody: Caller, body: dict[str, Any], faults: Any) -> None:
    made = nobody.post("tokens", {"name": "ci"})
    assert nobody.post(f"tokens/{made.body['id']}/rotate", body).faults == faults
    assert nobody.get(made.location).body["replaced_by"] is None


def test_sec37_an_administrator_revokes_anybodys_token_but_does_not_learn_its_next_secret(
    admin: Caller, nobody: Caller
) -> None:
    made = nobody.post("tokens", {"name": "ci"})
    assert admin.post(f"tokens/{made.body['id']}/rotate", {}).code == "request.denied"
    assert ApiToken.objects.filter(user_id=nobody.user_id, name="ci").count() == 1


def test_sec40_rotating_a_foreign_token_answers_as_for_a_missing_one(owner: Caller, foreigner: Caller) -> None:
    token = ApiToken.objects.get(user_id=owner.user_id)
    foreign, missing = (foreigner.post(f"tokens/{id}/rotate", {}) for id in (token.pk, uuid7()))
    assert foreign.problem == missing.problem


def test_tokens_are_found_by_purpose_state_and_cluster(nobody: Caller) -> None:
    cluster, other = str(uuid7()), str(uuid7())
    plain = nobody.post("tokens", {"name": "plain"}).body["id"]
    narrow = nobody.post("tokens", {"name": "narrow", "scope": {"clusters": [cluster, other]}}).body["id"]
    nobody.delete(f"tokens/{plain}")
    assert nobody.ids("tokens?state=ended") == {plain}
    live = nobody.ids("tokens?state=live")
    assert narrow in live
    assert plain not in live
    assert nobody.ids(f"tokens?cluster={cluster}") == nobody.ids(f"tokens?cluster={other}&state=live") == {narrow}
    assert nobody.ids(f"tokens?cluster={uuid7()}") == set()
    assert nobody.ids("tokens?purpose=kubeconfig") == nobody.ids("tokens?purpose=login") == set()
    assert {plain, narrow} <= nobody.ids("tokens?purpose=api")


@pytest.mark.parametrize("query", ["state=dead", "purpose=x", "cluster=x", "session=x"])
def test_a_filter_that_makes_no_sense_is_refused(nobody: Caller, query: str) -> None:
    assert nobody.get(f"tokens?{query}").status == 400


def test_only_a_browsers_login_can_issue_a_token_that_ends_with_it(nobody: Caller) -> None:
    answer = nobody.post("tokens", {"name": "x", "ends_with_session": True})
    assert answer.faults == {"/ends_with_session": "token.no_session"}


def test_a_token_of_a_browsers_login_ends_with_it(nobody: Caller) -> None:
    user = User.objects.get(pk=nobody.user_id)
    session, cookie = start_session(user, peer="192.0.2.1", user_agent="test")
    client = Client()
    client.cookies[COOKIE] = cookie
    answer = client.post(
        "/api/v1/tokens",
        {"name": "x", "ends_with_session": True},
        content_type="application/json",
        headers={CSRF_HEADER: csrf_token(cookie)},
        secure=True,
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["session"] == str(session.pk)
    robot = Caller(token=answer.json()["token"])
    assert robot.get("whoami").status == 200
    end_session(nobody.user, session, "logout")
    assert robot.get("whoami").status == 401
