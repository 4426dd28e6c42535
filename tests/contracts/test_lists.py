"""Lists: order, pages, selectors, revisions, and lists as tables."""

import base64
import json

import pytest

from kube.resources import Object
from tests.contracts.cluster import Cluster


@pytest.fixture
def path(cluster: Cluster, namespace: str) -> str:
    """Five config maps a to e, labelled in turn; all that is labelled in the namespace."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for index, name in enumerate("cabed"):
        labels = {"set": "five", "parity": "even" if index % 2 == 0 else "odd"} | ({"first": ""} if index == 0 else {})
        cluster.call("POST", path, {"metadata": {"name": name, "labels": labels}}).ok(201)
    return path


def names(body: Object) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


def test_a_list_is_ordered_by_name(cluster: Cluster, path: str) -> None:
    body = cluster.call("GET", path, query={"labelSelector": "set=five"}).ok()
    assert names(body) == ["a", "b", "c", "d", "e"]
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert body["metadata"]["resourceVersion"].isdigit()


def test_items_of_built_in_lists_do_not_repeat_their_kind(cluster: Cluster, path: str) -> None:
    assert "kind" not in cluster.call("GET", path).ok()["items"][0]


def test_items_of_custom_lists_tell_their_kind(cluster: Cluster, prefix: str) -> None:
    settings = "/apis/harvesterhci.io/v1beta1/settings"
    setting = {"apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "metadata": {"name": prefix}, "value": "x"}
    cluster.call("POST", settings, setting).ok(201)
    body = cluster.call("GET", settings, query={"fieldSelector": f"metadata.name={prefix}"}).ok()
    assert (body["kind"], body["items"][0]["kind"]) == ("SettingList", "Setting")
    cluster.call("DELETE", f"{settings}/{prefix}").ok()


def test_pages_follow_each_other_without_gap(cluster: Cluster, path: str) -> None:
    seen: list[str] = []
    query = {"limit": "2", "labelSelector": "set=five"}
    revisions = set()
    for _ in range(4):
        body = cluster.call("GET", path, query=query).ok()
        assert len(body["items"]) <= 2
        seen += names(body)
        revisions.add(body["metadata"]["resourceVersion"])
        if not body["metadata"].get("continue"):
            break
        query["continue"] = body["metadata"]["continue"]
    assert seen == ["a", "b", "c", "d", "e"]
    assert len(revisions) == 1


def test_pages_show_the_moment_of_the_first_page(cluster: Cluster, path: str) -> None:
    query = {"limit": "2", "labelSelector": "set=five"}
    body = cluster.call("GET", path, query=query).ok()
    cluster.call("DELETE", f"{path}/d").ok()
    cluster.call("POST", path, {"metadata": {"name": "cc", "labels": {"set": "five"}}}).ok(201)
    rest = cluster.call(
        "GET", path, query={"limit": "9", "continue": body["metadata"]["continue"], "labelSelector": "set=five"}
    )
    assert names(rest.ok()) == ["c", "d", "e"]


def test_a_page_without_selector_counts_what_remains(cluster: Cluster, namespace: str, path: str) -> None:
    total = len(cluster.call("GET", path).ok()["items"])
    body = cluster.call("GET", path, query={"limit": "2"}).ok()
    assert body["metadata"]["remainingItemCount"] in (total - 2, total - 1)  # the namespace's CA may just arrive


def test_a_page_with_selector_does_not_count(cluster: Cluster, path: str) -> None:
    body = cluster.call("GET", path, query={"limit": "2", "labelSelector": "set"}).ok()
    assert "remainingItemCount" not in body["metadata"]


def test_a_limit_that_is_not_reached_ends_the_list(cluster: Cluster, path: str) -> None:
    body = cluster.call("GET", path, query={"limit": "7", "labelSelector": "set"}).ok()
    assert "continue" not in body["metadata"]


def test_a_continue_token_that_is_none_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("GET", path, query={"limit": "2", "continue": "nonsense"}).refused(400, "BadRequest")


def forget(cluster: Cluster, path: str) -> None:
    """Let the server forget its earliest revisions; younger ones, that a cache may hold, do not matter here."""
    later = cluster.call("POST", path, {"metadata": {"generateName": "later-"}}).ok(201)
    cluster.forget_before(int(later["metadata"]["resourceVersion"]))


def test_flt21_a_continue_token_of_a_forgotten_revision_is_expired(cluster: Cluster, path: str) -> None:
    body = cluster.call("GET", path, query={"limit": "1"}).ok()
    forget(cluster, path)
    text = body["metadata"]["continue"]
    token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    forgotten = base64.urlsafe_b64encode(json.dumps(token | {"rv": 1}).encode()).decode().rstrip("=")
    cluster.call("GET", path, query={"limit": "1", "continue": forgotten}).refused(410, "Expired")


def test_flt21_an_exact_list_of_a_forgotten_revision_is_expired(cluster: Cluster, path: str) -> None:
    forget(cluster, path)
    query = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    cluster.call("GET", path, query=query).refused(410, "Expired")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("parity=even", "bcd"),
        ("parity==odd", "ae"),
        ("parity!=even,set", "ae"),
        ("set,!first", "abde"),
        ("first", "c"),
        ("first=", "c"),
        ("parity in (odd, none)", "ae"),
        ("parity notin (odd),set=five", "bcd"),
        ("set=five,parity=odd", "ae"),
        ("set=six", ""),
    ],
)
def test_label_selectors(cluster: Cluster, path: str, selector: str, expected: str) -> None:
    assert names(cluster.call("GET", path, query={"labelSelector": selector}).ok()) == list(expected)


@pytest.mark.parametrize("selector", ["=x", "a b", "a in x", "a in (x", "-bad=1", "a=no spaces"])
def test_label_selectors_that_do_not_parse_are_refused(cluster: Cluster, path: str, selector: str) -> None:
    cluster.call("GET", path, query={"labelSelector": selector}).refused(400, "BadRequest")


def test_field_selectors_on_the_name(cluster: Cluster, path: str) -> None:
    assert names(cluster.call("GET", path, query={"fieldSelector": "metadata.name=c"}).ok()) == ["c"]
    rest = cluster.call("GET", path, query={"fieldSelector": "metadata.name!=c", "labelSelector": "set"}).ok()
    assert names(rest) == ["a", "b", "d", "e"]


def test_field_selectors_on_the_namespace(cluster: Cluster, path: str, namespace: str) -> None:
    query = {"fieldSelector": f"metadata.namespace={namespace}", "labelSelector": "set=five"}
    assert names(cluster.call("GET", "/api/v1/configmaps", query=query).ok()) == ["a", "b", "c", "d", "e"]


def test_a_field_that_is_not_selectable_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("GET", path, query={"fieldSelector": "data.k=v"}).refused(400, "BadRequest")


def test_a_secrets_type_is_selectable(cluster: Cluster, namespace: str) -> None:
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    cluster.call("POST", secrets, {"metadata": {"name": "plain"}}).ok(201)
    cluster.call("POST", secrets, {"metadata": {"name": "other"}, "type": "paddock.io/other"}).ok(201)
    body = cluster.call("GET", secrets, query={"fieldSelector": "type=paddock.io/other"}).ok()
    assert names(body) == ["other"]


def test_a_list_over_all_namespaces_holds_those_of_each(cluster: Cluster, path: str) -> None:
    body = cluster.call("GET", "/api/v1/configmaps", query={"labelSelector": "first"}).ok()
    assert "c" in names(body)


def test_a_list_of_no_older_than_a_revision_is_current(cluster: Cluster, path: str) -> None:
    version = cluster.call("GET", f"{path}/e").ok()["metadata"]["resourceVersion"]
    query = {"resourceVersion": version, "resourceVersionMatch": "NotOlderThan", "labelSelector": "set"}
    assert names(cluster.call("GET", path, query=query).ok()) == ["a", "b", "c", "d", "e"]


def test_a_list_at_an_exact_revision_shows_that_moment(cluster: Cluster, path: str) -> None:
    version = cluster.call("GET", path).ok()["metadata"]["resourceVersion"]
    cluster.call("DELETE", f"{path}/a").ok()
    query = {"resourceVersion": version, "resourceVersionMatch": "Exact", "labelSelector": "set"}
    body = cluster.call("GET", path, query=query).ok()
    assert names(body) == ["a", "b", "c", "d", "e"]
    assert body["metadata"]["resourceVersion"] == version


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ({"resourceVersionMatch": "Exact"}, "FieldValueForbidden"),
        ({"resourceVersionMatch": "Perhaps", "resourceVersion": "5"}, "FieldValueNotSupported"),
        ({"watch": "true", "sendInitialEvents": "true"}, "FieldValueForbidden"),
    ],
)
def test_a_match_that_makes_no_sense_is_refused(cluster: Cluster, path: str, query: dict[str, str], cause: str) -> None:
    cluster.call("GET", path, query=query).refused(422, "Invalid", (cause, "resourceVersionMatch"))


def test_a_list_as_table_has_a_row_for_each_object(cluster: Cluster, path: str) -> None:
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    body = cluster.call("GET", path, query={"labelSelector": "set"}, accept=accept).ok()
    assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in body["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][0] for row in body["rows"]] == ["a", "b", "c", "d", "e"]
    assert {row["object"]["kind"] for row in body["rows"]} == {"PartialObjectMetadata"}


def test_a_custom_kinds_table_has_its_own_columns(cluster: Cluster, namespace: str) -> None:
    images = f"/apis/harvesterhci.io/v1beta1/namespaces/{namespace}/virtualmachineimages"
    image = {
        "apiVersion": "harvesterhci.io/v1beta1",
        "kind": "VirtualMachineImage",
        "metadata": {"name": "jammy"},
        "spec": {"displayName": "jammy.img", "sourceType": "download", "url": "https://example.com/jammy.img"},
        "status": {"size": 5},
    }
    cluster.call("POST", images, image).ok(201)
    body = cluster.call("GET", images, accept="application/json;as=Table;v=v1;g=meta.k8s.io").ok()
    cells = dict(zip([column["name"] for column in body["columnDefinitions"]], body["rows"][0]["cells"], strict=True))
    assert cells["Name"] == "jammy"
    assert cells["Display-Name"] == "jammy.img"
    assert cells["Size"] == 5


def test_a_list_of_metadata_alone(cluster: Cluster, path: str) -> None:
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    body = cluster.call("GET", path, query={"labelSelector": "first"}, accept=accept).ok()
    assert body["kind"] == "PartialObjectMetadataList"
    assert set(body["items"][0]) <= {"kind", "apiVersion", "metadata"}
