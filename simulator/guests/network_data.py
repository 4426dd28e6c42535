"""A machine's network data: cloud-init's network configuration, versions 1 and 2.

Read are the addresses the machine is to have; routes and name servers are checked for form and otherwise mean nothing
to a simulated network. Source: cloud-init's network configuration formats.
"""

import ipaddress
from dataclasses import dataclass
from typing import Any

from simulator.guests.documents import load_mapping

_V1_TYPES = frozenset({"physical", "bond", "bridge", "vlan", "nameserver", "route", "loopback"})
_V1_STATIC = frozenset({"static", "static4", "static6"})
_V1_DHCP = frozenset({"dhcp", "dhcp4", "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_slaac"})
_V2_KEYS = frozenset({"version", "renderer", "ethernets", "bonds", "bridges", "vlans"})


class NetworkDataRefused(ValueError):
    """The network data is not a network configuration that cloud-init would apply."""


@dataclass(frozen=True, slots=True)
class NetworkData:
    """Static IPv4 addresses in the order given, with their prefix length, and whether DHCP is asked for."""

    addresses: tuple[ipaddress.IPv4Interface, ...]
    dhcp: bool


def parse_network_data(text: str | None) -> NetworkData:
    """Reads network data; none, or an empty text, means DHCP. Raises NetworkDataRefused."""
    if not text or not text.strip():
        return NetworkData((), dhcp=True)
    try:
        document = load_mapping(text, "network data")
    except ValueError as error:
        raise NetworkDataRefused(str(error)) from error
    if set(document) == {"network"} and isinstance(document["network"], dict):
        document = document["network"]
    version = document.get("version")
    if version == 1:
        return _version_1(document)
    if version == 2:
        return _version_2(document)
    raise NetworkDataRefused(f"network data: version must be 1 or 2, not {version!r}")


def _version_1(document: dict[str, Any]) -> NetworkData:
    addresses: list[ipaddress.IPv4Interface] = []
    dhcp = False
    for i, device in enumerate(_entries(document.get("config"), "config")):
        kind = device.get("type")
        if kind not in _V1_TYPES:
            raise NetworkDataRefused(f"config[{i}].type: {kind!r} is unknown")
        for j, subnet in enumerate(_entries(device.get("subnets", []), f"config[{i}].subnets")):
            place = f"config[{i}].subnets[{j}]"
            if subnet.get("type") in _V1_STATIC:
                addresses += _ipv4(place, subnet.get("address"), subnet.get("netmask"))
                _check_gateway(place, subnet.get("gateway"))
            elif subnet.get("type") in _V1_DHCP:
                dhcp = True
            else:
                raise NetworkDataRefused(f"{place}.type: {subnet.get('type')!r} is unknown")
    return NetworkData(tuple(addresses), dhcp)


def _version_2(document: dict[str, Any]) -> NetworkData:
    unknown = sorted(set(document) - _V2_KEYS)
    if unknown:
        raise NetworkDataRefused(f"network data: unknown keys {', '.join(unknown)}")
    addresses: list[ipaddress.IPv4Interface] = []
    dhcp = False
    for family in ("ethernets", "bonds", "bridges", "vlans"):
        devices = document.get(family) or {}
        if not isinstance(devices, dict):
            raise NetworkDataRefused(f"{family}: must be a mapping")
        for name, device in devices.items():
            if not isinstance(device, dict):
                raise NetworkDataRefused(f"{family}.{name}: must be a mapping")
            place = f"{family}.{name}"
            given = device.get("addresses") or []
            if not isinstance(given, list):
                raise NetworkDataRefused(f"{place}.addresses: must be a list")
            for address in given:
                addresses += _ipv4(f"{place}.addresses", address, None)
            _check_gateway(place, device.get("gateway4"))
            dhcp = dhcp or device.get("dhcp4") is True or device.get("dhcp6") is True
    return NetworkData(tuple(addresses), dhcp)


def _entries(value: Any, place: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise NetworkDataRefused(f"{place}: must be a list of mappings")
    return value


def _ipv4(place: str, address: Any, netmask: Any) -> list[ipaddress.IPv4Interface]:
    """The address as a list of one, or of none when it is IPv6 (which the simulated network does not carry)."""
    if not isinstance(address, str):
        raise NetworkDataRefused(f"{place}: address must be a string, not {address!r}")
    if "/" not in address:
        if not isinstance(netmask, str):
            raise NetworkDataRefused(f"{place}: address {address!r} has neither a prefix length nor a netmask")
        address = f"{address}/{netmask}"
    try:
        interface = ipaddress.ip_interface(address)
    except ValueError as error:
        raise NetworkDataRefused(f"{place}: {error}") from error
    return [interface] if isinstance(interface, ipaddress.IPv4Interface) else []


def _check_gateway(place: str, gateway: Any) -> None:
    if gateway is None:
        return
    try:
        ipaddress.ip_address(gateway)
    except ValueError:
        raise NetworkDataRefused(f"{place}: gateway {gateway!r} is not an address") from None
