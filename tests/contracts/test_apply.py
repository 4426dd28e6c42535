"""Server-side apply: owners of fields, conflicts, what is taken back, and lists that merge by key."""

from typing import Any

import pytest

from kube.resources import Object
from tests.contracts.cluster import MERGE, Cluster


@pytest.fixture
def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/a"


def config_map(**data: str) -> Object:
    head: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    return head | ({"data": data} if data else {})


def owners(obj: Object) -> dict[tuple[str, str], Any]:
    """Manager and operation of each entry, with its fields."""
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


def test_apply_creates_what_is_not_there(cluster: Cluster, path: str) -> None:
    made = cluster.apply(path, config_map(k="v"), "alpha").ok(201)
    assert made["data"] == {"k": "v"}
    assert owners(made) == {("alpha", "Apply"): {"f:data": {"f:k": {}}}}
    entry = made["metadata"]["managedFields"][0]
    assert (entry["apiVersion"], entry["fieldsType"]) == ("v1", "FieldsV1")


def test_applying_the_same_again_changes_nothing(cluster: Cluster, path: str) -> None:
    made = cluster.apply(path, config_map(k="v"), "alpha").ok(201)
    assert cluster.apply(path, config_map(k="v"), "alpha").ok() == made


def test_apply_takes_back_what_its_manager_leaves_out(cluster: Cluster, path: str) -> None:
    cluster.apply(path, config_map(k="v", gone="x"), "alpha").ok(201)
    assert cluster.apply(path, config_map(k="v"), "alpha").ok()["data"] == {"k": "v"}


def test_apply_leaves_the_fields_of_others(cluster: Cluster, path: str) -> None:
    cluster.apply(path, config_map(k="v"), "alpha").ok(201)
    both = cluster.apply(path, config_map(other="w"), "beta").ok()
    assert both["data"] == {"k": "v", "other": "w"}
    left = cluster.apply(path, config_map(), "beta").ok()
    assert left["data"] == {"k": "v"}
    assert set(owners(left)) == {("alpha", "Apply")}


def test_a_field_that_two_applied_stays_until_both_leave_it_out(cluster: Cluster, path: str) -> None:
    cluster.apply(path, config_map(k="v", mine="1"), "alpha").ok(201)
    cluster.apply(path, config_map(k="v"), "beta").ok()
    kept = cluster.apply(path, config_map(mine="1"), "alpha").ok()
    assert kept["data"] == {"k": "v", "mine": "1"}
    assert cluster.apply(path, config_map(), "beta").ok()["data"] == {"mine": "1"}


def test_another_value_for_an_owned_field_is_a_conflict(cluster: Cluster, path: str) -> None:
    cluster.apply(path, config_map(k="v", same="s"), "alpha").ok(201)
    answer = cluster.apply(path, config_map(k="w", same="s"), "beta")
    answer.refused(409, "Conflict", ("FieldManagerConflict", ".data.k"))
    assert cluster.call("GET", path).ok()["data"]["k"] == "v"


def test_a_forced_apply_takes_the_field_over(cluster: Cluster, path: str) -> None:
    cluster.apply(path, config_map(k="v", same="s"), "alpha").ok(201)
    taken = cluster.apply(path, config_map(k="w", same="s"), "beta", force="true").ok()
    assert taken["data"] == {"k": "w", "same": "s"}
    assert owners(taken) == {
        ("alpha", "Apply"): {"f:data": {"f:same": {}}},
        ("beta", "Apply"): {"f:data": {"f:k": {}, "f:same": {}}},
    }


def test_an_ordinary_write_owns_what_it_changes(cluster: Cluster, path: str) -> None:
    cluster.apply(path, config_map(k="v", kept="x"), "alpha").ok(201)
    query = {"fieldManager": "hand"}
    patched = cluster.call("PATCH", path, {"data": {"k": "w"}}, query=query, content_type=MERGE).ok()
    assert owners(patched) == {
        ("alpha", "Apply"): {"f:data": {"f:kept": {}}},
        ("hand", "Update"): {"f:data": {"f:k": {}}},
    }


def test_apply_conflicts_with_an_ordinary_writer(cluster: Cluster, path: str) -> None:
    cluster.call("POST", path.removesuffix("/a"), config_map(k="v"), query={"fieldManager": "hand"}).ok(201)
    answer = cluster.apply(path, config_map(k="w"), "alpha")
    answer.refused(409, "Conflict", ("FieldManagerConflict", ".data.k"))


def test_a_create_owns_all_it_sets(cluster: Cluster, path: str) -> None:
    obj = config_map(k="v")
    obj["metadata"] |= {"labels": {"app": "x"}, "annotations": {"note": "y"}}
    made = cluster.call("POST", path.removesuffix("/a"), obj, query={"fieldManager": "hand"}).ok(201)
    assert owners(made) == {
        ("hand", "Update"): {
            "f:data": {".": {}, "f:k": {}},
            "f:metadata": {"f:annotations": {".": {}, "f:note": {}}, "f:labels": {".": {}, "f:app": {}}},
        }
    }


def test_a_manager_without_name_is_named_after_its_program(cluster: Cluster, path: str) -> None:
    made = cluster.call("POST", path.removesuffix("/a"), config_map(k="v")).ok(201)
    assert set(owners(made)) == {("contracts", "Update")}


def test_owners_can_be_reset(cluster: Cluster, path: str) -> None:
    made = cluster.apply(path, config_map(k="v"), "alpha").ok(201)
    bare = made | {"metadata": made["metadata"] | {"managedFields": []}}
    reset = cluster.call("PUT", path, bare).ok()
    assert "managedFields" not in reset["metadata"]


