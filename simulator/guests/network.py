"""The network that machines share: who has which address, and which supervisor listens where.

Addresses are of a block below 127.0.0.0/8, so that every machine can have listeners of its own on any Linux machine.
The upper half of the block is handed out as DHCP would, the lower half is left for static addresses.
"""

import ipaddress
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.guests.cluster import GuestCluster


class AddressTaken(Exception):
    """Another machine has this address."""


class ConnectionFailed(Exception):
    """Nothing answers there; the message is what a dialling program would print."""


def random_block() -> ipaddress.IPv4Network:
    """A /16 below 127/8, away from 127.0/16, where other programs listen."""
    return ipaddress.IPv4Network((f"127.{64 + secrets.randbelow(128)}.0.0", 16))


class MachineNetwork:
    """One address block. `known` are the addresses that disks already have, by disk."""

    def __init__(self, block: ipaddress.IPv4Network, known: dict[str, str] | None = None) -> None:
        self.block = block
        self._owners: dict[str, str] = {address: disk for disk, address in (known or {}).items() if address}
        self._up: set[str] = set()
        self._supervisors: dict[tuple[str, int], GuestCluster] = {}

    def lease(self, disk_id: str) -> str:
        """An address by DHCP: the one that the disk had before, else a free one. Raises AddressTaken when all are."""
        for address, owner in self._owners.items():
            if owner == disk_id and ipaddress.ip_address(address) in self._dynamic_range():
                return address
        for host in self._dynamic_range():
            address = str(host)
            # .0 and .255 are fine to the kernel, and look like mistakes to people.
            if address not in self._owners and host.packed[3] not in (0, 255):
                self._owners[address] = disk_id
                return address
        raise AddressTaken(f"no free address in {self.block}")

    def _dynamic_range(self) -> ipaddress.IPv4Network:
        return list(self.block.subnets(prefixlen_diff=1))[1]

    def claim(self, address: str, disk_id: str) -> None:
        """Takes a static address. Raises AddressTaken when another machine that is up has it."""
        if self._owners.get(address, disk_id) != disk_id and address in self._up:
            raise AddressTaken(f"{address} is in use by another machine")
        self._owners[address] = disk_id

    def set_up(self, address: str) -> None:
        """The machine with this address answers on the network from now on."""
        self._up.add(address)

    def set_down(self, address: str) -> None:
        self._up.discard(address)

    def forget(self, disk_id: str) -> None:
        """Frees what a disk had."""
        self._owners = {address: owner for address, owner in self._owners.items() if owner != disk_id}

    def listen(self, address: str, port: int, cluster: "GuestCluster") -> None:
        self._supervisors[address, port] = cluster

    def unlisten(self, address: str) -> None:
        """Ends all that listens on an address."""
        self._supervisors = {key: value for key, value in self._supervisors.items() if key[0] != address}

    def connect(self, host: str, port: int) -> "GuestCluster":
        """The cluster whose supervisor answers there. Raises ConnectionFailed.

        Names are not resolved: the simulated network has no name server.
        """
        try:
            address = str(ipaddress.ip_address(host))
        except ValueError:
            raise ConnectionFailed(f"dial tcp: lookup {host}: no such host") from None
        if address not in self._up:
            raise ConnectionFailed(f"dial tcp {address}:{port}: connect: no route to host")
        cluster = self._supervisors.get((address, port))
        if cluster is None:
            raise ConnectionFailed(f"dial tcp {address}:{port}: connect: connection refused")
        return cluster
