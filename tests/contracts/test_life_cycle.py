"""Status subresources, generations, finalizers, namespaces, and what becomes of the dependents of a deleted object."""

import pytest

from kube.resources import Object
from tests.bed.waiting import wait_for
from tests.contracts.cluster import MERGE, Cluster

FINALIZER = "paddock.io/held"


@pytest.fixture
def machines(namespace: str) -> str:
    return f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines"


@pytest.fixture
def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def machine(**status: object) -> Object:
    obj: Object = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "vm"},
        "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}}},
    }
    return obj | {"status": status} if status else obj


def owner_of(obj: Object, **more: object) -> Object:
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **more,
    }


def test_status_is_dropped_from_a_create_where_it_has_a_subresource(cluster: Cluster, machines: str) -> None:
    assert "status" not in cluster.call("POST", machines, machine(created=True)).ok(201)


def test_status_is_dropped_from_a_replace_where_it_has_a_subresource(cluster: Cluster, machines: str) -> None:
    made = cluster.call("POST", machines, machine()).ok(201)
    assert "status" not in cluster.call("PUT", f"{machines}/vm", made | {"status": {"created": True}}).ok()


def test_the_status_subresource_changes_status_alone(cluster: Cluster, machines: str) -> None:
    made = cluster.call("POST", machines, machine()).ok(201)
    obj = made | {"status": {"created": True}, "spec": made["spec"] | {"runStrategy": "Always"}}
    obj["metadata"] = made["metadata"] | {"labels": {"x": "y"}}
    changed = cluster.call("PUT", f"{machines}/vm/status", obj).ok()
    assert changed["status"] == {"created": True, "printableStatus": "Stopped"}
    assert changed["spec"]["runStrategy"] == "Halted"
    assert "labels" not in changed["metadata"]


def test_status_can_be_patched_and_read(cluster: Cluster, machines: str) -> None:
    cluster.call("POST", machines, machine()).ok(201)
    cluster.call("PATCH", f"{machines}/vm/status", {"status": {"ready": True}}, content_type=MERGE).ok()
    assert cluster.call("GET", f"{machines}/vm/status").ok()["status"]["ready"] is True


def test_the_generation_counts_changes_of_the_spec_alone(cluster: Cluster, machines: str) -> None:
    path = f"{machines}/vm"
    assert cluster.call("POST", machines, machine()).ok(201)["metadata"]["generation"] == 1
    labelled = cluster.call("PATCH", path, {"metadata": {"labels": {"x": "y"}}}, content_type=MERGE).ok()
    assert labelled["metadata"]["generation"] == 1
    told = cluster.call("PATCH", f"{path}/status", {"status": {"ready": True}}, content_type=MERGE).ok()
    assert told["metadata"]["generation"] == 1
    changed = cluster.call("PATCH", path, {"spec": {"runStrategy": "Always"}}, content_type=MERGE).ok()
    assert changed["metadata"]["generation"] == 2


def test_a_virtual_machine_instance_has_no_status_subresource(cluster: Cluster, namespace: str) -> None:
    instances = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances"
    obj = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "vm"},
        "spec": {"domain": {"devices": {}}},
        "status": {"phase": "Running"},
    }
    made = cluster.call("POST", instances, obj).ok(201)
    assert made["status"] == {"phase": "Running"}
    changed = cluster.call("PUT", f"{instances}/vm", made | {"status": {"phase": "Failed"}}).ok()
    assert changed["status"] == {"phase": "Failed"}
    assert changed["metadata"]["generation"] == 2
    assert cluster.call("PUT", f"{instances}/vm/status", changed).code == 404


def test_a_finalizer_holds_a_deleted_object(cluster: Cluster, maps: str) -> None:
    cluster.call("POST", maps, {"metadata": {"name": "a", "finalizers": [FINALIZER]}}).ok(201)
    held = cluster.call("DELETE", f"{maps}/a").ok()
    assert held["kind"] == "ConfigMap"
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    again = cluster.call("DELETE", f"{maps}/a").ok()
    assert again["metadata"]["deletionTimestamp"] == held["metadata"]["deletionTimestamp"]
    freed = cluster.call("PATCH", f"{maps}/a", {"metadata": {"finalizers": None}}, content_type=MERGE).ok()
    assert freed["metadata"]["name"] == "a"
    cluster.call("GET", f"{maps}/a").refused(404, "NotFound")


