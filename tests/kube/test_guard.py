"""The address guard: what it refuses in every spelling, and that a name is judged by what is connected to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube import guard as guard_module
from kube.errors import AddressRefused, Unavailable
from kube.guard import AddressGuard

# Forms of loopback, metadata and other refused targets, as they appear in the host of a URL.
ODD_FORMS = [
    # decimal, octal, hexadecimal, short, mixed
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.1",
    "127.0.1",
    "127.0.0.01",
    "0x7f.1",
    "127.0.0.0x1",
    "00000127.0.0.1",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0xA9.0xFE.0xA9.0xFE",
    "0",
    "0x0",
    "00",
    "1",
    "4294967295",
    "256.256.256.256",
    "1.2.3.4.5",
    "0x",
    # dots where none belong
    "127.0.0.1.",
    "127.0.0.1..",
    ".127.0.0.1",
    "169.254.169.254.",
    # signs of other scripts that some readers fold to ASCII
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "ｌｏｃａｌｈｏｓｔ",
    "١٢٧.٠.٠.١",
    # zones, brackets, userinfo, ports, paths, blanks and control characters inside a host
    "fe80::1%eth0",
    "fe80::1%25eth0",
    "::1%lo",
    "fd00::1%1",
    "fe80::1%",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "127.0.0.1:80",
    "user@127.0.0.1",
    "127.0.0.1/x",
    "127.0.0.1?",
    "127.0.0.1#",
    "127.0.0.1\\",
    " 127.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1\n",
    "127.0.0.1\x00",
    "example.com\x00.evil",
    "exa mple.com",
    "",
    ".",
    "..",
    "-a.example",
    "a-.example",
    "a..b",
    "a" * 64 + ".example",
    "a." * 130 + "a",
    "münchen.example",
    # malformed IPv6
    ":::1",
    "::ffff:0x7f.1",
    "1::2::3",
    "::127.0.0.256",
]

REFUSED_LITERALS = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "0:0:0:0:0:0:0:1",
    "0000::0001",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fec0::1",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "2001:db8::1",
    "3fff::1",
    # IPv4 inside IPv6: mapped, compatible, NAT64, local NAT64, 6to4, Teredo
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:7f00:0001",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "::7f00:1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001::7f00:1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "100::1",
    "1::1",
]

PERMITTED = [
    "8.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "2606:4700::1111",
    "fd12:3456::1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::a00:1",
    "::ffff:10.0.0.1",
]


def resolver_of(*answers: Sequence[str]) -> guard_module.Resolver:
    """A DNS whose answers come in turn, the last for ever."""
    left = list(answers)

    def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def never(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{host} was looked up")


@pytest.mark.parametrize("host", ODD_FORMS)
def test_sec60_an_odd_form_of_a_host_is_refused_without_a_look_up(host: str) -> None:
    everything = AddressGuard(allow=["0.0.0.0/0", "::/0"], resolver=never)
    with pytest.raises(AddressRefused):
        everything.resolve(host, 443)
    assert not everything.permits(host, 443)


@pytest.mark.parametrize("address", REFUSED_LITERALS)
def test_sec57_special_addresses_are_refused(address: str) -> None:
    guard = AddressGuard(resolver=never)
    assert not guard.permits(address, 443)
    with pytest.raises(AddressRefused, match="not allowed"):
        guard.resolve(address, 443)


@pytest.mark.parametrize("address", REFUSED_LITERALS)
def test_sec57_a_name_for_a_special_address_is_refused(address: str) -> None:
    guard = AddressGuard(resolver=resolver_of([address]))
    with pytest.raises(AddressRefused) as caught:
        guard.resolve("innocent.example", 443)
    assert address not in caught.value.message


def test_sec60_there_are_many_forms() -> None:
    assert len(set(ODD_FORMS + REFUSED_LITERALS)) >= 100


@pytest.mark.parametrize("address", PERMITTED)
def test_global_and_private_addresses_are_permitted(address: str) -> None:
    assert AddressGuard().permits(address, 6443)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST"])
def test_sec57_localhost_is_refused_by_what_it_resolves_to(host: str) -> None:
    with pytest.raises(AddressRefused, match="loopback"):
        AddressGuard().resolve(host, 443)


def test_sec60_a_mapped_address_is_connected_to_as_ipv4() -> None:
    assert AddressGuard(resolver=never).resolve("::ffff:10.0.0.1", 443) == ["10.0.0.1"]
    assert AddressGuard(resolver=resolver_of(["::ffff:10.0.0.1"])).resolve("a.example", 443) == ["10.0.0.1"]


def test_sec60_a_second_answer_of_the_dns_is_judged_anew() -> None:
    guard = AddressGuard(resolver=resolver_of(["10.0.0.1"], ["127.0.0.1"]))
    assert guard.resolve("rebind.example", 443) == ["10.0.0.1"]
    with pytest.raises(AddressRefused):
        guard.resolve("rebind.example", 443)


def test_sec60_of_a_mixed_answer_only_the_permitted_addresses_are_left() -> None:
    guard = AddressGuard(resolver=resolver_of(["127.0.0.1", "10.0.0.1", "fe80::1%eth0", "garbage", "fd12::1"]))
    assert guard.resolve("mixed.example", 443) == ["10.0.0.1", "fd12::1"]


async def test_sec57_the_asynchronous_way_decides_the_same() -> None:
    guard = AddressGuard(resolver=resolver_of(["10.0.0.1"], ["127.0.0.1"]))
    assert await guard.resolve_async("rebind.example", 443) == ["10.0.0.1"]
    with pytest.raises(AddressRefused):
        await guard.resolve_async("rebind.example", 443)
    with pytest.raises(AddressRefused):
        await guard.resolve_async("127.0.0.1", 443)
    assert await guard.resolve_async("10.9.8.7", 443) == ["10.9.8.7"]


def test_an_entry_allows_one_port_or_all() -> None:
    guard = AddressGuard(allow=["127.0.0.1:6443", "[::1]:6443", "169.254.0.0/16", "[fe80::/64]:1"])
    assert guard.permits("127.0.0.1", 6443)
    assert not guard.permits("127.0.0.1", 5432)
    assert not guard.permits("127.0.0.2", 6443)
    assert guard.permits("::1", 6443)
    assert not guard.permits("::1", 443)
    assert guard.permits("169.254.9.9", 1)
    assert guard.permits("fe80::9", 1)
    assert guard.permits("::ffff:127.0.0.1", 6443), "the kernel connects to 127.0.0.1"


def test_deny_wins_over_allow_and_over_the_default() -> None:
    guard = AddressGuard(allow=["10.0.0.0/8"], deny=["10.0.0.5:5432", "192.168.0.0/16"])
    assert not guard.permits("10.0.0.5", 5432)
    assert guard.permits("10.0.0.5", 6443)
    assert not guard.permits("192.168.3.4", 443)
    assert not guard.permits("::ffff:10.0.0.5", 5432)
    assert not guard.permits("64:ff9b::a00:5", 5432), "NAT64 leads to 10.0.0.5 too"


@pytest.mark.parametrize(
    "entry",
    ["", "nonsense", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:0", "10.0.0.1:99999", "10.0.0.1:x", "[::1]:", "a:b"],
)
def test_a_malformed_entry_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError):
        AddressGuard(allow=[entry])


def test_an_unknown_name_is_unavailable_and_not_refused() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    for resolver in (unknown, resolver_of([])):
        with pytest.raises(Unavailable, match="not known"):
            AddressGuard(resolver=resolver).resolve("nowhere.example", 443)


def test_flt18_a_resolver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "LOOKUP_SECONDS", 0.05)
    release = threading.Event()

    def hang(host: str, port: int) -> Sequence[str]:
        release.wait(30)
        return ["10.0.0.1"]

    try:
        with pytest.raises(Unavailable, match="not resolved"):
            AddressGuard(resolver=hang).resolve("slow.example", 443)
    finally:
        release.set()


@given(st.integers(0, 2**32 - 1))
def test_sec60_an_ipv6_form_is_never_more_permitted_than_its_ipv4_address(number: int) -> None:
    guard = AddressGuard()
    plain = guard.permits(str(IPv4Address(number)), 443)
    assert guard.permits(str(IPv6Address(0xFFFF << 32 | number)), 443) == plain
    assert guard.permits(str(IPv6Address(0x64FF9B << 96 | number)), 443) == plain
    assert not guard.permits(str(IPv6Address(number)), 443)
    assert not guard.permits(str(IPv6Address(0x2002 << 112 | number << 80)), 443)


@given(st.integers(0, 2**32 - 1))
def test_sec60_numbers_are_refused_in_every_base(number: int) -> None:
    guard = AddressGuard(allow=["0.0.0.0/0"], resolver=never)
    for host in (str(number), hex(number), f"0{number:o}"):
        with pytest.raises(AddressRefused):
            guard.resolve(host, 443)


@given(st.text(max_size=40))
def test_any_text_is_an_answer_of_the_guard_or_a_refusal(host: str) -> None:
    guard = AddressGuard(resolver=resolver_of(["127.0.0.1"]))
    assert not (guard.permits(host, 443) and host.startswith("127."))
    try:
        resolved = guard.resolve(host, 443)
    except AddressRefused:
        return
    assert all(guard.permits(address, 443) for address in resolved)
