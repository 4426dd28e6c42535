"""Single objects: create, read, replace, delete, and the refusals on the way."""

import re

import pytest

from kube.resources import Object
from tests.contracts.cluster import MERGE, Cluster


@pytest.fixture
def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_created_object_comes_back_with_the_servers_fields(cluster: Cluster, path: str, namespace: str) -> None:
    made = cluster.call("POST", path, config_map("a", k="v")).ok(201)
    metadata = made["metadata"]
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"k": "v"})
    assert metadata["namespace"] == namespace
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["resourceVersion"].isdigit()
    assert "generation" not in metadata
    assert cluster.call("GET", f"{path}/a").ok() == made


def test_system_fields_of_a_new_object_are_the_servers_alone(cluster: Cluster, path: str) -> None:
    obj = config_map("a")
    obj["metadata"] |= {
        "uid": "mine",
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z",
    }
    metadata = cluster.call("POST", path, obj).ok(201)["metadata"]
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("2001")
    assert "deletionTimestamp" not in metadata


def test_a_new_object_has_no_version_yet(cluster: Cluster, path: str) -> None:
    obj = config_map("a")
    obj["metadata"]["resourceVersion"] = "5"
    assert cluster.call("POST", path, obj).code == 500


def test_a_read_of_a_revision_to_come_times_out(cluster: Cluster, path: str) -> None:
    for target in (path, f"{path}/a"):
        answer = cluster.call("GET", target, query={"resourceVersion": "999999999"})
        answer.refused(504, "Timeout", ("ResourceVersionTooLarge", ""))


def test_generate_name_gives_different_names_with_the_prefix(cluster: Cluster, path: str) -> None:
    obj = {"metadata": {"generateName": "web-"}}
    names = {cluster.call("POST", path, obj).ok(201)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(re.fullmatch(r"web-[a-z0-9]{5}", name) for name in names)


def test_a_long_generate_name_is_cut_so_that_the_name_is_a_label(cluster: Cluster, path: str) -> None:
    obj = {"metadata": {"generateName": "x" * 80}}
    assert len(cluster.call("POST", path, obj).ok(201)["metadata"]["name"]) == 63


def test_a_second_object_of_the_name_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path, config_map("a")).ok(201)
    answer = cluster.call("POST", path, config_map("a"))
    answer.refused(409, "AlreadyExists")
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}


def test_an_object_without_a_name_is_invalid(cluster: Cluster, path: str) -> None:
    answer = cluster.call("POST", path, {"metadata": {}})
    answer.refused(422, "Invalid", ("FieldValueRequired", "metadata.name"))
    assert answer.body["details"]["kind"] == "ConfigMap"


@pytest.mark.parametrize("name", ["Upper", "under_score", "-start", "end-", "a..b", "x" * 254])
def test_a_name_beyond_dns_rules_is_invalid(cluster: Cluster, path: str, name: str) -> None:
    answer = cluster.call("POST", path, config_map(name))
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.name"))


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"labels": {"-bad": "x"}}, "metadata.labels"),
        ({"labels": {"good": "no spaces"}}, "metadata.labels"),
        ({"annotations": {"a/b/c": "x"}}, "metadata.annotations"),
    ],
)
def test_bad_labels_and_annotations_are_invalid(cluster: Cluster, path: str, metadata: Object, field: str) -> None:
    answer = cluster.call("POST", path, {"metadata": {"name": "a", **metadata}})
    answer.refused(422, "Invalid", ("FieldValueInvalid", field))


def test_annotations_beyond_256_kib_are_refused(cluster: Cluster, path: str) -> None:
    obj = {"metadata": {"name": "a", "annotations": {"big": "x" * (256 * 1024)}}}
    cluster.call("POST", path, obj).refused(422, "Invalid", ("FieldValueTooLong", "metadata.annotations"))