def test_a_watch_hears_of_the_mark_and_of_the_end_and_of_nothing_between(cluster: Cluster, maps: str) -> None:
    start = cluster.call("GET", maps).ok()["metadata"]["resourceVersion"]
    cluster.call("POST", maps, {"metadata": {"name": "a", "finalizers": [FINALIZER]}}).ok(201)
    cluster.call("DELETE", f"{maps}/a").ok()
    cluster.call("PATCH", f"{maps}/a", {"metadata": {"finalizers": None}}, content_type=MERGE).ok()
    with cluster.watch(maps, resourceVersion=start, fieldSelector="metadata.name=a") as events:
        seen = [next(events) for _ in range(3)]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[2]["object"]["metadata"]["finalizers"] == [FINALIZER]


def test_a_deleted_object_takes_no_new_finalizer(cluster: Cluster, maps: str) -> None:
    cluster.call("POST", maps, {"metadata": {"name": "a", "finalizers": [FINALIZER]}}).ok(201)
    cluster.call("DELETE", f"{maps}/a").ok()
    body = {"metadata": {"finalizers": [FINALIZER, "paddock.io/late"]}}
    answer = cluster.call("PATCH", f"{maps}/a", body, content_type=MERGE)
    answer.refused(422, "Invalid", ("FieldValueForbidden", "metadata.finalizers"))
    cluster.call("PATCH", f"{maps}/a", {"metadata": {"finalizers": None}}, content_type=MERGE).ok()


def test_a_finalizer_without_domain_style_is_refused(cluster: Cluster, maps: str) -> None:
    answer = cluster.call("POST", maps, {"metadata": {"name": "a", "finalizers": ["plain"]}})
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.finalizers[0]"))


def test_a_deletion_counts_as_a_generation(cluster: Cluster, machines: str) -> None:
    obj = machine()
    obj["metadata"]["finalizers"] = [FINALIZER]
    cluster.call("POST", machines, obj).ok(201)
    assert cluster.call("DELETE", f"{machines}/vm").ok()["metadata"]["generation"] == 2
    cluster.call("PATCH", f"{machines}/vm", {"metadata": {"finalizers": None}}, content_type=MERGE).ok()


def test_dependents_go_after_their_owner(cluster: Cluster, maps: str) -> None:
    owner = cluster.call("POST", maps, {"metadata": {"name": "owner"}}).ok(201)
    dependent = {"metadata": {"name": "dependent", "ownerReferences": [owner_of(owner)]}}
    cluster.call("POST", maps, dependent).ok(201)
    cluster.call("DELETE", f"{maps}/owner", {"propagationPolicy": "Background"}).ok()
    cluster.wait_gone(f"{maps}/dependent")


def test_a_dependent_of_two_owners_stays_while_one_is_there(cluster: Cluster, maps: str) -> None:
    owners = [cluster.call("POST", maps, {"metadata": {"name": name}}).ok(201) for name in ("one", "two")]
    references = [owner_of(owner) for owner in owners]
    cluster.call("POST", maps, {"metadata": {"name": "both", "ownerReferences": references}}).ok(201)
    cluster.call("POST", maps, {"metadata": {"name": "only", "ownerReferences": references[:1]}}).ok(201)
    cluster.call("DELETE", f"{maps}/one").ok()
    cluster.wait_gone(f"{maps}/only")
    cluster.call("GET", f"{maps}/both").ok()


def test_orphaned_dependents_stay_and_lose_their_owner(cluster: Cluster, maps: str) -> None:
    owner = cluster.call("POST", maps, {"metadata": {"name": "owner"}}).ok(201)
    dependent = {"metadata": {"name": "dependent", "ownerReferences": [owner_of(owner)]}}
    cluster.call("POST", maps, dependent).ok(201)
    cluster.call("DELETE", f"{maps}/owner", {"propagationPolicy": "Orphan"}).ok()
    cluster.wait_gone(f"{maps}/owner")
    assert "ownerReferences" not in cluster.call("GET", f"{maps}/dependent").ok()["metadata"]


def test_in_the_foreground_an_owner_waits_for_dependents_that_block(cluster: Cluster, maps: str) -> None:
    owner = cluster.call("POST", maps, {"metadata": {"name": "owner"}}).ok(201)
    reference = owner_of(owner, blockOwnerDeletion=True)
    dependent = {"metadata": {"name": "dependent", "ownerReferences": [reference], "finalizers": [FINALIZER]}}
    cluster.call("POST", maps, dependent).ok(201)
    held = cluster.call("DELETE", f"{maps}/owner", query={"propagationPolicy": "Foreground"}).ok()
    assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
    wait_for(
        "the dependent to be deleted first",
        lambda: "deletionTimestamp" in cluster.call("GET", f"{maps}/dependent").ok()["metadata"],
        seconds=30,
    )
    cluster.call("GET", f"{maps}/owner").ok()
    cluster.call("PATCH", f"{maps}/dependent", {"metadata": {"finalizers": None}}, content_type=MERGE).ok()
    cluster.wait_gone(f"{maps}/owner")


