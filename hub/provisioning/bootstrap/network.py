"""The addresses of a guest cluster and of one of its nodes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from hub.provisioning.bootstrap.checks import (
    BootstrapInvalid,
    IPNetwork,
    check_no_overlap,
    check_unique,
    parse_address,
    parse_network,
)
from kube import names

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_INTERFACE = re.compile(r"[a-z][a-z0-9]{0,14}")
# The 10th address of the service network is where both distributions put cluster DNS by default.
_DNS_OFFSET = 10
# Kubernetes gives each node a /24 (IPv4) or /64 (IPv6) of the cluster network, and takes service networks of at most
# 2^20 addresses; below /28 the DNS address would fall outside.
_CLUSTER_PREFIX = {4: (8, 24), 6: (16, 64)}
_SERVICE_PREFIX = {4: (12, 28), 6: (108, 124)}


@dataclass(frozen=True, slots=True)
class ClusterNetwork:
    """Pod and service networks, one each, or two for dual stack in the same order of families. Neither can change
    later.

    `cni` is the distribution's own word (K3s: flannel's backend; RKE2: the plugin, "multus" before another); empty:
    its default.
    """

    cluster_cidrs: tuple[str, ...] = ("10.42.0.0/16",)
    service_cidrs: tuple[str, ...] = ("10.43.0.0/16",)
    cluster_dns: str | None = None
    cluster_domain: str = "cluster.local"
    cni: tuple[str, ...] = ()

    @property
    def dns_address(self) -> str:
        """Where cluster DNS answers: as asked for, else the tenth address of the first service network."""
        return self.cluster_dns or str(ipaddress.ip_network(self.service_cidrs[0])[_DNS_OFFSET])

    def check(self, pointer: str) -> None:
        """Raises BootstrapInvalid."""
        cluster = _parse_family(self.cluster_cidrs, f"{pointer}/cluster_cidrs", _CLUSTER_PREFIX)
        service = _parse_family(self.service_cidrs, f"{pointer}/service_cidrs", _SERVICE_PREFIX)
        if [network.version for network in cluster] != [network.version for network in service]:
            raise BootstrapInvalid(
                f"{pointer}/service_cidrs", "conflict", "the families must be those of cluster_cidrs"
            )
        check_no_overlap(self.networks(pointer))
        if self.cluster_dns is not None:
            address = parse_address(self.cluster_dns, f"{pointer}/cluster_dns")
            if address not in service[0] or address == service[0][0]:
                raise BootstrapInvalid(f"{pointer}/cluster_dns", "range", f"must lie in {service[0]}")
        if not isinstance(self.cluster_domain, str) or not names.is_dns_subdomain(self.cluster_domain):
            raise BootstrapInvalid(f"{pointer}/cluster_domain", "format", "a DNS name is wanted")
        check_unique(self.cni, f"{pointer}/cni")

    def networks(self, pointer: str) -> list[tuple[str, IPNetwork]]:
        """All networks with their pointers."""
        return [
            (f"{pointer}/{name}/{index}", parse_network(cidr, f"{pointer}/{name}/{index}"))
            for name, cidrs in (("cluster_cidrs", self.cluster_cidrs), ("service_cidrs", self.service_cidrs))
            for index, cidr in enumerate(cidrs)
        ]


@dataclass(frozen=True, slots=True)
class StaticAddress:
    """An address from the hub's address book for a node's one interface, found by MAC where known, else by name.

    `addresses` are with prefix ("10.0.0.5/24"), the node's own first; gateways must lie in one of their networks.
    """

    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    mac_address: str | None = None
    interface: str = "enp1s0"

    @property
    def node_ips(self) -> tuple[str, ...]:
        """The addresses alone, without prefix."""
        return tuple(str(ipaddress.ip_interface(address).ip) for address in self.addresses)

    def networks(self, pointer: str) -> list[tuple[str, IPNetwork]]:
        """The networks the node stands in, with their pointers."""
        return [
            (f"{pointer}/addresses/{index}", ipaddress.ip_interface(address).network)
            for index, address in enumerate(self.addresses)
        ]

    def check(self, pointer: str) -> None:
        """Raises BootstrapInvalid."""
        if not self.addresses:
            raise BootstrapInvalid(f"{pointer}/addresses", "required", "at least one address is wanted")
        for index, address in enumerate(self.addresses):
            _check_interface_address(address, f"{pointer}/addresses/{index}")
        check_unique(self.node_ips, f"{pointer}/addresses")
        networks = [network for _, network in self.networks(pointer)]
        for index, gateway in enumerate(self.gateways):
            via = parse_address(gateway, f"{pointer}/gateways/{index}")
            if not any(via in network for network in networks) or gateway in self.node_ips:
                raise BootstrapInvalid(
                    f"{pointer}/gateways/{index}", "range", "a gateway lies in the node's network and is another host"
                )
        families = [str(parse_address(gateway, pointer).version) for gateway in self.gateways]
        check_unique(families, f"{pointer}/gateways")
        for index, server in enumerate(self.nameservers):
            parse_address(server, f"{pointer}/nameservers/{index}")
        for index, domain in enumerate(self.search_domains):
            if not isinstance(domain, str) or not names.is_dns_subdomain(domain):
                raise BootstrapInvalid(f"{pointer}/search_domains/{index}", "format", "a DNS name is wanted")
        if self.mac_address is not None and not _MAC.fullmatch(self.mac_address):
            raise BootstrapInvalid(f"{pointer}/mac_address", "format", "a MAC like 52:54:00:12:34:56 is wanted")
        if not _INTERFACE.fullmatch(self.interface):
            raise BootstrapInvalid(f"{pointer}/interface", "format", "an interface name like enp1s0 is wanted")


def _parse_family(cidrs: tuple[str, ...], pointer: str, limits: dict[int, tuple[int, int]]) -> list[IPNetwork]:
    if not 1 <= len(cidrs) <= 2:
        raise BootstrapInvalid(pointer, "range", "one network, or two for dual stack")
    networks = [parse_network(cidr, f"{pointer}/{index}") for index, cidr in enumerate(cidrs)]
    if len({network.version for network in networks}) != len(networks):
        raise BootstrapInvalid(pointer, "conflict", "two networks are one of IPv4 and one of IPv6")
    for index, network in enumerate(networks):
        shortest, longest = limits[network.version]
        if not shortest <= network.prefixlen <= longest:
            message = f"a prefix of {shortest} to {longest} bits is wanted"
            raise BootstrapInvalid(f"{pointer}/{index}", "range", message)
    return networks


def _check_interface_address(address: str, pointer: str) -> None:
    try:
        if "/" not in address or "%" in address:
            raise ValueError
        interface = ipaddress.ip_interface(address)
    except (ValueError, TypeError) as error:
        raise BootstrapInvalid(pointer, "format", "an address with prefix like 10.0.0.5/24 is wanted") from error
    network = interface.network
    edges = {network.network_address, network.broadcast_address} if network.num_addresses > 2 else set()
    if interface.version == 4 and interface.ip in edges:
        raise BootstrapInvalid(pointer, "range", "that is the network's own or its broadcast address")