def test_an_owner_without_uid_is_invalid(cluster: Cluster, path: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": ""}
    answer = cluster.call("POST", path, {"metadata": {"name": "a", "ownerReferences": [owner]}})
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.ownerReferences.uid"))


def test_an_absent_object_is_not_found(cluster: Cluster, path: str) -> None:
    for method in ("GET", "DELETE"):
        answer = cluster.call(method, f"{path}/absent")
        answer.refused(404, "NotFound")
        assert answer.body["details"] == {"name": "absent", "kind": "configmaps"}


def test_an_absent_custom_object_is_not_found_with_its_group(cluster: Cluster, namespace: str) -> None:
    answer = cluster.call("GET", f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines/absent")
    answer.refused(404, "NotFound")
    assert answer.body["details"] == {"name": "absent", "group": "kubevirt.io", "kind": "virtualmachines"}


def test_replacing_an_absent_object_is_not_found(cluster: Cluster, path: str) -> None:
    cluster.call("PUT", f"{path}/absent", config_map("absent")).refused(404, "NotFound")


def test_replace_changes_the_object_and_its_version(cluster: Cluster, path: str) -> None:
    made = cluster.call("POST", path, config_map("a", k="v")).ok(201)
    changed = cluster.call("PUT", f"{path}/a", made | {"data": {"k": "w"}}).ok()
    assert changed["data"] == {"k": "w"}
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]


def test_replacing_with_an_older_version_is_a_conflict(cluster: Cluster, path: str) -> None:
    made = cluster.call("POST", path, config_map("a", k="v")).ok(201)
    cluster.call("PUT", f"{path}/a", made | {"data": {"k": "w"}}).ok()
    answer = cluster.call("PUT", f"{path}/a", made | {"data": {"k": "x"}})
    answer.refused(409, "Conflict")
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}


def test_a_change_that_changes_nothing_keeps_the_version(cluster: Cluster, path: str) -> None:
    made = cluster.call("POST", path, config_map("a", k="v")).ok(201)
    assert cluster.call("PUT", f"{path}/a", made).ok() == made


def test_a_built_in_object_is_replaced_without_a_version(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path, config_map("a", k="v")).ok(201)
    assert cluster.call("PUT", f"{path}/a", config_map("a", k="w")).ok()["data"] == {"k": "w"}


def test_a_custom_object_is_not_replaced_without_a_version(cluster: Cluster, namespace: str) -> None:
    keys = f"/apis/harvesterhci.io/v1beta1/namespaces/{namespace}/keypairs"
    obj = {
        "apiVersion": "harvesterhci.io/v1beta1",
        "kind": "KeyPair",
        "metadata": {"name": "a"},
        "spec": {"publicKey": "ssh-ed25519 AAAA"},
    }
    cluster.call("POST", keys, obj).ok(201)
    answer = cluster.call("PUT", f"{keys}/a", obj)
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.resourceVersion"))


def test_replacing_an_object_of_another_uid_is_a_conflict(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path, config_map("a")).ok(201)
    obj = config_map("a", k="v")
    obj["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    cluster.call("PUT", f"{path}/a", obj).refused(409, "Conflict")


def test_a_body_of_another_name_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path, config_map("a")).ok(201)
    cluster.call("PUT", f"{path}/a", config_map("b")).refused(400, "BadRequest")


def test_a_body_of_another_namespace_is_refused(cluster: Cluster, path: str) -> None:
    obj = config_map("a")
    obj["metadata"]["namespace"] = "elsewhere"
    cluster.call("POST", path, obj).refused(400, "BadRequest")


def test_a_body_of_another_kind_is_refused(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path, config_map("a") | {"kind": "Secret"}).refused(400, "BadRequest")


