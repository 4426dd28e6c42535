"""The address guard: which addresses this process may connect to on somebody's word (SEC-57, SEC-60).

Every address that a user, a kubeconfig or a member cluster names passes here before a connection is made. A name is
resolved once and the caller connects to the address that came back, so that a second, different answer of the DNS
has no effect. Global and private (RFC 1918, ULA) addresses are fine unless denied; everything else (loopback,
link-local, cloud metadata, multicast, reserved, translation forms of those) needs an entry in ``allow``.
It opens no connection itself.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from kube.errors import AddressRefused, Unavailable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""Name and port to addresses; raises OSError. Called in a thread of its own."""

LOOKUP_SECONDS = 5.0

# Written out, because what `ipaddress` calls private or global has changed between Python releases.
_REFUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("unspecified", ("0.0.0.0/8", "::/128")),
    ("loopback", ("127.0.0.0/8", "::1/128")),
    (
        "cloud metadata",
        (
            "169.254.169.254/32",
            "168.63.129.16/32",  # Azure's wire server
            "100.100.100.200/32",  # Alibaba Cloud
            "192.0.0.192/32",  # Oracle Cloud
            "fd00:ec2::/32",  # AWS
            "fd20:ce::254/128",  # Google Cloud
            "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
            "fd00:42::42/128",  # Scaleway
        ),
    ),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("broadcast", ("255.255.255.255/32",)),
    (
        "reserved",
        (
            "100.64.0.0/10",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "2001::/23",  # protocol assignments, Teredo and ORCHID among them
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    ),
)
_REFUSED_NETWORKS = tuple((reason, ip_network(network)) for reason, networks in _REFUSED for network in networks)
_IPV6_OPEN = (IPv6Network("2000::/3"), IPv6Network("fc00::/7"))
_NAT64 = IPv6Network("64:ff9b::/96")

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?(\d+|0[xX][0-9A-Fa-f]*)\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Entry:
    network: Network
    port: int | None

    @classmethod
    def parse(cls, text: str) -> _Entry:
        """ "10.0.0.0/8", "127.0.0.1:6443", "fd00::/8", "[::1]:6443"; raises ValueError."""
        bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?", text)
        if bracketed:
            network, port = bracketed.groups()
        elif text.count(":") == 1:
            network, port = text.split(":")
        else:
            network, port = text, None
        if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
        return cls(ip_network(network), int(port) if port else None)

    def covers(self, address: Address, port: int) -> bool:
        return address in self.network and self.port in (None, port)


def system_resolver(host: str, port: int) -> list[str]:
    """What the operating system knows about a name, in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class AddressGuard:
    """Decides over addresses; immutable and thread-safe.

    ``allow`` and ``deny`` take addresses or networks, each with an optional port: "10.0.0.0/8", "127.0.0.1:6443",
    "[::1]:6443". ``deny`` wins over ``allow``, which wins over the default. Raises ValueError for another form.
    """

    def __init__(
        self, allow: Iterable[str] = (), deny: Iterable[str] = (), *, resolver: Resolver = system_resolver
    ) -> None:
        self._allow = tuple(_Entry.parse(entry) for entry in allow)
        self._deny = tuple(_Entry.parse(entry) for entry in deny)
        self._resolver = resolver

    def permits(self, address: str, port: int) -> bool:
        """Whether a connection to this address literal is fine. What is no plain literal is not."""
        parsed = _parse_literal(address)
        return parsed is not None and self._refusal(parsed, port) is None

    def resolve(self, host: str, port: int) -> list[str]:
        """The permitted addresses of a host, in order of preference; the caller connects to these and not to ``host``.

        Raises AddressRefused when there is none or the host is no plain name or address, Unavailable when the name
        is not known (now).
        """
        literal = host_literal(host)
        if literal is not None:
            reason = self._refusal(literal, port)
            if reason is not None:
                raise AddressRefused(f"The address {host} port {port} is not allowed: {reason}")
            return [str(_unmapped(literal))]
        return self._permitted(host, port, self._look_up(host, port))

    async def resolve_async(self, host: str, port: int) -> list[str]:
        """As ``resolve``, without blocking the event loop."""
        if host_literal(host) is not None:
            return self.resolve(host, port)
        return await asyncio.to_thread(self.resolve, host, port)

    def _permitted(self, host: str, port: int, found: Sequence[str]) -> list[str]:
        permitted: list[str] = []
        reasons: set[str] = set()
        for text in found:
            address = _parse_literal(text)
            reason = "not a plain address" if address is None else self._refusal(address, port)
            if address is None or reason is not None:
                reasons.add(reason or "")
            else:
                permitted.append(str(_unmapped(address)))
        if not permitted:
            # The addresses themselves stay out: the inner DNS is nobody's business.
            raise AddressRefused(f"{host} port {port} is not allowed: {', '.join(sorted(reasons)) or 'no address'}")
        return permitted

    def _refusal(self, address: Address, port: int) -> str | None:
        """Why not, or None when it is fine."""
        address = _unmapped(address)
        if any(entry.covers(address, port) for entry in self._deny):
            return "denied by configuration"
        if any(entry.covers(address, port) for entry in self._allow):
            return None
        if isinstance(address, IPv6Address) and address in _NAT64:
            return self._refusal(IPv4Address(int(address) & 0xFFFFFFFF), port)
        for reason, network in _REFUSED_NETWORKS:
            if address in network:
                return reason
        if isinstance(address, IPv6Address) and not any(address in network for network in _IPV6_OPEN):
            return "reserved"
        return None

    def _look_up(self, host: str, port: int) -> Sequence[str]:
        """The resolver's answer, or Unavailable. getaddrinfo has no timeout, hence the thread that may be left."""
        answer: list[Sequence[str]] = []

        def look_up() -> None:
            try:
                answer.append(self._resolver(host, port))
            except (OSError, UnicodeError):
                answer.append(())

        thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
        thread.start()
        thread.join(LOOKUP_SECONDS)
        if not answer:
            raise Unavailable(f"The name {host} was not resolved within {LOOKUP_SECONDS:g} s")
        if not answer[0]:
            raise Unavailable(f"The name {host} is not known to the DNS")
        return answer[0]


def host_literal(host: str) -> Address | None:
    """The address that ``host`` is, None when it is a name; AddressRefused when it is neither or an odd form.

    The C library takes "2130706433", "0x7f.1" or "0177.0.0.1" for addresses. What follows such a form here could be
    read differently elsewhere, so only the plain one is taken.
    """
    literal = _parse_literal(host)
    if literal is not None:
        return literal
    if len(host) > 253 or not _HOST_NAME.fullmatch(host) or _ENDS_IN_NUMBER.fullmatch(host):
        raise AddressRefused(f"{host[:80]!r} is not a plain host name or address")
    return None


def _parse_literal(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A zone names an interface of this machine, which no user has business with.
    return None if isinstance(address, IPv6Address) and address.scope_id is not None else address


def _unmapped(address: Address) -> Address:
    """The IPv4 address for its mapped IPv6 form, which the kernel connects to as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address
