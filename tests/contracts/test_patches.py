"""Merge patch, JSON patch, strategic merge patch, and bodies that are none of them."""

import pytest

from kube.resources import Object
from tests.contracts.cluster import JSON_PATCH, MERGE, STRATEGIC, Cluster

KEY_PAIR: Object = {
    "apiVersion": "harvesterhci.io/v1beta1",
    "kind": "KeyPair",
    "metadata": {"name": "k"},
    "spec": {"publicKey": "ssh-ed25519 AAAA"},
}


@pytest.fixture
def path(cluster: Cluster, namespace: str) -> str:
    """A config map ``a`` with two keys and a label."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    obj = {"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"one": "1", "two": "2"}}
    cluster.call("POST", path, obj).ok(201)
    return f"{path}/a"


def test_a_merge_patch_merges_and_null_removes(cluster: Cluster, path: str) -> None:
    body = {"data": {"one": None, "three": "3"}, "metadata": {"labels": {"y": "2"}}}
    patched = cluster.call("PATCH", path, body, content_type=MERGE).ok()
    assert patched["data"] == {"two": "2", "three": "3"}
    assert patched["metadata"]["labels"] == {"x": "1", "y": "2"}


def test_an_empty_merge_patch_changes_nothing(cluster: Cluster, path: str) -> None:
    before = cluster.call("GET", path).ok()
    assert cluster.call("PATCH", path, {}, content_type=MERGE).ok() == before


def test_a_merge_patch_with_an_older_version_is_a_conflict(cluster: Cluster, path: str) -> None:
    version = cluster.call("GET", path).ok()["metadata"]["resourceVersion"]
    cluster.call("PATCH", path, {"data": {"one": "x"}}, content_type=MERGE).ok()
    body = {"metadata": {"resourceVersion": version}, "data": {"one": "y"}}
    cluster.call("PATCH", path, body, content_type=MERGE).refused(409, "Conflict")


def test_a_merge_patch_with_the_current_version_changes(cluster: Cluster, path: str) -> None:
    version = cluster.call("GET", path).ok()["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version}, "data": {"one": "y"}}
    assert cluster.call("PATCH", path, body, content_type=MERGE).ok()["data"]["one"] == "y"


def test_a_merge_patch_of_an_absent_object_is_not_found(cluster: Cluster, path: str) -> None:
    cluster.call("PATCH", f"{path}bsent", {}, content_type=MERGE).refused(404, "NotFound")


def test_a_merge_patch_that_makes_the_object_invalid_is_refused(cluster: Cluster, path: str) -> None:
    body = {"metadata": {"labels": {"x": "no spaces"}}}
    answer = cluster.call("PATCH", path, body, content_type=MERGE)
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.labels"))


def test_a_merge_patch_does_not_rename(cluster: Cluster, path: str) -> None:
    answer = cluster.call("PATCH", path, {"metadata": {"name": "b"}}, content_type=MERGE)
    answer.refused(400, "BadRequest")


def test_a_dry_run_of_a_patch_stores_nothing(cluster: Cluster, path: str) -> None:
    before = cluster.call("GET", path).ok()
    patched = cluster.call("PATCH", path, {"data": {"one": "x"}}, content_type=MERGE, query={"dryRun": "All"}).ok()
    assert patched["data"]["one"] == "x"
    assert cluster.call("GET", path).ok() == before


def test_a_json_patch_adds_replaces_moves_and_removes(cluster: Cluster, path: str) -> None:
    operations = [
        {"op": "test", "path": "/data/one", "value": "1"},
        {"op": "replace", "path": "/data/one", "value": "x"},
        {"op": "move", "from": "/data/two", "path": "/data/three"},
        {"op": "copy", "from": "/data/one", "path": "/data/four"},
        {"op": "add", "path": "/metadata/labels/a~1b", "value": "slash"},
        {"op": "remove", "path": "/metadata/labels/x"},
    ]
    patched = cluster.call("PATCH", path, operations, content_type=JSON_PATCH).ok()
    assert patched["data"] == {"one": "x", "three": "2", "four": "x"}
    assert patched["metadata"]["labels"] == {"a/b": "slash"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/one", "value": "2"},
        {"op": "remove", "path": "/data/absent"},
        {"op": "replace", "path": "/metadata/absent/deep", "value": "x"},
        {"op": "add", "path": "/absent/deep", "value": "x"},
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(cluster: Cluster, path: str, operation: Object) -> None:
    before = cluster.call("GET", path).ok()
    cluster.call("PATCH", path, [operation], content_type=JSON_PATCH).refused(422, "Invalid")
    assert cluster.call("GET", path).ok() == before


def test_a_json_patch_that_is_no_list_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("PATCH", path, {"op": "add"}, content_type=JSON_PATCH).refused(400, "BadRequest")


def test_a_strategic_patch_merges_lists_of_built_in_kinds_by_key(cluster: Cluster, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    containers = [{"name": "main", "image": "a:1"}, {"name": "side", "image": "b:1"}]
    pod: Object = {"metadata": {"name": "p"}, "spec": {"containers": containers, "automountServiceAccountToken": False}}
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.call("POST", accounts, {"metadata": {"name": "own"}}).ok(201)
    pod["spec"] |= {"serviceAccountName": "own"}
    cluster.call("POST", pods, pod).ok(201)
    body = {"spec": {"containers": [{"name": "side", "image": "b:2"}]}}
    patched = cluster.call("PATCH", f"{pods}/p", body, content_type=STRATEGIC).ok()
    images = {container["name"]: container["image"] for container in patched["spec"]["containers"]}
    assert images == {"main": "a:1", "side": "b:2"}


def test_a_strategic_patch_deletes_an_item_by_directive(cluster: Cluster, namespace: str) -> None:
    services = f"/api/v1/namespaces/{namespace}/services"
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    service = {"metadata": {"name": "s"}, "spec": {"ports": ports, "selector": {"x": "y"}}}
    cluster.call("POST", services, service).ok(201)
    body = {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}
    patched = cluster.call("PATCH", f"{services}/s", body, content_type=STRATEGIC).ok()
    assert [port["port"] for port in patched["spec"]["ports"]] == [81]


def test_a_strategic_patch_with_null_removes(cluster: Cluster, path: str) -> None:
    patched = cluster.call("PATCH", path, {"data": {"one": None}}, content_type=STRATEGIC).ok()
    assert patched["data"] == {"two": "2"}


def test_custom_objects_take_no_strategic_patch(cluster: Cluster, namespace: str) -> None:
    keys = f"/apis/harvesterhci.io/v1beta1/namespaces/{namespace}/keypairs"
    cluster.call("POST", keys, KEY_PAIR).ok(201)
    answer = cluster.call("PATCH", f"{keys}/k", {"spec": {"publicKey": "x"}}, content_type=STRATEGIC)
    answer.refused(415, "UnsupportedMediaType")


def test_a_patch_of_another_type_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("PATCH", path, {}, content_type="application/json").refused(415, "UnsupportedMediaType")


def test_only_apply_can_be_forced(cluster: Cluster, path: str) -> None:
    answer = cluster.call("PATCH", path, {}, content_type=MERGE, query={"force": "true"})
    answer.refused(422, "Invalid", ("FieldValueForbidden", "force"))
