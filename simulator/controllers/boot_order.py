"""What a machine is powered on with: its cloud-init volume resolved to texts (contract harvester-vm §2.1, §2.3)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from kube.quantity import format_bytes
from kube.resources import SECRETS, Object
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.scheduling import limits_of
from simulator.guests.machines import BootOrder

_KINDS = ("cloudInitNoCloud", "cloudInitConfigDrive")


class BootMaterialMissing(Exception):
    """A Secret that the cloud-init volume names is not there, or lacks its key: the machine waits for it."""


async def read_boot_order(writer: ObjectWriter, instance: Object, disk_id: str) -> BootOrder:
    """The order to power this instance on. Raises BootMaterialMissing."""
    metadata, spec = instance["metadata"], instance["spec"]
    source: Mapping[str, Any] = {}
    for volume in spec.get("volumes") or []:
        for kind in _KINDS:
            source = volume.get(kind) or source
    namespace = metadata["namespace"]
    limits = limits_of(instance)
    return BootOrder(
        namespace=namespace,
        name=metadata["name"],
        disk_id=disk_id,
        hostname=spec.get("hostname") or metadata["name"],
        cpus=format(limits.cpu.normalize(), "f"),
        memory=format_bytes(int(limits.memory)),
        user_data=await _text(writer, namespace, source, "userData", "secretRef"),
        network_data=await _text(writer, namespace, source, "networkData", "networkDataSecretRef"),
    )


async def _text(
    writer: ObjectWriter, namespace: str, source: Mapping[str, Any], field: str, reference: str
) -> str | None:
    if source.get(field):
        return str(source[field])
    if source.get(f"{field}Base64"):
        return _decoded(str(source[f"{field}Base64"]), field)
    name = (source.get(reference) or {}).get("name")
    if not name:
        return None
    secret = await writer.find(SECRETS, name, namespace)
    if secret is None:
        raise BootMaterialMissing(f"waiting for Secret {namespace}/{name}")
    key = field.lower()
    if key not in (secret.get("data") or {}):
        raise BootMaterialMissing(f"Secret {namespace}/{name} has no key {key}")
    return _decoded(secret["data"][key], field)


def _decoded(text: str, field: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BootMaterialMissing(f"{field} is not base64 of a text") from error
