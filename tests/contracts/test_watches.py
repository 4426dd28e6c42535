"""Watches: order, resuming, selectors, bookmarks, the end in time, and what is too old."""

import pytest

from kube.resources import Object
from tests.contracts.cluster import Cluster


@pytest.fixture
def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def create(cluster: Cluster, path: str, name: str, **labels: str) -> Object:
    return cluster.call("POST", path, {"metadata": {"name": name, "labels": labels}}).ok(201)


def told(event: Object) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


def version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])


def test_a_watch_from_a_list_tells_what_happened_since(cluster: Cluster, path: str) -> None:
    start = version(cluster.call("GET", path).ok())
    made = create(cluster, path, "a")
    changed = cluster.call("PUT", f"{path}/a", made | {"stringData": {"k": "v"}}).ok()
    cluster.call("DELETE", f"{path}/a").ok()
    with cluster.watch(path, resourceVersion=start) as events:
        seen = [next(events) for _ in range(3)]
    assert [told(event) for event in seen] == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert [version(event["object"]) for event in seen[:2]] == [version(made), version(changed)]
    assert int(version(seen[2]["object"])) > int(version(changed))
    assert seen[0]["object"]["kind"] == "Secret"


def test_a_watch_resumes_after_the_last_event_seen(cluster: Cluster, path: str) -> None:
    first = create(cluster, path, "a")
    create(cluster, path, "b")
    with cluster.watch(path, resourceVersion=version(first)) as events:
        assert told(next(events)) == ("ADDED", "b")


def test_a_watch_hears_of_changes_while_it_runs(cluster: Cluster, path: str) -> None:
    start = version(cluster.call("GET", path).ok())
    with cluster.watch(path, resourceVersion=start) as events:
        create(cluster, path, "a")
        assert told(next(events)) == ("ADDED", "a")
        create(cluster, path, "b")
        assert told(next(events)) == ("ADDED", "b")


def test_a_watch_without_revision_begins_with_what_is_there(cluster: Cluster, path: str) -> None:
    create(cluster, path, "a")
    create(cluster, path, "b")
    with cluster.watch(path) as events:
        assert {told(next(events)), told(next(events))} == {("ADDED", "a"), ("ADDED", "b")}


def test_a_watch_of_one_object_by_field(cluster: Cluster, path: str) -> None:
    start = version(cluster.call("GET", path).ok())
    create(cluster, path, "a")
    create(cluster, path, "b")
    with cluster.watch(path, resourceVersion=start, fieldSelector="metadata.name=b") as events:
        assert told(next(events)) == ("ADDED", "b")


def test_an_object_enters_and_leaves_a_watch_with_its_labels(cluster: Cluster, path: str) -> None:
    made = create(cluster, path, "a")
    with cluster.watch(path, resourceVersion=version(made), labelSelector="color=red") as events:
        red = cluster.call("PUT", f"{path}/a", _labelled(made, "red")).ok()
        blue = cluster.call("PUT", f"{path}/a", _labelled(red, "blue")).ok()
        entered, left = next(events), next(events)
    assert (entered["type"], left["type"]) == ("ADDED", "DELETED")
    assert version(left["object"]) == version(blue)
    assert left["object"]["metadata"]["labels"] == {"color": "red"}


def _labelled(obj: Object, color: str) -> Object:
    return obj | {"metadata": obj["metadata"] | {"labels": {"color": color}}}


def test_a_watch_of_a_namespace_hears_of_no_other(cluster: Cluster, path: str) -> None:
    start = version(cluster.call("GET", path).ok())
    elsewhere = create(cluster, "/api/v1/namespaces/default/secrets", path.split("/")[4])
    create(cluster, path, "mine")
    with cluster.watch(path, resourceVersion=start) as events:
        assert told(next(events)) == ("ADDED", "mine")
    cluster.call("DELETE", f"/api/v1/namespaces/default/secrets/{elsewhere['metadata']['name']}").ok()


def test_a_watch_over_all_namespaces_hears_of_each(cluster: Cluster, path: str, prefix: str) -> None:
    start = version(cluster.call("GET", "/api/v1/secrets").ok())
    create(cluster, path, "a", case=prefix)
    with cluster.watch("/api/v1/secrets", resourceVersion=start, labelSelector=f"case={prefix}") as events:
        assert told(next(events)) == ("ADDED", "a")


def test_a_watch_ends_when_its_time_is_over(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, seconds=1) as events:
        assert list(events) == []


# A bookmark comes two seconds before the end of a watch, so these wait longer than that: too long for the fast part.
waits_for_bookmarks = pytest.mark.servers


@waits_for_bookmarks
def test_flt19_a_bookmark_comes_before_the_end_and_a_watch_resumes_from_it(cluster: Cluster, path: str) -> None:
    start = version(create(cluster, path, "a"))
    query = {"resourceVersion": start, "allowWatchBookmarks": "true", "fieldSelector": "metadata.name=a"}
    with cluster.watch(path, seconds=4, **query) as events:
        unseen = create(cluster, path, "unseen")
        bookmarks = [event for event in events if event["type"] == "BOOKMARK"]
    assert bookmarks
    mark = bookmarks[-1]["object"]
    assert (mark["kind"], mark["apiVersion"]) == ("Secret", "v1")
    assert int(version(mark)) >= int(version(unseen))
    create(cluster, path, "b")
    with cluster.watch(path, resourceVersion=version(mark)) as events:
        assert told(next(events)) == ("ADDED", "b")


@waits_for_bookmarks
def test_without_asking_there_are_no_bookmarks(cluster: Cluster, path: str) -> None:
    start = version(create(cluster, path, "a"))
    with cluster.watch(path, seconds=3, resourceVersion=start) as events:
        assert list(events) == []


def test_flt19_a_revision_that_is_forgotten_is_told_as_an_expired_event(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, resourceVersion="1") as events:
        event = next(events)
        assert event["type"] == "ERROR"
        status = event["object"]
        assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
        assert list(events) == []


def test_a_watch_can_begin_with_the_state_and_a_mark_of_its_end(cluster: Cluster, path: str) -> None:
    create(cluster, path, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with cluster.watch(path, 20, **query) as events:
        assert told(next(events)) == ("ADDED", "a")
        mark = next(events)
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_of_custom_objects(cluster: Cluster, namespace: str) -> None:
    keys = f"/apis/harvesterhci.io/v1beta1/namespaces/{namespace}/keypairs"
    start = version(cluster.call("GET", keys).ok())
    key = {
        "apiVersion": "harvesterhci.io/v1beta1",
        "kind": "KeyPair",
        "metadata": {"name": "k"},
        "spec": {"publicKey": "ssh-ed25519 AAAA"},
    }
    cluster.call("POST", keys, key).ok(201)
    with cluster.watch(keys, resourceVersion=start) as events:
        event = next(events)
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "KeyPair")


def test_a_watch_as_table_sends_a_row_with_each_event(cluster: Cluster, path: str) -> None:
    create(cluster, path, "a")
    query = {"watch": "true", "timeoutSeconds": "1"}
    answer = cluster.call("GET", path, query=query, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    event = answer.ok()
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table")
    assert event["object"]["rows"][0]["cells"][0] == "a"
