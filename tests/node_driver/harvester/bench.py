"""The bench of the harvester driver over any Kubernetes API: the double, the simulated and the real one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from kube.resources import (
    KEY_PAIRS,
    NETWORK_ATTACHMENT_DEFINITIONS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
)
from node_driver.harvester.driver import HarvesterDriver
from node_driver.harvester.ownership import owner_labels
from node_driver.types import MachineRef
from tests.node_driver.battery import DriverBench
from tests.node_driver.harvester.tapped_client import TappedClient

KINDS = (VIRTUAL_MACHINES, VIRTUAL_MACHINE_INSTANCES, PERSISTENT_VOLUME_CLAIMS, SECRETS, KEY_PAIRS)
IMAGE = "default/image-jammy"
NETWORK = "default/vlan100"


class HarvesterBench(DriverBench):
    """play: does what Harvester does next, or waits where its controllers run by themselves."""

    driver: HarvesterDriver

    def __init__(
        self,
        client: TappedClient,
        location: str,
        play: Callable[[], None],
        *,
        image: str = IMAGE,
        network: str = NETWORK,
    ) -> None:
        self.client = client
        self.location = location
        self.driver = HarvesterDriver(client)
        self.settings = HarvesterDriver.settings.validate(
            {"image": image, "network": network, "extra_disks": [{"size_gib": 1}]}
        )
        self.missing_image = {**self.settings, "image": "default/none"}
        self.missing_network = {**self.settings, "network": "default/none"}
        self._play = play

    def objects(self) -> list[Object]:
        """The location's objects, but for those that a cluster puts into every namespace."""
        return [
            {**obj, "kind": resource.kind}
            for resource in KINDS
            for obj in self.client.list(resource, self.location)
            if obj.get("type") != "kubernetes.io/service-account-token"
        ]

    def parts(self) -> list[str]:
        return sorted(f"{obj['kind']} {obj['metadata']['name']}" for obj in self.objects())

    def open_text(self) -> str:
        return json.dumps([{key: value for key, value in obj.items() if key != "data"} for obj in self.objects()])

    def documents(self, ref: MachineRef) -> tuple[str, str | None]:
        data = self.client.get(SECRETS, f"{ref.name}-cloudinit", ref.location)["data"]
        texts = {key: base64.b64decode(value).decode() for key, value in data.items()}
        return texts["userdata"], texts.get("networkdata")

    def labels(self, ref: MachineRef) -> Mapping[str, str]:
        labels: dict[str, str] = self.client.get(VIRTUAL_MACHINES, ref.name, ref.location)["metadata"]["labels"]
        return labels

    def labels_of_parts(self) -> Mapping[str, str]:
        """The owner labels of the bench's machine."""
        return owner_labels(self.ref())

    def occupy(self, name: str) -> None:
        domain = {"devices": {}, "memory": {"guest": "1Gi"}, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
        machine = {
            "metadata": {"name": name, "namespace": self.location},
            "spec": {"runStrategy": "Halted", "template": {"spec": {"domain": domain}}},
        }
        self.client.create(VIRTUAL_MACHINES, machine)

    def die_before_machine(self) -> AbstractContextManager[None]:
        return self.client.disturb("POST", f"/{VIRTUAL_MACHINES.plural}")

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.client.disturb("POST", f"/{VIRTUAL_MACHINES.plural}", after_effect=True)

    def unreachable(self) -> AbstractContextManager[None]:
        return self.client.disturb()

    def advance(self) -> None:
        self._play()


def build_image() -> Object:
    namespace, name = IMAGE.split("/")
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backend": "backingimage",
            "displayName": "jammy.img",
            "sourceType": "download",
            "url": "https://x.test",
        },
        "status": {
            "progress": 100,
            "virtualSize": 2 * 1024**3,
            "storageClassName": "lh-image-jammy",
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Imported", "status": "True"}],
        },
    }


def build_network() -> Object:
    namespace, name = NETWORK.split("/")
    config = {"cniVersion": "0.3.1", "name": name, "type": "bridge", "bridge": "mgmt-br", "vlan": 100, "ipam": {}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"config": json.dumps(config)}}


def seed(client: TappedClient) -> None:
    """The image and the network that the bench's settings name."""
    client.create(VIRTUAL_MACHINE_IMAGES, build_image())
    client.create(NETWORK_ATTACHMENT_DEFINITIONS, build_network())
