"""Network configurations of both versions, and what is wrong with others."""

import pytest

from simulator.guests.network_data import NetworkDataRefused, parse_network_data


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nconfig:\n- {type: physical, name: eth0, subnets: [{type: static, address: 127.9.0.7/16, "
        "gateway: 127.9.0.1, dns_nameservers: [127.9.0.1]}]}\n",
        "version: 1\nconfig:\n- type: physical\n  name: eth0\n  subnets:\n"
        "  - {type: static, address: 127.9.0.7, netmask: 255.255.0.0}\n- {type: nameserver, address: [127.9.0.1]}\n",
        "version: 2\nethernets: {eth0: {match: {name: e*}, addresses: [127.9.0.7/16], gateway4: 127.9.0.1}}\n",
        "network: {version: 2, ethernets: {eth0: {addresses: [127.9.0.7/16]}}}\n",
    ],
)
def test_a_static_address_is_found_in_every_form(text: str) -> None:
    network = parse_network_data(text)

    assert [str(address) for address in network.addresses] == ["127.9.0.7/16"]
    assert not network.dhcp


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "version: 2\nethernets: {eth0: {dhcp4: true}}\n",
        "version: 1\nconfig: [{type: physical, name: eth0, subnets: [{type: dhcp}]}]\n",
    ],
)
def test_dhcp_is_asked_for_or_assumed(text: str | None) -> None:
    network = parse_network_data(text)

    assert network.addresses == ()
    assert network.dhcp


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("config: []\n", "version must be 1 or 2"),
        ("version: 3\n", "version must be 1 or 2"),
        ("version: 1\n", "config: must be a list"),
        ("version: 1\nconfig: [{type: wifi}]\n", "'wifi' is unknown"),
        ("version: 1\nconfig: [{type: physical, subnets: [{type: static, address: 1.2.3.4}]}]\n", "neither"),
        ("version: 1\nconfig: [{type: physical, subnets: [{type: static, address: 1.2.3.400/8}]}]\n", "1.2.3.400"),
        ("version: 1\nconfig: [{type: physical, subnets: [{type: magic}]}]\n", "'magic' is unknown"),
        ("version: 2\nethernet: {}\n", "unknown keys ethernet"),
        ("version: 2\nethernets: {eth0: {addresses: 1.2.3.4/8}}\n", "must be a list"),
        ("version: 2\nethernets: {eth0: {gateway4: nowhere}}\n", "'nowhere' is not an address"),
        ("version: [\n", "not valid YAML"),
    ],
)
def test_what_cloud_init_would_not_apply_is_refused(text: str, told: str) -> None:
    with pytest.raises(NetworkDataRefused) as refusal:
        parse_network_data(text)

    assert told in str(refusal.value)