def test_an_object_whose_owner_never_was_goes(cluster: Cluster, maps: str) -> None:
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "never",
        "uid": "00000000-0000-4000-8000-000000000000",
    }
    cluster.call("POST", maps, {"metadata": {"name": "lost", "ownerReferences": [reference]}}).ok(201)
    cluster.wait_gone(f"{maps}/lost")


def test_a_custom_owner_takes_a_built_in_dependent_along(cluster: Cluster, machines: str, namespace: str) -> None:
    owner = cluster.call("POST", machines, machine()).ok(201)
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    cluster.call("POST", secrets, {"metadata": {"name": "s", "ownerReferences": [owner_of(owner)]}}).ok(201)
    cluster.call("DELETE", f"{machines}/vm").ok()
    cluster.wait_gone(f"{secrets}/s")


def test_an_unknown_propagation_policy_is_refused(cluster: Cluster, maps: str) -> None:
    cluster.call("POST", maps, {"metadata": {"name": "a"}}).ok(201)
    answer = cluster.call("DELETE", f"{maps}/a", {"propagationPolicy": "Sideways"})
    answer.refused(422, "Invalid", ("FieldValueNotSupported", "propagationPolicy"))


def test_a_new_namespace_is_active_and_labelled_with_its_name(cluster: Cluster, namespace: str) -> None:
    body = cluster.call("GET", f"/api/v1/namespaces/{namespace}").ok()
    assert body["status"] == {"phase": "Active"}
    assert body["spec"] == {"finalizers": ["kubernetes"]}
    assert body["metadata"]["labels"] == {"kubernetes.io/metadata.name": namespace}


def test_a_namespaces_name_is_a_label(cluster: Cluster) -> None:
    answer = cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": "with.dot"}})
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.name"))


def test_objects_need_a_namespace_that_exists(cluster: Cluster, prefix: str) -> None:
    answer = cluster.call("POST", f"/api/v1/namespaces/{prefix}/configmaps", {"metadata": {"name": "a"}})
    answer.refused(404, "NotFound")
    assert answer.body["details"] == {"name": prefix, "kind": "namespaces"}


def test_a_list_in_a_namespace_that_does_not_exist_is_empty(cluster: Cluster, prefix: str) -> None:
    assert cluster.call("GET", f"/api/v1/namespaces/{prefix}/configmaps").ok()["items"] == []


def test_a_namespace_has_a_default_service_account(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    wait_for(f"{path} to be made", lambda: cluster.call("GET", path).code == 200, seconds=30)


def test_a_deleted_namespace_takes_its_content_along(cluster: Cluster, prefix: str) -> None:
    path = f"/api/v1/namespaces/{prefix}"
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": prefix}}).ok(201)
    cluster.call("POST", f"{path}/configmaps", {"metadata": {"name": "a"}}).ok(201)
    machines = f"/apis/kubevirt.io/v1/namespaces/{prefix}/virtualmachines"
    cluster.call("POST", machines, machine()).ok(201)
    deleted = cluster.call("DELETE", path).ok()
    assert (deleted["kind"], deleted["status"]["phase"]) == ("Namespace", "Terminating")
    cluster.wait_gone(path)
    cluster.call("GET", f"{path}/configmaps/a").refused(404, "NotFound")
    cluster.call("GET", f"{machines}/vm").refused(404, "NotFound")


def test_a_namespace_waits_for_held_content_and_takes_nothing_new(cluster: Cluster, prefix: str) -> None:
    path = f"/api/v1/namespaces/{prefix}"
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": prefix}}).ok(201)
    cluster.call("POST", f"{path}/configmaps", {"metadata": {"name": "a", "finalizers": [FINALIZER]}}).ok(201)
    cluster.call("DELETE", path).ok()
    answer = cluster.call("POST", f"{path}/configmaps", {"metadata": {"name": "late"}})
    answer.refused(403, "Forbidden", ("NamespaceTerminating", "metadata.namespace"))
    wait_for(
        "the content to be deleted",
        lambda: "deletionTimestamp" in cluster.call("GET", f"{path}/configmaps/a").ok()["metadata"],
        seconds=30,
    )
    assert cluster.call("GET", path).ok()["status"]["phase"] == "Terminating"
    cluster.call("PATCH", f"{path}/configmaps/a", {"metadata": {"finalizers": None}}, content_type=MERGE).ok()
    cluster.wait_gone(path)


def test_the_default_namespace_cannot_be_deleted(cluster: Cluster) -> None:
    cluster.call("DELETE", "/api/v1/namespaces/default").refused(403, "Forbidden")
