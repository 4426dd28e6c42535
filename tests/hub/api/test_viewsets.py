"""The wall: a leaf cannot be written that gets around it, and what it records."""

from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.request import Request
from rest_framework.response import Response

from hub.api.actions import Lists
from hub.api.resources import tenants
from hub.api.resources.tenants import TenantViewSet
from hub.api.viewsets import ApiViewSet, ResourceViewSet
from hub.core.ids import uuid7
from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, denials
from tests.hub.builders import make_tenant


@pytest.mark.parametrize(
    "name",
    [
        "authentication_classes",
        "check_permissions",
        "dispatch",
        "find_row",
        "get_authenticators",
        "handle_exception",
        "http_method_names",
        "initial",
        "list",
        "partial_update",
        "visible",
    ],
)
def test_a_leaf_that_redefines_a_part_of_the_wall_does_not_load(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        type("Leaf", (ResourceViewSet,), {"resource": "tenants", name: lambda self: None})


def test_a_leaf_whose_action_has_no_verb_in_the_permission_table_does_not_load() -> None:
    with pytest.raises(TypeError, match="list has no verb"):
        type("Leaf", (Lists,), {"resource": "tenants", "verbs": {"list": "look"}})


def test_an_action_of_its_own_without_a_verb_does_not_load() -> None:
    from rest_framework.decorators import action

    def explode(self: Any, request: Request, pk: str) -> Response:
        return Response()

    with pytest.raises(TypeError, match="explode has no verb"):
        type("Leaf", (ApiViewSet,), {"resource": "tenants", "explode": action(detail=True, methods=["post"])(explode)})


def test_a_leaf_of_a_resource_that_the_table_does_not_have_does_not_load() -> None:
    with pytest.raises(KeyError):
        type("Leaf", (ApiViewSet,), {"resource": "nuclear-codes"})


def test_sec40_foreign_missing_and_malformed_ids_are_one_answer(owner: Caller) -> None:
    foreign, missing = make_tenant().pk, uuid7()
    for method in ("GET", "PATCH", "DELETE"):
        answers = [
            owner.call(method, f"tenants/{id}", {}, headers={"If-Match": "*"})
            for id in (foreign, missing, "x", "%00", "1")
        ]
        assert {answer.status for answer in answers} == {404}
        assert all(answer.problem == answers[0].problem for answer in answers)


def test_what_may_be_seen_and_not_changed_is_denied_and_recorded(owner: Caller, tenant: Tenant) -> None:
    answer = owner.delete(f"tenants/{tenant.pk}")
    assert (answer.status, answer.code) == (403, "request.denied")
    assert answer.body["params"] == {"verb": "delete", "resource": "tenants"}
    assert denials(owner) == [("delete", "tenants", tenant.pk)]
    assert Tenant.objects.filter(pk=tenant.pk).exists()


def test_a_denial_is_in_the_trail_of_the_tenant_it_concerns(owner: Caller, tenant: Tenant) -> None:
    owner.delete(f"tenants/{tenant.pk}")
    (event,) = [e for e in owner.items("audit-events") if e["outcome"] == "denied"]
    assert (event["tenant"], event["code"], event["object"]["name"]) == (str(tenant.pk), "request.denied", tenant.name)


def test_a_creation_that_is_denied_is_recorded_and_makes_nothing(nobody: Caller) -> None:
    assert nobody.post("tenants", {"name": "acme"}).code == "request.denied"
    assert denials(nobody) == [("create", "tenants", None)]
    assert not Tenant.objects.exists()


def test_a_change_of_what_is_not_there_is_recorded_alike_for_foreign_and_missing(owner: Caller) -> None:
    foreign, missing = make_tenant().pk, uuid7()
    owner.delete(f"tenants/{foreign}")
    owner.delete(f"tenants/{missing}")
    assert denials(owner) == [("delete", "tenants", foreign), ("delete", "tenants", missing)]


def test_reading_a_missing_id_is_not_recorded(owner: Caller) -> None:
    owner.get(f"tenants/{uuid7()}")
    assert denials(owner) == []


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "DELETE", "PATCH"])
def test_a_method_that_nobody_declared_is_refused_with_those_that_are(admin: Caller, method: str) -> None:
    answer = admin.call(method, "tenants", {})
    assert (answer.status, answer.code) == (405, "request.method_unknown")
    assert answer.response["Allow"] == "GET, HEAD, POST"


def test_whoever_is_nobody_does_not_learn_which_methods_there_are(stranger: Caller) -> None:
    assert stranger.call("PUT", "tenants", {}).status == 401


def test_head_is_get_without_a_body(admin: Caller) -> None:
    answer = admin.call("HEAD", "tenants")
    assert (answer.status, answer.response.content) == (200, b"")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/merge-patch+json",
    ],
)
def test_a_body_of_another_media_type_is_refused(admin: Caller, content_type: str) -> None:
    answer = admin.call("POST", "tenants", raw=b'{"name": "a"}', content_type=content_type)
    assert (answer.status, answer.code) == (415, "request.media_type_unknown")


def test_any_accept_header_gets_json(admin: Caller) -> None:
    for accept in ("text/html", "application/xml", "*/*;q=0.1", "nonsense"):
        answer = admin.get("tenants", {"Accept": accept})
        assert (answer.status, answer.response["Content-Type"]) == (200, "application/json")


def test_a_read_only_token_changes_nothing(admin: Caller) -> None:
    tenant = make_tenant()
    reader = admin.narrowed(read_only=True)
    assert reader.get(f"tenants/{tenant.pk}").status == 200
    answers = [
        reader.patch(f"tenants/{tenant.pk}", {}),
        reader.delete(f"tenants/{tenant.pk}"),
        reader.post("tenants", {"name": "a"}),
    ]
    assert [answer.code for answer in answers] == ["request.denied"] * 3
    assert Tenant.objects.count() == 1


def test_a_token_without_the_right_to_read_may_still_do_what_it_is_for(admin: Caller) -> None:
    tenant = make_tenant()
    remover = admin.narrowed(verbs=frozenset({"delete"}))
    assert remover.get(f"tenants/{tenant.pk}").status == 404
    assert remover.delete(f"tenants/{tenant.pk}").status == 204


def test_sec04_a_defect_is_a_500_that_says_nothing(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **rest: Any) -> None:
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr(tenants, "create_whole_tenant", fail)
    answer = admin.post("tenants", {"name": "a"})
    assert (answer.status, answer.code) == (500, "hub.internal_error")
    assert b"hunter2" not in answer.response.content


def test_a_database_that_is_away_is_a_503_to_try_again(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **rest: Any) -> None:
        raise OperationalError("connection refused by 10.1.2.3")

    monkeypatch.setattr(tenants, "create_whole_tenant", fail)
    answer = admin.post("tenants", {"name": "a"})
    assert (answer.status, answer.code, answer.response["Retry-After"]) == (503, "hub.unavailable", "5")
    assert b"10.1.2.3" not in answer.response.content


def test_every_standard_action_of_a_leaf_comes_from_the_mixins() -> None:
    own = {name for name in vars(TenantViewSet) if not name.startswith("_")}
    assert not own & {"list", "retrieve", "create", "partial_update", "destroy"}
