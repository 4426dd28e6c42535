"""The kinds that Paddock writes: defaults, checks, and fields that nobody knows."""

from copy import deepcopy
from typing import Any

import pytest

from kube.resources import Object
from tests.contracts.cluster import Cluster

IMAGE: Object = {
    "apiVersion": "harvesterhci.io/v1beta1",
    "kind": "VirtualMachineImage",
    "metadata": {"name": "image"},
    "spec": {"displayName": "jammy.img", "sourceType": "download", "url": "https://example.com/jammy.img"},
}
MACHINE: Object = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachine",
    "metadata": {"name": "vm"},
    "spec": {
        "runStrategy": "RerunOnFailure",
        "template": {
            "metadata": {"labels": {"harvesterhci.io/vmName": "vm"}},
            "spec": {
                "evictionStrategy": "LiveMigrateIfPossible",
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
                "networks": [{"name": "nic-0", "multus": {"networkName": "default/vlan100"}}],
                "volumes": [
                    {"name": "disk-0", "persistentVolumeClaim": {"claimName": "vm-disk-0"}},
                    {"name": "cloudinit", "cloudInitNoCloud": {"secretRef": {"name": "vm-cloudinit"}}},
                ],
                "domain": {
                    "cpu": {"cores": 2, "sockets": 1, "threads": 1},
                    "memory": {"guest": "4Gi"},
                    "resources": {"limits": {"cpu": "2", "memory": "4Gi"}},
                    "devices": {
                        "disks": [{"name": "disk-0", "bootOrder": 1, "disk": {"bus": "virtio"}}],
                        "interfaces": [{"name": "nic-0", "model": "virtio", "bridge": {}}],
                    },
                },
            },
        },
    },
}


def without(obj: Object, *path: Any) -> Object:
    changed = deepcopy(obj)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return changed


def with_value(obj: Object, value: Any, *path: Any) -> Object:
    changed = deepcopy(obj)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner[part]
    inner[path[-1]] = value
    return changed


@pytest.fixture
def cluster(schema_cluster: Cluster) -> Cluster:
    return schema_cluster


@pytest.fixture
def images(namespace: str) -> str:
    return f"/apis/harvesterhci.io/v1beta1/namespaces/{namespace}/virtualmachineimages"


@pytest.fixture
def machines(namespace: str) -> str:
    return f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines"


def test_a_whole_machine_is_stored_as_it_is(cluster: Cluster, machines: str) -> None:
    made = cluster.call("POST", machines, MACHINE, query={"fieldValidation": "Strict"}).ok(201)
    assert made["spec"] == MACHINE["spec"]


def test_an_image_gets_its_defaults(cluster: Cluster, images: str) -> None:
    spec = cluster.call("POST", images, IMAGE).ok(201)["spec"]
    assert (spec["backend"], spec["retry"]) == ("backingimage", 3)


def test_defaults_stand_inside_objects_that_are_there_only(cluster: Cluster, images: str) -> None:
    assert "status" not in cluster.call("POST", images, IMAGE).ok(201)
    other = with_value(IMAGE, {"progress": 10}, "status")
    other["metadata"] = {"name": "other"}
    assert cluster.call("POST", images, other).ok(201)["status"] == {"progress": 10, "failed": 0}


def test_a_null_means_the_default(cluster: Cluster, images: str) -> None:
    made = cluster.call("POST", images, with_value(IMAGE, None, "spec", "retry")).ok(201)
    assert made["spec"]["retry"] == 3


@pytest.mark.parametrize(
    ("obj", "cause"),
    [
        (without(IMAGE, "spec"), ("FieldValueRequired", "spec")),
        (without(IMAGE, "spec", "displayName"), ("FieldValueRequired", "spec.displayName")),
        (with_value(IMAGE, "carrier-pigeon", "spec", "sourceType"), ("FieldValueNotSupported", "spec.sourceType")),
        (with_value(IMAGE, "floppy", "spec", "backend"), ("FieldValueNotSupported", "spec.backend")),
        (with_value(IMAGE, "three", "spec", "retry"), ("FieldValueTypeInvalid", "spec.retry")),
        (with_value(IMAGE, 1, "spec", "url"), ("FieldValueTypeInvalid", "spec.url")),
        (with_value(IMAGE, [], "spec"), ("FieldValueTypeInvalid", "spec")),
        (
            with_value(IMAGE, {"a": 1}, "spec", "storageClassParameters"),
            ("FieldValueTypeInvalid", "spec.storageClassParameters.a"),
        ),
    ],
)
def test_an_image_that_is_not_valid_is_refused(
    cluster: Cluster, images: str, obj: Object, cause: tuple[str, str]
) -> None:
    answer = cluster.call("POST", images, obj)
    answer.refused(422, "Invalid", cause)
    assert answer.body["details"]["name"] == "image"
    assert answer.body["details"]["group"] == "harvesterhci.io"
    assert answer.body["details"]["kind"] == "VirtualMachineImage"