def test_deleting_tells_what_was_deleted(cluster: Cluster, path: str) -> None:
    uid = cluster.call("POST", path, config_map("a")).ok(201)["metadata"]["uid"]
    told = cluster.call("DELETE", f"{path}/a").ok()
    assert (told["kind"], told["status"]) == ("Status", "Success")
    assert told["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    cluster.call("GET", f"{path}/a").refused(404, "NotFound")


@pytest.mark.parametrize("precondition", ["uid", "resourceVersion"])
def test_a_precondition_that_does_not_hold_stops_a_delete(cluster: Cluster, path: str, precondition: str) -> None:
    cluster.call("POST", path, config_map("a")).ok(201)
    options = {"preconditions": {precondition: "1"}}
    cluster.call("DELETE", f"{path}/a", options).refused(409, "Conflict")
    cluster.call("GET", f"{path}/a").ok()


def test_a_delete_whose_preconditions_hold_deletes(cluster: Cluster, path: str) -> None:
    metadata = cluster.call("POST", path, config_map("a")).ok(201)["metadata"]
    options = {"preconditions": {name: metadata[name] for name in ("uid", "resourceVersion")}}
    cluster.call("DELETE", f"{path}/a", options).ok()
    cluster.call("GET", f"{path}/a").refused(404, "NotFound")


def test_deleting_a_collection_takes_what_the_selector_selects(cluster: Cluster, path: str) -> None:
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        obj = config_map(name)
        obj["metadata"]["labels"] = {"color": color}
        cluster.call("POST", path, obj).ok(201)
    told = cluster.call("DELETE", path, query={"labelSelector": "color=red"}).ok()
    assert told["kind"] == "ConfigMapList"
    left = cluster.call("GET", path, query={"labelSelector": "color"}).ok()["items"]
    assert [item["metadata"]["name"] for item in left] == ["c"]


def test_a_collection_over_all_namespaces_is_not_deleted_at_once(cluster: Cluster) -> None:
    cluster.call("DELETE", "/api/v1/configmaps").refused(405, "MethodNotAllowed")


def test_one_way_of_propagation_is_told_at_a_time(cluster: Cluster, path: str) -> None:
    options = {"orphanDependents": True, "propagationPolicy": "Orphan"}
    cluster.call("DELETE", f"{path}/a", options).refused(422, "Invalid", ("FieldValueInvalid", "propagationPolicy"))


def test_a_dry_run_answers_like_a_create_and_stores_nothing(cluster: Cluster, path: str) -> None:
    made = cluster.call("POST", path, config_map("a", k="v"), query={"dryRun": "All"}).ok(201)
    assert made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    cluster.call("GET", f"{path}/a").refused(404, "NotFound")


def test_a_dry_run_of_an_invalid_object_is_refused(cluster: Cluster, path: str) -> None:
    answer = cluster.call("POST", path, config_map("Bad"), query={"dryRun": "All"})
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.name"))


def test_a_dry_run_of_a_delete_deletes_nothing(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path, config_map("a")).ok(201)
    cluster.call("DELETE", f"{path}/a", {"dryRun": ["All"]}).ok()
    cluster.call("GET", f"{path}/a").ok()


def test_a_secrets_plain_text_is_stored_as_base64(cluster: Cluster, namespace: str) -> None:
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    obj = {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"b": "b"}}
    made = cluster.call("POST", secrets, obj).ok(201)
    assert made["data"] == {"a": "YQ==", "b": "Yg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


def test_a_secrets_data_must_be_base64(cluster: Cluster, namespace: str) -> None:
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    cluster.call("POST", secrets, {"metadata": {"name": "s"}, "data": {"a": "%%"}}).refused(400, "BadRequest")


def test_a_secrets_type_does_not_change(cluster: Cluster, namespace: str) -> None:
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    made = cluster.call("POST", secrets, {"metadata": {"name": "s"}}).ok(201)
    answer = cluster.call("PUT", f"{secrets}/s", made | {"type": "other"})
    answer.refused(422, "Invalid", ("FieldValueInvalid", "type"))


def test_an_immutable_config_map_does_not_change(cluster: Cluster, path: str) -> None:
    made = cluster.call("POST", path, config_map("a", k="v") | {"immutable": True}).ok(201)
    answer = cluster.call("PUT", f"{path}/a", made | {"data": {"k": "w"}})
    answer.refused(422, "Invalid", ("FieldValueForbidden", "data"))


def test_a_config_maps_key_has_plain_characters(cluster: Cluster, path: str) -> None:
    obj = {"metadata": {"name": "a"}, "data": {"no spaces": "x"}}
    cluster.call("POST", path, obj).refused(422, "Invalid", ("FieldValueInvalid", "data[no spaces]"))


def test_a_claims_shape_does_not_change(cluster: Cluster, namespace: str) -> None:
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    spec = {
        "accessModes": ["ReadWriteMany"],
        "volumeMode": "Block",
        "storageClassName": "none",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    made = cluster.call("POST", claims, {"metadata": {"name": "c"}, "spec": spec}).ok(201)
    assert made["status"] == {"phase": "Pending"}
    answer = cluster.call("PUT", f"{claims}/c", made | {"spec": made["spec"] | {"storageClassName": "other"}})
    answer.refused(422, "Invalid", ("FieldValueForbidden", "spec"))


def test_a_claim_needs_modes_and_a_size(cluster: Cluster, namespace: str) -> None:
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    answer = cluster.call("POST", claims, {"metadata": {"name": "c"}, "spec": {}})
    answer.refused(
        422,
        "Invalid",
        ("FieldValueRequired", "spec.accessModes"),
        ("FieldValueRequired", "spec.resources[storage]"),
    )


def test_a_size_that_is_none_cannot_be_decoded(cluster: Cluster, namespace: str) -> None:
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "lots"}}}
    cluster.call("POST", claims, {"metadata": {"name": "c"}, "spec": spec}).refused(400, "BadRequest")


