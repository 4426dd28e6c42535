"""Orders for tests of the harvester driver's parts."""

from __future__ import annotations

from typing import Any

from node_driver.harvester.settings import SETTINGS
from node_driver.types import MachineOrder, MachineRef, Owner
from tests.node_driver.battery import SSH_KEY

OWNER = Owner("hub-1", 3, "machine-1", "tenant-1")
REF = MachineRef("team-a", "c1-pool1-abcde", OWNER)
OWNER_LABELS = {
    "paddock.io/hub-id": "hub-1",
    "paddock.io/hub-epoch": "3",
    "paddock.io/owner-kind": "machine",
    "paddock.io/owner-id": "machine-1",
    "paddock.io/tenant-id": "tenant-1",
    "paddock.io/machine-name": "c1-pool1-abcde",
}


def build_order(*, settings: dict[str, Any] | None = None, **changes: Any) -> MachineOrder:
    """A small order; settings are added to the two that are required, and validated."""
    validated = SETTINGS.validate({"image": "default/image-jammy", "network": "default/vlan100", **(settings or {})})
    fields: dict[str, Any] = {
        "ref": REF,
        "cluster_name": "c1",
        "pool_name": "pool1",
        "settings": validated,
        "user_data": "#cloud-config\n{}\n",
        "ssh_public_key": SSH_KEY,
    }
    return MachineOrder(**{**fields, **changes})
