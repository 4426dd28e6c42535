"""The objects of a machine, as whole values."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from kube.resources import Object
from node_driver.harvester import builds
from tests.node_driver.battery import SSH_KEY
from tests.node_driver.harvester.orders import OWNER_LABELS, build_order

GUEST_LABELS = {
    "harvesterhci.io/creator": "docker-machine-driver-harvester",
    "harvesterhci.io/machineSetName": "team-a-c1-pool1",
    "guestcluster.harvesterhci.io/name": "c1",
    "nodepool.harvesterhci.io/name": "pool1",
}
SPREAD = {
    "podAffinityTerm": {
        "labelSelector": {"matchLabels": {"harvesterhci.io/machineSetName": "team-a-c1-pool1"}},
        "topologyKey": "kubernetes.io/hostname",
    }
}


def machine(*, settings: dict[str, Any] | None = None, **changes: Any) -> Object:
    order = build_order(settings=settings, **changes)
    return builds.build_virtual_machine(order, builds.build_claims(order, "lh-1"))


def template_spec(**settings: Any) -> Object:
    spec: Object = machine(settings=settings)["spec"]["template"]["spec"]
    return spec


def test_a_small_machine_as_a_whole() -> None:
    claim = {
        "metadata": {
            "name": "c1-pool1-abcde-disk-0",
            "labels": OWNER_LABELS,
            "annotations": {"harvesterhci.io/imageId": "default/image-jammy"},
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "volumeMode": "Block",
            "resources": {"requests": {"storage": "40Gi"}},
            "storageClassName": "lh-1",
        },
    }
    built = machine()
    assert json.loads(built["metadata"]["annotations"].pop("harvesterhci.io/volumeClaimTemplates")) == [claim]
    assert built == {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {
            "name": "c1-pool1-abcde",
            "namespace": "team-a",
            "labels": {**GUEST_LABELS, **OWNER_LABELS},
            "annotations": {"field.cattle.io/description": "Node of guest cluster c1, pool pool1"},
        },
        "spec": {
            "runStrategy": "RerunOnFailure",
            "template": {
                "metadata": {
                    "labels": {**GUEST_LABELS, **OWNER_LABELS, "harvesterhci.io/vmName": "c1-pool1-abcde"},
                    "annotations": {
                        "harvesterhci.io/sshNames": '["team-a/c1-pool1-abcde-key"]',
                        "harvesterhci.io/waitForLeaseInterfaceNames": "[]",
                    },
                },
                "spec": {
                    "evictionStrategy": "LiveMigrateIfPossible",
                    "terminationGracePeriodSeconds": 120,
                    "affinity": {
                        "podAntiAffinity": {
                            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, **SPREAD}]
                        }
                    },
                    "networks": [{"name": "nic-0", "multus": {"networkName": "default/vlan100"}}],
                    "volumes": [
                        {"name": "disk-0", "persistentVolumeClaim": {"claimName": "c1-pool1-abcde-disk-0"}},
                        {
                            "name": "cloudinitdisk",
                            "cloudInitNoCloud": {"secretRef": {"name": "c1-pool1-abcde-cloudinit"}},
                        },
                    ],
                    "domain": {
                        "machine": {"type": ""},
                        "cpu": {"cores": 2, "sockets": 1, "threads": 1, "maxSockets": 1},
                        "memory": {"guest": "4096Mi"},
                        "resources": {"limits": {"cpu": "2", "memory": "4Gi"}},
                        "features": {"acpi": {"enabled": True}},
                        "devices": {
                            "disks": [
                                {"name": "disk-0", "disk": {"bus": "virtio"}, "bootOrder": 1},
                                {"name": "cloudinitdisk", "disk": {"bus": "virtio"}},
                            ],
                            "interfaces": [{"name": "nic-0", "model": "virtio", "bridge": {}}],
                        },
                    },
                },
            },
        },
    }


def test_sec09_documents_are_in_the_secret_and_referenced_by_name() -> None:
    order = build_order(user_data="canary-user", network_data="canary-net")
    assert builds.build_secret(order) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "c1-pool1-abcde-cloudinit",
            "namespace": "team-a",
            "labels": {"harvesterhci.io/cloud-init-template": "harvester", **OWNER_LABELS},
        },
        "type": "Opaque",
        "data": {
            "userdata": base64.b64encode(b"canary-user").decode(),
            "networkdata": base64.b64encode(b"canary-net").decode(),
        },
    }
    built = builds.build_virtual_machine(order, builds.build_claims(order, "lh-1"))
    assert "canary" not in json.dumps(built)
    assert built["spec"]["template"]["spec"]["volumes"][-1]["cloudInitNoCloud"] == {
        "secretRef": {"name": "c1-pool1-abcde-cloudinit"},
        "networkDataSecretRef": {"name": "c1-pool1-abcde-cloudinit"},
    }


def test_a_short_document_goes_to_the_secret_too() -> None:
    assert set(builds.build_secret(build_order(user_data=""))["data"]) == {"userdata"}
    assert "userData" not in json.dumps(machine(user_data=""))


def test_the_key_pair() -> None:
    assert builds.build_key_pair(build_order()) == {
        "apiVersion": "harvesterhci.io/v1beta1",
        "kind": "KeyPair",
        "metadata": {"name": "c1-pool1-abcde-key", "namespace": "team-a", "labels": OWNER_LABELS},
        "spec": {"publicKey": SSH_KEY},
    }


def test_without_a_key_there_is_no_key_pair_and_no_name_of_one() -> None:
    order = build_order(ssh_public_key=None)
    assert builds.build_key_pair(order) is None
    built = machine(ssh_public_key=None)
    assert built["spec"]["template"]["metadata"]["annotations"]["harvesterhci.io/sshNames"] == "[]"


def test_further_disks_have_their_own_class_else_the_pools_else_the_clusters() -> None:
    disks = [{"size_gib": 5, "storage_class": "fast", "bus": "scsi"}, {"size_gib": 6}]
    order = build_order(settings={"extra_disks": disks, "storage_class": "slow", "disk_bus": "sata"})
    root, first, second = builds.build_claims(order, "lh-1")
    assert root["spec"]["storageClassName"] == "lh-1"
    assert first["spec"]["storageClassName"] == "fast"
    assert second["spec"]["storageClassName"] == "slow"
    assert second["metadata"] == {"name": "c1-pool1-abcde-disk-2", "namespace": "team-a", "labels": OWNER_LABELS}
    assert second["spec"]["resources"] == {"requests": {"storage": "6Gi"}}
    no_class = builds.build_claims(build_order(settings={"extra_disks": [{"size_gib": 1}]}), "lh-1")[1]
    assert "storageClassName" not in no_class["spec"]

    spec = builds.build_virtual_machine(order, [root, first, second])["spec"]["template"]["spec"]
    assert [disk["disk"]["bus"] for disk in spec["domain"]["devices"]["disks"]] == ["sata", "scsi", "virtio", "virtio"]
    assert [disk.get("bootOrder") for disk in spec["domain"]["devices"]["disks"]] == [1, None, None, None]
    assert [volume["name"] for volume in spec["volumes"]] == ["disk-0", "disk-1", "disk-2", "cloudinitdisk"]


def test_further_networks_are_further_cards_of_the_same_model() -> None:
    spec = template_spec(extra_networks=["a/b", "c/d"], network_model="e1000")
    assert [network["multus"]["networkName"] for network in spec["networks"]] == ["default/vlan100", "a/b", "c/d"]
    assert spec["domain"]["devices"]["interfaces"] == [
        {"name": f"nic-{index}", "model": "e1000", "bridge": {}} for index in range(3)
    ]


def test_processor_settings() -> None:
    cpu = template_spec(cpu_count=8, cpu_model="Haswell", cpu_pinning=True, isolate_emulator_thread=True)["domain"][
        "cpu"
    ]
    assert cpu == {
        "cores": 8,
        "sockets": 1,
        "threads": 1,
        "maxSockets": 1,
        "model": "Haswell",
        "dedicatedCpuPlacement": True,
        "isolateEmulatorThread": True,
    }


def test_reserved_memory_is_taken_from_the_guest_as_harvesters_webhook_does() -> None:
    built = machine(settings={"memory_gib": 2, "reserved_memory_mib": 256})
    domain = built["spec"]["template"]["spec"]["domain"]
    assert domain["memory"] == {"guest": "1792Mi"}
    assert domain["resources"]["limits"]["memory"] == "2Gi"
    assert built["metadata"]["annotations"]["harvesterhci.io/reservedMemory"] == "256Mi"


@pytest.mark.parametrize(
    ("firmware", "bootloader", "smm"),
    [
        ("bios", None, None),
        ("efi", {"bootloader": {"efi": {"secureBoot": False}}}, {"enabled": False}),
        ("efi-secure-boot", {"bootloader": {"efi": {"secureBoot": True}}}, {"enabled": True}),
    ],
)
def test_firmware(firmware: str, bootloader: Object | None, smm: Object | None) -> None:
    domain = template_spec(firmware=firmware)["domain"]
    assert domain.get("firmware") == bootloader
    assert domain["features"].get("smm") == smm


def test_tpm_and_host_devices() -> None:
    devices = template_spec(tpm=True, host_devices=["nvidia.com/GRID_A100-4C"])["domain"]["devices"]
    assert devices["tpm"] == {}
    assert devices["hostDevices"] == [{"name": "host-device-0", "deviceName": "nvidia.com/GRID_A100-4C"}]


def test_an_ordered_affinity_is_kept_and_the_spread_becomes_the_weakest_wish() -> None:
    wish = {"weight": 50, "podAffinityTerm": {"labelSelector": {}, "topologyKey": "zone"}}
    ordered = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]},
    }
    order = build_order(settings={"affinity": ordered})
    affinity = builds.build_virtual_machine(order, builds.build_claims(order, "x"))["spec"]["template"]["spec"][
        "affinity"
    ]
    assert affinity["nodeAffinity"] == ordered["nodeAffinity"]
    wishes = affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wishes == [wish, {"weight": 1, **SPREAD}]
    assert order.settings["affinity"] == ordered, "the order itself must not change"


def test_static_addresses_and_the_ssh_user_are_kept_with_the_machine() -> None:
    annotations = machine(settings={"ssh_user": "debian"}, static_addresses=("10.1.2.3", "fd00::3"))["metadata"][
        "annotations"
    ]
    assert json.loads(annotations["paddock.io/static-addresses"]) == ["10.1.2.3", "fd00::3"]
    assert annotations["paddock.io/ssh-user"] == "debian"


def test_sec43_labels_of_the_order_are_on_every_object_and_yield_to_ours() -> None:
    labels = {"team": "a", "harvesterhci.io/creator": "me", "harvesterhci.io/vmName": "other"}
    order = build_order(labels=labels)
    claims = builds.build_claims(order, "lh-1")
    built = builds.build_virtual_machine(order, claims)
    key_pair = builds.build_key_pair(order)
    assert key_pair is not None
    for obj in (builds.build_secret(order), claims[0], key_pair, built):
        assert obj["metadata"]["labels"]["team"] == "a"
        assert OWNER_LABELS.items() <= obj["metadata"]["labels"].items()
    assert built["metadata"]["labels"]["harvesterhci.io/creator"] == "docker-machine-driver-harvester"
    assert built["spec"]["template"]["metadata"]["labels"]["harvesterhci.io/vmName"] == "c1-pool1-abcde"


def test_a_machine_set_name_beyond_a_labels_length_is_cut_with_a_hash() -> None:
    labels = machine(cluster_name="c" * 40, pool_name="p" * 40)["metadata"]["labels"]
    name = labels["harvesterhci.io/machineSetName"]
    assert len(name) <= 63
    assert name.startswith("team-a-ccc")
    assert (
        name
        != machine(cluster_name="c" * 40, pool_name="q" * 40)["metadata"]["labels"]["harvesterhci.io/machineSetName"]
    )


def test_an_owner_reference_names_the_machine_by_uid() -> None:
    built = {"metadata": {"name": "m", "uid": "uid-1"}}
    assert builds.build_owner_reference(built) == {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "name": "m",
        "uid": "uid-1",
    }


def test_a_claim_that_no_machine_has_seen_is_used_by_none() -> None:
    claim = builds.build_claims(build_order(), "lh-1")[0]
    assert builds.used_by(claim) is None
    use = builds.build_use({"metadata": {"uid": "uid-1"}})
    assert builds.used_by(use) == "uid-1"


def test_the_forgotten_user_data_is_a_cloud_config_that_does_nothing() -> None:
    first, rest = builds.FORGOTTEN_USER_DATA.split("\n", 1)
    assert first == "#cloud-config"
    assert json.loads(rest) == {}


def test_cloud_init_itself_takes_the_forgotten_user_data(cloud_init_schema: Callable[[str], list[str]]) -> None:
    assert cloud_init_schema(builds.FORGOTTEN_USER_DATA) == []
