"""Objects of a Harvester user, written after the contract (harvester-vm §2)."""

import base64
import json
from typing import Any

from kube.resources import Object

AGENT = "#cloud-config\npackages: [qemu-guest-agent]\n"


def machine(name: str, namespace: str = "default", **changes: Any) -> Object:
    """A VirtualMachine with one claim of class harvester-longhorn, one network and a cloud-init Secret.

    `changes` are keys of the template's spec, but `strategy`, `annotations`, `memory` and `claims`, which go where they
    belong.
    """
    claims: list[str] = changes.pop("claims", [f"{name}-disk-0"])
    templates = [claim(c)["metadata"] for c in claims]
    annotations = {
        "harvesterhci.io/volumeClaimTemplates": json.dumps(
            [{"metadata": {"name": t["name"]}, "spec": claim(t["name"])["spec"]} for t in templates]
        ),
        **changes.pop("annotations", {}),
    }
    memory = changes.pop("memory", "4Gi")
    strategy = changes.pop("strategy", "RerunOnFailure")
    volumes: list[Object] = [
        {"name": f"disk-{i}", "persistentVolumeClaim": {"claimName": c}} for i, c in enumerate(claims)
    ]
    source = {"secretRef": {"name": f"{name}-cloudinit"}, "networkDataSecretRef": {"name": f"{name}-cloudinit"}}
    volumes.append({"name": "cloudinitdisk", "cloudInitNoCloud": source})
    spec: Object = {
        "networks": [{"name": "default", "multus": {"networkName": "default/vlan1"}}],
        "volumes": volumes,
        "domain": {
            "cpu": {"cores": 2, "sockets": 1, "threads": 1},
            "resources": {"limits": {"cpu": "2", "memory": memory}},
            "devices": {
                "interfaces": [{"name": "default", "model": "virtio", "bridge": {}}],
                "disks": [
                    *({"name": f"disk-{i}", "bootOrder": i + 1, "disk": {"bus": "virtio"}} for i in range(len(claims))),
                    {"name": "cloudinitdisk", "disk": {"bus": "virtio"}},
                ],
            },
        },
        **changes,
    }
    return {
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {
            "runStrategy": strategy,
            "template": {"metadata": {"labels": {"harvesterhci.io/vmName": name}}, "spec": spec},
        },
    }


def claim(name: str, namespace: str = "default", storage_class: str = "harvester-longhorn") -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "volumeMode": "Block",
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "10Gi"}},
        },
    }


def cloud_init(name: str, namespace: str = "default", user_data: str = AGENT, network_data: str = "") -> Object:
    data = {"userdata": user_data, "networkdata": network_data}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": {"name": f"{name}-cloudinit", "namespace": namespace}, "data": encoded}


def owned_by(obj: Object, vm: Object) -> Object:
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "name": vm["metadata"]["name"],
        "uid": vm["metadata"]["uid"],
    }
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [owner]}}