def test_apply_needs_the_name_of_a_manager(cluster: Cluster, path: str) -> None:
    answer = cluster.call("PATCH", path, config_map(k="v"), content_type="application/apply-patch+yaml")
    answer.refused(422, "Invalid", ("FieldValueRequired", "fieldManager"))


@pytest.mark.parametrize("missing", ["kind", "apiVersion", "metadata"])
def test_apply_needs_to_be_told_what_and_whom(cluster: Cluster, path: str, missing: str) -> None:
    obj = config_map(k="v")
    del obj[missing]
    cluster.apply(path, obj, "alpha").refused(400, "BadRequest")


def test_apply_of_an_object_that_is_gone_does_not_make_another(cluster: Cluster, path: str) -> None:
    obj = config_map(k="v")
    obj["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    cluster.apply(path, obj, "alpha").refused(409, "Conflict")
    cluster.call("GET", path).refused(404, "NotFound")


def test_apply_takes_no_managed_fields(cluster: Cluster, path: str) -> None:
    made = cluster.apply(path, config_map(k="v"), "alpha").ok(201)
    cluster.apply(path, made, "alpha").refused(400, "BadRequest")


def test_apply_with_an_older_version_is_a_conflict(cluster: Cluster, path: str) -> None:
    made = cluster.apply(path, config_map(k="v"), "alpha").ok(201)
    cluster.apply(path, config_map(k="w"), "alpha").ok()
    obj = config_map(k="x")
    obj["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    cluster.apply(path, obj, "alpha").refused(409, "Conflict")


def test_apply_of_an_invalid_object_is_refused(cluster: Cluster, path: str) -> None:
    obj = config_map()
    obj["metadata"]["labels"] = {"x": "no spaces"}
    cluster.apply(path, obj, "alpha").refused(422, "Invalid", ("FieldValueInvalid", "metadata.labels"))


def test_a_dry_run_of_apply_stores_nothing(cluster: Cluster, path: str) -> None:
    assert cluster.apply(path, config_map(k="v"), "alpha", dryRun="All").ok(201)["data"] == {"k": "v"}
    cluster.call("GET", path).refused(404, "NotFound")


def test_apply_takes_yaml(cluster: Cluster, path: str) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n"
    answer = cluster.call(
        "PATCH", path, text, query={"fieldManager": "alpha"}, content_type="application/apply-patch+yaml"
    )
    assert answer.ok(201)["data"] == {"k": "v"}


def test_finalizers_are_owned_one_by_one(cluster: Cluster, path: str) -> None:
    def holding(*finalizers: str) -> Object:
        obj = config_map()
        obj["metadata"]["finalizers"] = list(finalizers)
        return obj

    cluster.apply(path, holding("paddock.io/a"), "alpha").ok(201)
    both = cluster.apply(path, holding("paddock.io/b"), "beta").ok()
    assert set(both["metadata"]["finalizers"]) == {"paddock.io/a", "paddock.io/b"}
    assert owners(both)["beta", "Apply"] == {"f:metadata": {"f:finalizers": {'v:"paddock.io/b"': {}}}}
    left = cluster.apply(path, holding(), "alpha").ok()
    assert left["metadata"]["finalizers"] == ["paddock.io/b"]
    cluster.apply(path, holding(), "beta").ok()


def test_ports_of_a_service_merge_by_their_keys(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/services/s"

    def service(*ports: Object) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s"},
            "spec": {"ports": list(ports)},
        }

    web, dns = {"name": "web", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}
    cluster.apply(path, service(web), "alpha").ok(201)
    both = cluster.apply(path, service(dns), "beta").ok()
    assert {port["name"] for port in both["spec"]["ports"]} == {"web", "dns"}
    assert owners(both)["beta", "Apply"] == {
        "f:spec": {
            "f:ports": {'k:{"port":53,"protocol":"UDP"}': {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}}
        }
    }
    left = cluster.apply(path, service(web), "alpha").ok()
    assert len(left["spec"]["ports"]) == 2
    only = cluster.apply(path, service(), "beta").ok()
    assert [port["name"] for port in only["spec"]["ports"]] == ["web"]


def test_lists_of_a_custom_kind_are_owned_as_a_whole(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines/vm"

    def machine(*networks: str) -> Object:
        listed = [{"name": name, "pod": {}} for name in networks]
        return {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachine",
            "metadata": {"name": "vm"},
            "spec": {"template": {"spec": {"domain": {"devices": {}}, "networks": listed}}},
        }

    cluster.apply(path, machine("a"), "alpha").ok(201)
    answer = cluster.apply(path, machine("b"), "beta")
    answer.refused(409, "Conflict", ("FieldManagerConflict", ".spec.template.spec.networks"))
    taken = cluster.apply(path, machine("b"), "beta", force="true").ok()
    assert [network["name"] for network in taken["spec"]["template"]["spec"]["networks"]] == ["b"]


def test_the_status_subresource_has_owners_of_its_own(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines/vm"
    head = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}}
    spec: Object = {"template": {"spec": {"domain": {"devices": {}}}}}
    cluster.apply(path, head | {"spec": spec, "status": {"created": True}}, "alpha").ok(201)
    told = cluster.apply(f"{path}/status", head | {"status": {"created": True}}, "kubevirt").ok()
    assert told["status"]["created"] is True
    entries = {entry["manager"]: entry for entry in told["metadata"]["managedFields"]}
    assert entries["kubevirt"]["subresource"] == "status"
    assert entries["kubevirt"]["fieldsV1"] == {"f:status": {"f:created": {}}}
    assert "f:status" not in entries["alpha"]["fieldsV1"]
