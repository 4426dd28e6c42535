"""What an instance's status tells of its interfaces and its guest (contract harvester-vm §3)."""

import hashlib
from typing import Any

from kube.resources import Object
from simulator.guests.machines import GuestMachine

_AGENT_SOURCE = "domain, guest-agent"


def build_interfaces(instance: Object, machine: GuestMachine | None) -> list[dict[str, Any]]:
    """`status.interfaces`: all that the domain has; the first with the machine's address once somebody can tell it.

    On a bridged network that is the guest agent; on the pod network (masquerade) the address is the pod's own.
    """
    interfaces = []
    for index, interface in enumerate(instance["spec"]["domain"].get("devices", {}).get("interfaces") or []):
        entry: dict[str, Any] = {
            "name": interface["name"],
            "mac": interface.get("macAddress") or generated_mac(instance, interface["name"]),
            "infoSource": "domain",
            "queueCount": 1,
        }
        by_agent = machine is not None and machine.guest_agent
        if by_agent:
            entry |= {"infoSource": _AGENT_SOURCE, "interfaceName": f"enp{index + 1}s0"}
        if index == 0 and machine is not None and machine.address and (by_agent or "masquerade" in interface):
            entry |= {"ipAddress": machine.address, "ipAddresses": [machine.address]}
        interfaces.append(entry)
    return interfaces


def generated_mac(instance: Object, interface: str) -> str:
    """A locally administered address, the same at every look."""
    digest = hashlib.sha256(f"{instance['metadata']['uid']}/{interface}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def agent_facts() -> dict[str, str]:
    """`status.guestOSInfo`, which the guest agent tells."""
    return {
        "id": "ubuntu",
        "name": "Ubuntu",
        "prettyName": "Ubuntu 22.04.5 LTS",
        "version": "22.04",
        "versionId": "22.04",
        "kernelRelease": "5.15.0-144-generic",
        "machine": "x86_64",
    }
