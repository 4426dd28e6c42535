"""Idempotency-Key: one effect, one answer, however often the request is sent."""

import datetime
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hub.access.models import RoleBinding
from hub.access.new_tenants import TenantMade, create_whole_tenant
from hub.api.idempotency import delete_expired_answers
from hub.api.models import KeptAnswer
from hub.api.resources import tenants
from hub.core.keys import key_ring
from hub.identity.models import ApiToken
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Answer, Caller, make_caller, with_token
from tests.hub.builders import make_cluster


def test_the_same_request_again_gets_the_same_answer_and_makes_nothing(admin: Caller) -> None:
    first = admin.post("tenants", {"name": "acme"}, key="k-1")
    again = admin.post("tenants", {"name": "acme"}, key="k-1")
    assert first.status == again.status == 201
    assert (first.body, first.etag, first.location) == (again.body, again.etag, again.location)
    assert again.response["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.response
    assert Tenant.objects.count() == 1


def test_what_means_the_same_in_json_is_the_same_request(admin: Caller) -> None:
    admin.call("POST", "tenants", raw=b'{"name":"acme","display_name":"A"}', headers={"Idempotency-Key": "k"})
    raw = b'{ "display_name": "\\u0041",\n "name": "acme" }'
    assert admin.call("POST", "tenants", raw=raw, headers={"Idempotency-Key": "k"}).status == 201


def test_without_a_key_it_is_another_request(admin: Caller) -> None:
    assert admin.post("tenants", {"name": "acme"}).status == 201
    assert admin.post("tenants", {"name": "acme"}).code == "tenant.name_taken"


@pytest.mark.parametrize(("path", "body"), [("tenants", {"name": "other"}), ("tokens", {"name": "acme"})])
def test_a_key_of_another_request_is_refused(admin: Caller, path: str, body: dict[str, str]) -> None:
    admin.post("tenants", {"name": "acme"}, key="k")
    answer = admin.post(path, body, key="k")
    assert (answer.status, answer.code) == (422, "idempotency.key_reused")
    assert Tenant.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ü"])
def test_a_key_that_is_none_is_refused(admin: Caller, key: str) -> None:
    answer = admin.post("tenants", {"name": "acme"}, key=key)
    assert (answer.status, answer.code) == (400, "idempotency.key_invalid")
    assert not Tenant.objects.exists()


def test_a_key_belongs_to_its_user(admin: Caller) -> None:
    admin.post("tenants", {"name": "acme"}, key="k")
    other = make_caller("hub-admin")
    assert other.post("tenants", {"name": "other"}, key="k").status == 201


def test_a_narrower_token_is_not_given_what_a_wider_one_was_answered(admin: Caller) -> None:
    body = {"name": "t", "scope": {"verbs": ["create"]}}
    issued = admin.post("tokens", body, key="k")
    narrow = admin.narrowed(verbs=frozenset({"create"}))
    answer = narrow.post("tokens", body, key="k")
    assert answer.status == 201
    assert answer.body["token"] != issued.body["token"]


def test_a_kept_answer_is_for_those_who_still_may(owner: Caller, tenant: Tenant) -> None:
    body = {"name": "p", "tenant": str(tenant.pk)}
    assert owner.post("projects", body, key="k").status == 201
    RoleBinding.objects.filter(user_id=owner.user_id).delete()
    assert owner.post("projects", body, key="k").faults == {"/tenant": "reference.not_found"}


def test_sec01_a_token_in_a_kept_answer_is_sealed(admin: Caller) -> None:
    issued = admin.post("tokens", {"name": "t"}, key="k").body["token"]
    kubeconfig = admin.post(f"clusters/{make_cluster().pk}/kubeconfig", {}, key="k2").body["kubeconfig"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM api_keptanswer")
        stored = "".join(body for (body,) in cursor.fetchall())
    assert issued.removeprefix("pdk_") not in stored
    assert "token" not in stored
    assert admin.post("tokens", {"name": "t"}, key="k").body["token"] == issued
    assert admin.post(f"clusters/{make_cluster().pk}/kubeconfig", {}, key="k2").code == "idempotency.key_reused"
    assert kubeconfig


def test_sec01_a_password_cannot_be_found_by_trying_what_digest_it_gives(admin: Caller) -> None:
    body = {"username": "maria", "password": "correct horse battery"}
    assert admin.post("users", body, key="k").status == 201
    content = json.dumps(["POST", "/api/v1/users", body], sort_keys=True, separators=(",", ":")).encode()
    keyed = hmac.digest(key_ring().signing, b"idempotency\0" + content, hashlib.sha256).hex()
    digests = [hashlib.sha256(content).hexdigest(), keyed]
    assert [KeptAnswer.objects.filter(digest=digest).exists() for digest in digests] == [False, True]


def test_what_failed_may_be_sent_again_changed(admin: Caller) -> None:
    assert admin.post("tenants", {"name": "Not A Name"}, key="k").status == 400
    assert admin.post("tenants", {"name": "a-name"}, key="k").status == 201


def test_a_defect_leaves_no_key_behind(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **rest: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(tenants, "create_whole_tenant", fail)
        assert admin.post("tenants", {"name": "acme"}, key="k").status == 500
    assert admin.post("tenants", {"name": "acme"}, key="k").status == 201


def test_while_the_first_is_under_way_the_second_is_told_to_wait(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def create_while_the_client_repeats(*args: Any, **rest: Any) -> TenantMade:
        seen.append(admin.post("tenants", {"name": "acme"}, key="k"))
        seen.append(admin.post("tenants", {"name": "other"}, key="k"))
        return create_whole_tenant(*args, **rest)

    monkeypatch.setattr(tenants, "create_whole_tenant", create_while_the_client_repeats)
    assert admin.post("tenants", {"name": "acme"}, key="k").status == 201
    assert [(answer.status, answer.code) for answer in seen] == [
        (409, "idempotency.in_flight"),
        (422, "idempotency.key_reused"),
    ]
    assert seen[0].response["Retry-After"] == "1"


def test_a_request_that_died_under_way_gives_up_its_place(admin: Caller) -> None:
    admin.post("tenants", {"name": "acme"}, key="k")
    Tenant.objects.all().delete()
    KeptAnswer.objects.update(status=None, locked_until=timezone.now() + datetime.timedelta(seconds=60))
    assert admin.post("tenants", {"name": "acme"}, key="k").code == "idempotency.in_flight"
    KeptAnswer.objects.update(locked_until=timezone.now() - datetime.timedelta(seconds=1))
    assert admin.post("tenants", {"name": "acme"}, key="k").status == 201
    assert admin.post("tenants", {"name": "acme"}, key="k").response["Idempotent-Replayed"] == "true"


def test_after_a_day_a_key_is_free_again(admin: Caller) -> None:
    admin.post("tenants", {"name": "acme"}, key="k")
    kept = KeptAnswer.objects.get()
    assert kept.expires_at - timezone.now() > datetime.timedelta(hours=23)
    KeptAnswer.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert admin.post("tenants", {"name": "other"}, key="k").status == 201


def test_expired_answers_are_deleted_in_batches(admin: Caller) -> None:
    for number in range(3):
        admin.post("tokens", {"name": "t"}, key=f"k{number}")
    KeptAnswer.objects.exclude(key="k0").update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert [delete_expired_answers(batch=1) for _ in range(3)] == [1, 1, 0]
    assert KeptAnswer.objects.get().key == "k0"


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_has_an_effect() -> None:
    caller = make_caller("hub-admin")

    def send(_: int) -> Answer:
        try:
            return Caller(caller.actor, caller.token).post("tokens", {"name": "raced"}, key="k")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.body["token"] for answer in answers if answer.status == 201}) == 1
    assert ApiToken.objects.filter(name="raced").count() == 1


def test_another_token_of_the_same_user_has_keys_of_its_own(admin: Caller) -> None:
    admin.post("tenants", {"name": "acme"}, key="k")
    assert with_token(admin.user).post("tenants", {"name": "acme"}, key="k").code == "tenant.name_taken"
