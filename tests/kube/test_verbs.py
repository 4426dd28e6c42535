"""The verbs of both clients: what goes over the wire, and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kube.client import KubeClient
from kube.errors import AlreadyExists, Conflict, Expired, Forbidden, Garbled, Invalid, NotFound, NotServed
from kube.guard import AddressGuard
from kube.resources import NAMESPACES, NODES, PODS, VIRTUAL_MACHINES
from tests.kube.conftest import Connect
from tests.kube.stage import Stage, answer, status

POD = {"metadata": {"name": "web", "namespace": "prod", "uid": "u-1", "resourceVersion": "7"}}


def page(items: list[Any], token: str = "", remaining: int | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"resourceVersion": "100", "continue": token}
    if remaining is not None:
        metadata["remainingItemCount"] = remaining
    return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "prod"}}


def test_get_asks_for_the_path_as_the_bearer(stage: Stage, either: Any) -> None:
    stage.will(answer(200, POD))
    assert either.get(PODS, "web", "prod") == POD
    request = stage.requests[0]
    assert (request.method, request.path, request.query) == ("GET", "/api/v1/namespaces/prod/pods/web", {})
    assert request.headers["authorization"] == ["Bearer sesame"]
    assert request.headers["host"] == [f"127.0.0.1:{stage.port}"]
    assert request.headers["accept"] == ["application/json"]
    assert request.headers["user-agent"] == ["paddock"]
    assert "cookie" not in request.headers


def test_find_is_none_only_when_the_api_says_so(stage: Stage, either: Any) -> None:
    stage.will(status(404, "NotFound", name="web"), answer(404, b"404 page not found\n"), status(403, "Forbidden"))
    assert either.find(PODS, "web", "prod") is None
    with pytest.raises(NotServed):
        either.find(PODS, "web", "prod")
    with pytest.raises(Forbidden):
        either.find(PODS, "web", "prod")


def test_get_raises_what_the_api_tells(stage: Stage, either: Any) -> None:
    stage.will(status(404, "NotFound", 'pods "web" not found', name="web"))
    with pytest.raises(NotFound, match='pods "web" not found'):
        either.get(PODS, "web", "prod")


@pytest.mark.parametrize("body", [[1], "text", None, 7])
def test_an_answer_that_is_no_object_is_garbled(stage: Stage, either: Any, body: Any) -> None:
    stage.will(answer(200, body))
    with pytest.raises(Garbled):
        either.get(PODS, "web", "prod")


def test_a_page_has_typed_items_and_the_way_on(stage: Stage, either: Any) -> None:
    stage.will(answer(200, page([pod("a")], token="next", remaining=41)))
    found = either.list_page(PODS, "prod", limit=1, label_selector="app=web", field_selector="spec.nodeName=n1")
    assert found.items == [{"apiVersion": "v1", "kind": "Pod", **pod("a")}]
    assert (found.continue_token, found.resource_version, found.remaining) == ("next", "100", 41)
    assert stage.requests[0].query == {
        "limit": "1",
        "labelSelector": "app=web",
        "fieldSelector": "spec.nodeName=n1",
    }


def test_an_empty_list_may_be_null(stage: Stage, either: Any) -> None:
    stage.will(answer(200, {"metadata": {}, "items": None}))
    assert either.list_page(PODS, limit=5).items == []


@pytest.mark.parametrize(
    "listing",
    [
        {},
        {"items": []},
        {"items": {}, "metadata": {}},
        {"items": ["x"], "metadata": {}},
        {"items": [{}], "metadata": {}},
        {"items": [], "metadata": {"resourceVersion": 7}},
        {"items": [], "metadata": {"continue": ["x"]}},
        [],
    ],
)
def test_sec73_a_list_of_the_wrong_shape_is_garbled(stage: Stage, either: Any, listing: Any) -> None:
    stage.will(answer(200, listing))
    with pytest.raises(Garbled):
        either.list_page(PODS, limit=5)


def test_list_reads_page_after_page(stage: Stage, client: KubeClient) -> None:
    stage.will(answer(200, page([pod("a"), pod("b")], token="t1")), answer(200, page([pod("c")])))
    assert [item["metadata"]["name"] for item in client.list(PODS)] == ["a", "b", "c"]
    assert [request.query for request in stage.requests] == [{"limit": "500"}, {"limit": "500", "continue": "t1"}]


def test_flt21_an_expired_token_starts_the_list_again(stage: Stage, client: KubeClient) -> None:
    stage.will(
        answer(200, page([pod("a"), pod("gone")], token="t1")),
        status(410, "Expired"),
        answer(200, page([pod("a")], token="t2")),
        answer(200, page([pod("b")])),
    )
    assert [item["metadata"]["name"] for item in client.list(PODS)] == ["a", "b"]
    assert [request.query.get("continue") for request in stage.requests] == [None, "t1", None, "t2"]


def test_flt21_a_list_that_never_ends_whole_is_an_error_and_no_part(stage: Stage, client: KubeClient) -> None:
    for _ in range(3):
        stage.will(answer(200, page([pod("a")], token="t1")), status(410, "Expired"))
    with pytest.raises(Expired):
        client.list(PODS)
    assert len(stage.requests) == 6


def test_flt21_a_later_page_that_fails_is_an_error_and_no_part(stage: Stage, client: KubeClient) -> None:
    stage.will(answer(200, page([pod("a")], token="t1")), answer(200, b'{"items": [{"metada'))
    with pytest.raises(Garbled):
        client.list(PODS)


def test_sec73_a_list_that_goes_in_a_circle_is_left(stage: Stage, client: KubeClient) -> None:
    stage.always(answer(200, page([pod("a")], token="same")))
    with pytest.raises(Garbled, match="does not go on"):
        client.list(PODS)


def test_create_posts_the_object_with_its_kind(stage: Stage, either: Any) -> None:
    stage.will(answer(201, POD), answer(201, POD))
    either.create(PODS, pod("web"))
    either.create(NAMESPACES, {"metadata": {"name": "prod"}}, dry_run=True)
    first, second = stage.requests
    assert (first.method, first.path) == ("POST", "/api/v1/namespaces/prod/pods")
    assert first.query == {"fieldManager": "paddock"}
    assert first.json == {"apiVersion": "v1", "kind": "Pod", **pod("web")}
    assert first.headers["content-type"] == ["application/json"]
    assert second.path == "/api/v1/namespaces"
    assert second.query == {"fieldManager": "paddock", "dryRun": "All"}


def test_create_tells_a_taken_name_from_a_conflict(stage: Stage, either: Any) -> None:
    stage.will(status(409, "AlreadyExists"), status(409, "Conflict"))
    with pytest.raises(AlreadyExists):
        either.create(PODS, pod("web"))
    with pytest.raises(Conflict):
        either.create(PODS, pod("web"))


def test_a_create_that_cannot_be_meant_is_never_sent(stage: Stage, either: Any) -> None:
    with pytest.raises(ValueError, match=r"metadata\.namespace"):
        either.create(PODS, {"metadata": {"name": "web"}})
    with pytest.raises(ValueError, match="is not v1 Pod"):
        either.create(PODS, {"kind": "Secret", **pod("web")})
    with pytest.raises(ValueError, match=r"metadata\.name"):
        either.replace(PODS, {"metadata": {"namespace": "prod"}})
    assert stage.requests == []


def test_replace_puts_the_object_and_its_subresource(stage: Stage, either: Any) -> None:
    stage.will(answer(200, POD), answer(200, POD))
    either.replace(PODS, POD)
    either.replace(PODS, POD, subresource="status")
    assert [(request.method, request.path) for request in stage.requests] == [
        ("PUT", "/api/v1/namespaces/prod/pods/web"),
        ("PUT", "/api/v1/namespaces/prod/pods/web/status"),
    ]
    assert stage.requests[0].json["metadata"]["resourceVersion"] == "7"


def test_patch_has_a_content_type_for_each_kind(stage: Stage, either: Any) -> None:
    stage.will(answer(200, POD), answer(200, POD))
    either.patch(PODS, "web", {"metadata": {"labels": {"a": None}}}, "prod")
    either.patch(NODES, "n1", [{"op": "remove", "path": "/spec/taints"}], kind="json", subresource="status")
    merge, json_patch = stage.requests
    assert (merge.method, merge.path) == ("PATCH", "/api/v1/namespaces/prod/pods/web")
    assert merge.headers["content-type"] == ["application/merge-patch+json"]
    assert merge.json == {"metadata": {"labels": {"a": None}}}
    assert json_patch.path == "/api/v1/nodes/n1/status"
    assert json_patch.headers["content-type"] == ["application/json-patch+json"]
    assert json_patch.json == [{"op": "remove", "path": "/spec/taints"}]


def test_apply_is_a_server_side_apply_of_our_manager(stage: Stage, either: Any) -> None:
    stage.will(answer(200, POD), answer(200, POD), status(409, "Conflict", causes=[{"field": ".spec.x"}]))
    either.apply(PODS, pod("web"))
    either.apply(PODS, pod("web"), force=False, dry_run=True, subresource="status")
    first, second = stage.requests
    assert first.method == "PATCH"
    assert first.headers["content-type"] == ["application/apply-patch+yaml"]
    assert first.query == {"fieldManager": "paddock", "force": "true"}
    assert first.json == {"apiVersion": "v1", "kind": "Pod", **pod("web")}
    assert second.query == {"fieldManager": "paddock", "force": "false", "dryRun": "All"}
    assert second.path.endswith("/pods/web/status")
    with pytest.raises(Conflict) as caught:
        either.apply(PODS, pod("web"), force=False)
    assert caught.value.causes[0].field == ".spec.x"


def test_delete_sends_preconditions_and_says_whether_it_was_there(stage: Stage, either: Any) -> None:
    stage.will(
        answer(200, POD), status(404, "NotFound", name="web"), status(409, "Conflict"), answer(404, b"no such path")
    )
    assert either.delete(PODS, "web", "prod", uid="u-1", resource_version="7", grace_seconds=0)
    assert stage.requests[0].method == "DELETE"
    assert stage.requests[0].json == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u-1", "resourceVersion": "7"},
        "gracePeriodSeconds": 0,
    }
    assert not either.delete(PODS, "web", "prod", propagation="Foreground")
    assert "preconditions" not in stage.requests[1].json
    with pytest.raises(Conflict):
        either.delete(PODS, "web", "prod", uid="other")
    with pytest.raises(NotServed):
        either.delete(PODS, "web", "prod")


def test_call_reaches_any_path(stage: Stage, either: Any) -> None:
    stage.will(answer(200, b"ok", content_type="text/plain"), answer(202, b""), answer(200, {"a": 1}))
    assert either.call("GET", "/readyz", accept="text/plain", query={"verbose": True, "none": None, "n": 3}) == "ok"
    path = VIRTUAL_MACHINES.path("prod", "vm", "start")
    assert either.call("PUT", path, body={}) is None
    assert either.call("GET", "/version", timeout=5) == {"a": 1}
    assert stage.requests[0].query == {"verbose": "true", "n": "3"}
    assert stage.requests[0].headers["accept"] == ["text/plain"]
    assert "content-type" not in stage.requests[0].headers
    assert stage.requests[1].body == b"{}"


@pytest.mark.parametrize(
    "path",
    ["", "api", "//evil.example/x", "/a/../b", "/a/%2e%2e/b", "/a/%2E./b", "/a?b", "/a#b", "/a b", "/a\r\nX: y", "/é"],
)
def test_a_path_that_is_not_plain_is_never_sent(stage: Stage, either: Any, path: str) -> None:
    with pytest.raises(ValueError, match="plain path"):
        either.call("GET", path)
    assert stage.requests == []


def test_an_identity_is_impersonated_with_all_its_groups(stage: Stage, connect: Connect, credentials: Any) -> None:
    stage.will(answer(200, POD))
    groups = ["system:authenticated", "paddock:project:1:member"]
    connect(credentials, impersonate_user="paddock:user:1", impersonate_groups=groups).get(PODS, "web", "prod")
    headers = stage.requests[0].headers
    assert headers["impersonate-user"] == ["paddock:user:1"]
    assert headers["impersonate-group"] == groups


@pytest.mark.parametrize(
    ("user", "groups"),
    [("a\r\nImpersonate-Group: system:masters", []), ("ü", []), (" a", []), (None, ["g"]), ("a", [""]), ("a", ["b\n"])],
)
def test_an_identity_that_cannot_stand_in_a_header_is_refused(
    connect: Connect, credentials: Any, user: str | None, groups: list[str]
) -> None:
    with pytest.raises(ValueError, match="impersonated"):
        connect(credentials, impersonate_user=user, impersonate_groups=groups)


def test_version_and_groups_are_read(stage: Stage, client: KubeClient) -> None:
    named = {
        "groups": [
            {
                "name": "kubevirt.io",
                "preferredVersion": {"version": "v1"},
                "versions": [{"version": "v1alpha3"}, {"version": "v1"}],
            }
        ]
    }
    stage.will(answer(200, {"gitVersion": "v1.34.1"}), answer(200, {"versions": ["v1"]}), answer(200, named))
    assert client.version()["gitVersion"] == "v1.34.1"
    assert client.api_groups() == {"": ["v1"], "kubevirt.io": ["v1", "v1alpha3"]}


@pytest.mark.parametrize("named", [{}, {"groups": None}, {"groups": [{"name": "x"}]}, {"groups": ["x"]}])
def test_sec73_malformed_groups_are_garbled(stage: Stage, client: KubeClient, named: Any) -> None:
    stage.will(answer(200, {"versions": ["v1"]}), answer(200, named))
    with pytest.raises(Garbled, match="groups"):
        client.api_groups()


def test_a_right_is_asked_for(stage: Stage, client: KubeClient) -> None:
    stage.will(answer(201, {"status": {"allowed": True}}), answer(201, {"status": {"allowed": "yes"}}))
    assert client.can_i("update", VIRTUAL_MACHINES, "prod", "vm", "start")
    assert not client.can_i("list", NODES)
    assert stage.requests[0].path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert stage.requests[0].json["spec"]["resourceAttributes"] == {
        "verb": "update",
        "group": "kubevirt.io",
        "version": "v1",
        "resource": "virtualmachines",
        "namespace": "prod",
        "name": "vm",
        "subresource": "start",
    }


def test_a_token_is_requested_and_its_end_known(stage: Stage, client: KubeClient) -> None:
    stage.will(answer(201, {"status": {"token": "t", "expirationTimestamp": "2026-11-24T10:00:00Z"}}))
    assert client.request_token("paddock-system", "hub", 3600) == ("t", datetime(2026, 11, 24, 10, tzinfo=UTC))
    assert stage.requests[0].path == "/api/v1/namespaces/paddock-system/serviceaccounts/hub/token"
    assert stage.requests[0].json["spec"] == {"expirationSeconds": 3600}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": None},
        {"status": {"token": "", "expirationTimestamp": "2026-11-24T10:00:00Z"}},
        {"status": {"token": "t", "expirationTimestamp": "soon"}},
        {"status": {"token": "t", "expirationTimestamp": "2026-11-24T10:00:00"}},
        {"status": {"token": "t", "expirationTimestamp": None}},
    ],
)
def test_a_malformed_token_answer_is_garbled(stage: Stage, client: KubeClient, body: Any) -> None:
    stage.will(answer(201, body))
    with pytest.raises(Garbled, match="token"):
        client.request_token("ns", "sa", 600)


def test_an_invalid_object_is_told_field_by_field(stage: Stage, either: Any) -> None:
    stage.will(status(422, "Invalid", causes=[{"reason": "FieldValueInvalid", "field": "spec.x", "message": "no"}]))
    with pytest.raises(Invalid) as caught:
        either.create(PODS, pod("web"))
    assert caught.value.causes[0].field == "spec.x"


def test_a_client_can_be_closed_twice(credentials: Any, guard: AddressGuard) -> None:
    client = KubeClient(credentials, guard=guard)
    client.close()
    client.close()