@pytest.mark.parametrize(
    ("phase", "size", "cause"),
    [
        ("Pending", "2Gi", ("FieldValueForbidden", "spec")),
        ("Bound", "500Mi", ("FieldValueForbidden", "spec.resources.requests.storage")),
        ("Bound", "2Gi", None),
    ],
)
def test_only_a_bound_claim_grows(
    cluster: Cluster, namespace: str, prefix: str, phase: str, size: str, cause: tuple[str, str] | None
) -> None:
    growing = {"metadata": {"name": prefix}, "provisioner": "paddock.io/none", "allowVolumeExpansion": True}
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    cluster.call("POST", classes, growing).ok(201)
    claim = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/c"
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": prefix,
        "volumeName": f"{prefix}-volume",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    cluster.call("POST", claim.removesuffix("/c"), {"metadata": {"name": "c"}, "spec": spec}).ok(201)
    status = {"status": {"phase": phase, "capacity": {"storage": "1Gi"}}}
    cluster.call("PATCH", f"{claim}/status", status, content_type=MERGE).ok()
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    answer = cluster.call("PATCH", claim, body, content_type=MERGE)
    if cause:
        answer.refused(422, "Invalid", cause)
    else:
        assert answer.ok()["spec"]["resources"]["requests"]["storage"] == size
    cluster.call("DELETE", f"{classes}/{prefix}").ok()


def test_a_service_needs_ports_and_a_name_that_starts_with_a_letter(cluster: Cluster, namespace: str) -> None:
    services = f"/api/v1/namespaces/{namespace}/services"
    answer = cluster.call("POST", services, {"metadata": {"name": "s"}, "spec": {}})
    answer.refused(422, "Invalid", ("FieldValueRequired", "spec.ports"))
    answer = cluster.call("POST", services, {"metadata": {"name": "1s"}, "spec": {"ports": [{"port": 80}]}})
    answer.refused(422, "Invalid", ("FieldValueInvalid", "metadata.name"))
    made = cluster.call("POST", services, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).ok(201)
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]


def test_an_event_is_in_the_namespace_of_what_it_tells_about(cluster: Cluster, namespace: str) -> None:
    events = f"/api/v1/namespaces/{namespace}/events"
    event: Object = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"}}
    cluster.call("POST", events, event).refused(422, "Invalid", ("FieldValueInvalid", "involvedObject.namespace"))
    event["involvedObject"]["namespace"] = namespace
    cluster.call("POST", events, event).ok(201)
    query = {"fieldSelector": "involvedObject.name=p,involvedObject.kind=Pod"}
    assert len(cluster.call("GET", events, query=query).ok()["items"]) == 1


def test_a_storage_classes_provisioner_does_not_change(cluster: Cluster, prefix: str) -> None:
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    made = cluster.call("POST", classes, {"metadata": {"name": prefix}, "provisioner": "paddock.io/none"}).ok(201)
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "Immediate")
    answer = cluster.call("PATCH", f"{classes}/{prefix}", {"provisioner": "other"}, content_type=MERGE)
    answer.refused(422, "Invalid", ("FieldValueForbidden", "provisioner"))
    assert cluster.call("DELETE", f"{classes}/{prefix}").ok()["kind"] == "StorageClass"