@pytest.mark.parametrize(
    ("obj", "cause"),
    [
        (without(MACHINE, "spec", "template"), ("FieldValueRequired", "spec.template")),
        (
            without(MACHINE, "spec", "template", "spec", "domain", "devices"),
            ("FieldValueRequired", "spec.template.spec.domain.devices"),
        ),
        (
            without(MACHINE, "spec", "template", "spec", "networks", 0, "name"),
            ("FieldValueRequired", "spec.template.spec.networks[0].name"),
        ),
        (
            without(MACHINE, "spec", "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName"),
            ("FieldValueRequired", "spec.template.spec.volumes[0].persistentVolumeClaim.claimName"),
        ),
        (
            with_value(MACHINE, "lots", "spec", "template", "spec", "domain", "memory", "guest"),
            ("FieldValueInvalid", "spec.template.spec.domain.memory.guest"),
        ),
        (
            with_value(MACHINE, "two", "spec", "template", "spec", "domain", "cpu", "cores"),
            ("FieldValueTypeInvalid", "spec.template.spec.domain.cpu.cores"),
        ),
    ],
)
def test_a_machine_that_is_not_valid_is_refused(
    cluster: Cluster, machines: str, obj: Object, cause: tuple[str, str]
) -> None:
    cluster.call("POST", machines, obj).refused(422, "Invalid", cause)


def test_all_that_is_wrong_is_told_at_once(cluster: Cluster, images: str) -> None:
    obj = without(with_value(IMAGE, "floppy", "spec", "backend"), "spec", "displayName")
    answer = cluster.call("POST", images, obj)
    answer.refused(
        422, "Invalid", ("FieldValueNotSupported", "spec.backend"), ("FieldValueRequired", "spec.displayName")
    )


def test_a_valid_object_does_not_become_invalid(cluster: Cluster, images: str) -> None:
    made = cluster.call("POST", images, IMAGE).ok(201)
    answer = cluster.call("PUT", f"{images}/image", without(made, "spec", "displayName"))
    answer.refused(422, "Invalid", ("FieldValueRequired", "spec.displayName"))


def test_a_custom_object_must_tell_its_kind(cluster: Cluster, images: str) -> None:
    cluster.call("POST", images, without(IMAGE, "kind")).refused(400, "BadRequest")


def test_unknown_fields_are_dropped_with_a_warning(cluster: Cluster, images: str) -> None:
    answer = cluster.call("POST", images, with_value(IMAGE, "x", "spec", "colour"))
    assert "colour" not in answer.ok(201)["spec"]
    assert len(answer.warnings) == 1
    assert 'unknown field \\"spec.colour\\"' in answer.warnings[0]


def test_unknown_fields_are_dropped_silently_when_asked(cluster: Cluster, images: str) -> None:
    obj = with_value(IMAGE, "x", "spec", "colour")
    answer = cluster.call("POST", images, obj, query={"fieldValidation": "Ignore"})
    assert "colour" not in answer.ok(201)["spec"]
    assert answer.warnings == ()


def test_unknown_fields_are_refused_when_asked(cluster: Cluster, images: str) -> None:
    obj = with_value(IMAGE, "x", "spec", "colour")
    cluster.call("POST", images, obj, query={"fieldValidation": "Strict"}).refused(400, "BadRequest")


def test_unknown_fields_of_built_in_kinds_are_warned_of_too(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    answer = cluster.call("POST", path, {"metadata": {"name": "a"}, "date": {}})
    assert "date" not in answer.ok(201)
    assert len(answer.warnings) == 1


def test_an_unknown_way_of_field_validation_is_refused(cluster: Cluster, images: str) -> None:
    answer = cluster.call("POST", images, IMAGE, query={"fieldValidation": "Perhaps"})
    answer.refused(422, "Invalid", ("FieldValueNotSupported", "fieldValidation"))


def test_a_wrong_type_in_a_built_in_kind_cannot_be_decoded(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    cluster.call("POST", path, {"metadata": {"name": "a"}, "data": {"k": 1}}).refused(400, "BadRequest")


def test_a_label_that_is_no_text_cannot_be_decoded(cluster: Cluster, images: str) -> None:
    obj = with_value(IMAGE, {"a": 1}, "metadata", "labels")
    cluster.call("POST", images, obj).refused(400, "BadRequest")


def test_open_parts_of_a_machine_keep_what_comes(cluster: Cluster, machines: str) -> None:
    affinity: Object = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    obj = with_value(MACHINE, affinity, "spec", "template", "spec", "affinity")
    made = cluster.call("POST", machines, obj).ok(201)
    assert made["spec"]["template"]["spec"]["affinity"] == affinity


def test_a_network_is_stored_with_its_configuration(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/k8s.cni.cncf.io/v1/namespaces/{namespace}/network-attachment-definitions"
    obj = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "vlan100", "labels": {"network.harvesterhci.io/vlan-id": "100"}},
        "spec": {"config": '{"cniVersion":"0.3.1","name":"vlan100","type":"bridge"}'},
    }
    assert cluster.call("POST", path, obj).ok(201)["spec"] == obj["spec"]


def test_a_settings_value_stands_at_the_top(cluster: Cluster, prefix: str) -> None:
    path = "/apis/harvesterhci.io/v1beta1/settings"
    obj = {"apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "metadata": {"name": prefix}, "value": "x"}
    assert cluster.call("POST", path, obj).ok(201)["value"] == "x"
    cluster.call("DELETE", f"{path}/{prefix}").ok()


def test_an_address_pool_needs_ranges(cluster: Cluster, prefix: str) -> None:
    path = "/apis/loadbalancer.harvesterhci.io/v1beta1/ippools"
    obj: Object = {
        "apiVersion": "loadbalancer.harvesterhci.io/v1beta1",
        "kind": "IPPool",
        "metadata": {"name": prefix},
        "spec": {"ranges": [{"gateway": "10.0.0.1"}]},
    }
    answer = cluster.call("POST", path, obj)
    answer.refused(422, "Invalid", ("FieldValueRequired", "spec.ranges[0].subnet"))
