"""Addresses of cluster and node: what is taken, and what is refused where."""

from typing import Any

import pytest

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.network import ClusterNetwork, StaticAddress


def refusal(part: ClusterNetwork | StaticAddress) -> tuple[str, str]:
    with pytest.raises(BootstrapInvalid) as refused:
        part.check("/x")
    return refused.value.pointer, refused.value.code


def test_cluster_dns_is_the_tenth_service_address_unless_told() -> None:
    assert ClusterNetwork().dns_address == "10.43.0.10"
    assert ClusterNetwork(service_cidrs=("10.96.0.0/12",)).dns_address == "10.96.0.10"
    assert ClusterNetwork(cluster_dns="10.43.1.1").dns_address == "10.43.1.1"


@pytest.mark.parametrize(
    "network",
    [
        ClusterNetwork(),
        ClusterNetwork(("10.42.0.0/16", "fd00:42::/56"), ("10.43.0.0/16", "fd00:43::/112")),
        ClusterNetwork(("fd00:42::/56",), ("fd00:43::/112",)),
        ClusterNetwork(cluster_dns="10.43.0.53", cluster_domain="k8s.example"),
    ],
)
def test_single_and_dual_stack_networks_are_taken(network: ClusterNetwork) -> None:
    network.check("/x")


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"cluster_cidrs": ()}, "/x/cluster_cidrs", "range"),
        ({"cluster_cidrs": ("10.42.0.1/16",)}, "/x/cluster_cidrs/0", "format"),
        ({"cluster_cidrs": ("10.42.0.0",)}, "/x/cluster_cidrs/0", "format"),
        ({"cluster_cidrs": ("ten",)}, "/x/cluster_cidrs/0", "format"),
        ({"cluster_cidrs": (7,)}, "/x/cluster_cidrs/0", "format"),
        ({"cluster_cidrs": ("10.42.0.0/28",)}, "/x/cluster_cidrs/0", "range"),
        ({"cluster_cidrs": ("10.42.0.0/16", "10.44.0.0/16")}, "/x/cluster_cidrs", "conflict"),
        ({"cluster_cidrs": ("10.42.0.0/16", "fd00::/56")}, "/x/service_cidrs", "conflict"),
        ({"service_cidrs": ("10.42.128.0/20",)}, "/x/service_cidrs/0", "overlap"),
        ({"service_cidrs": ("10.0.0.0/8",)}, "/x/service_cidrs/0", "range"),
        ({"service_cidrs": ("10.43.0.0/30",)}, "/x/service_cidrs/0", "range"),
        ({"cluster_dns": "10.44.0.10"}, "/x/cluster_dns", "range"),
        ({"cluster_dns": "10.43.0.0"}, "/x/cluster_dns", "range"),
        ({"cluster_dns": "dns"}, "/x/cluster_dns", "format"),
        ({"cluster_domain": "Cluster.Local"}, "/x/cluster_domain", "format"),
        ({"cluster_domain": "a: b"}, "/x/cluster_domain", "format"),
        ({"cni": ("calico", "calico")}, "/x/cni/1", "duplicate"),
    ],
)
def test_a_cluster_network_of_nonsense_is_refused(fields: dict[str, Any], pointer: str, code: str) -> None:
    assert refusal(ClusterNetwork(**fields)) == (pointer, code)


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"addresses": ()}, "/x/addresses", "required"),
        ({"addresses": ("10.0.0.5",)}, "/x/addresses/0", "format"),
        ({"addresses": ("fe80::1%eth0/64",)}, "/x/addresses/0", "format"),
        ({"addresses": ("10.0.0.0/24",)}, "/x/addresses/0", "range"),
        ({"addresses": ("10.0.0.255/24",)}, "/x/addresses/0", "range"),
        ({"addresses": ("10.0.0.5/24", "10.0.0.5/16")}, "/x/addresses/1", "duplicate"),
        ({"gateways": ("10.0.1.1",)}, "/x/gateways/0", "range"),
        ({"gateways": ("10.0.0.5",)}, "/x/gateways/0", "range"),
        ({"gateways": ("10.0.0.1", "10.0.0.2")}, "/x/gateways/1", "duplicate"),
        ({"gateways": ("gw",)}, "/x/gateways/0", "format"),
        ({"nameservers": ("dns.example",)}, "/x/nameservers/0", "format"),
        ({"search_domains": ("a b",)}, "/x/search_domains/0", "format"),
        ({"mac_address": "52:54:00:12:34"}, "/x/mac_address", "format"),
        ({"mac_address": "52:54:00:12:34:56\n"}, "/x/mac_address", "format"),
        ({"interface": "eth0: {}"}, "/x/interface", "format"),
    ],
)
def test_a_static_address_of_nonsense_is_refused(fields: dict[str, Any], pointer: str, code: str) -> None:
    assert refusal(StaticAddress(**{"addresses": ("10.0.0.5/24",), **fields})) == (pointer, code)


def test_point_to_point_and_dual_stack_addresses_are_taken() -> None:
    StaticAddress(("10.0.0.4/31",), gateways=("10.0.0.5",)).check("/x")
    address = StaticAddress(("10.0.0.5/24", "fd00::5/64"), ("10.0.0.1", "fd00::1"))
    address.check("/x")
    assert address.node_ips == ("10.0.0.5", "fd00::5")
