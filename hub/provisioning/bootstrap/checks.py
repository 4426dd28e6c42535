"""The checks that the bootstrap model is built from, each refusing with a field pointer.

They know text, addresses and keys, and nothing of clusters or distributions. Kubernetes' own naming rules are
`kube.names`'.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import struct
import unicodedata
from collections.abc import Iterable
from typing import TypeAlias

from kube import names

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Control, surrogate, private use and unassigned code points, and the two separators that YAML takes for line breaks.
# YAML parsers disagree about them (PyYAML folds U+0085, Go's yaml refuses escaped surrogates), and no name needs them.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_BYTE_ORDER_MARK = "\ufeff"

_SSH_KEY_TYPE = re.compile(r"(?:sk-)?(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521))(?:@openssh\.com)?")
_TOKEN = re.compile(r"[a-z0-9]{32,128}")
_TOKEN_DISTINCT = 8


class BootstrapInvalid(ValueError):
    """A value the bootstrap refuses.

    `pointer` is a JSON pointer into the model ("/network/cluster_cidrs/0"), `code` a stable word for programs, the
    message a sentence for people that never repeats a secret.
    """

    def __init__(self, pointer: str, code: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.code = code
        self.message = message


def check_text(value: str, pointer: str, *, maximum: int = 1024, ascii_only: bool = False) -> None:
    """One line of 1..`maximum` printable characters: what can stand in JSON, YAML and a shell's environment alike."""
    if not isinstance(value, str) or not value:
        raise BootstrapInvalid(pointer, "required", "a text that is not empty is wanted")
    if len(value) > maximum:
        raise BootstrapInvalid(pointer, "too_long", f"{len(value)} characters, at most {maximum} are taken")
    if any(unicodedata.category(char) in _REFUSED_CATEGORIES or char == _BYTE_ORDER_MARK for char in value):
        raise BootstrapInvalid(pointer, "format", "line breaks and control characters are not taken")
    if ascii_only and not value.isascii():
        raise BootstrapInvalid(pointer, "format", "only ASCII characters are taken")


def check_node_name(value: str, pointer: str) -> None:
    """A DNS label: it is host name, node name and the name of the node's password Secret at once."""
    if not isinstance(value, str) or not names.is_dns_label(value):
        raise BootstrapInvalid(
            pointer, "format", "a node name has 1 to 63 small letters, digits and '-', first and last no '-'"
        )


def parse_address(value: str, pointer: str) -> IPAddress:
    """An IP address without zone; raises BootstrapInvalid."""
    try:
        if "%" in value:
            raise ValueError
        return ipaddress.ip_address(value)
    except (ValueError, TypeError) as error:
        raise BootstrapInvalid(pointer, "format", "an IP address is wanted") from error


def parse_network(value: str, pointer: str) -> IPNetwork:
    """A CIDR whose host bits are zero; raises BootstrapInvalid."""
    try:
        if "/" not in value:
            raise ValueError
        return ipaddress.ip_network(value)
    except (ValueError, TypeError) as error:
        raise BootstrapInvalid(pointer, "format", "a network like 10.42.0.0/16 is wanted, host bits zero") from error


def check_host(value: str, pointer: str) -> None:
    """An IP address or a DNS name, as stands in a URL or in a certificate."""
    if not isinstance(value, str) or not value:
        raise BootstrapInvalid(pointer, "required", "an IP address or a DNS name is wanted")
    try:
        parse_address(value, pointer)
    except BootstrapInvalid:
        if not names.is_dns_subdomain(value) or re.fullmatch(r"[0-9.]+", value):
            raise BootstrapInvalid(pointer, "format", "an IP address or a DNS name is wanted") from None


def check_no_overlap(networks: Iterable[tuple[str, IPNetwork]]) -> None:
    """Refuse two (pointer, network) pairs that share an address: pods or services would then be unreachable."""
    seen: list[tuple[str, IPNetwork]] = []
    for pointer, network in networks:
        for other_pointer, other in seen:
            if network.version == other.version and network.overlaps(other):
                raise BootstrapInvalid(pointer, "overlap", f"{network} overlaps {other} of {other_pointer}")
        seen.append((pointer, network))


def check_unique(values: Iterable[str], pointer: str) -> None:
    """Refuse a value that stands twice in a list."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise BootstrapInvalid(f"{pointer}/{index}", "duplicate", "stands in this list already")
        seen.add(value)


def check_token(value: str, pointer: str) -> None:
    """A token as `tokens.generate_token` makes it, or at least as strong: 32 to 128 small letters and digits.

    Small letters only, so that no password is ever read as the pinned form ("K10...") or as a bootstrap token ("a.b").
    The message says nothing of the value.
    """
    if not isinstance(value, str) or not value:
        raise BootstrapInvalid(pointer, "required", "a token is never empty")
    if not _TOKEN.fullmatch(value) or len(set(value)) < _TOKEN_DISTINCT:
        raise BootstrapInvalid(
            pointer, "weak", "a token has 32 to 128 random small letters and digits (128 bits and more)"
        )


def check_ssh_key(value: str, pointer: str) -> None:
    """A public key line of OpenSSH: type, base64 of that very type, an optional comment; no options before it."""
    check_text(value, pointer, maximum=8192)
    parts = value.split(" ", 2)
    if len(parts) < 2 or not _SSH_KEY_TYPE.fullmatch(parts[0]):
        raise BootstrapInvalid(pointer, "format", "an OpenSSH public key is wanted: type, key, comment")
    try:
        blob = base64.b64decode(parts[1], validate=True)
        (length,) = struct.unpack_from(">I", blob)
    except (binascii.Error, ValueError, struct.error) as error:
        raise BootstrapInvalid(pointer, "format", "the key is not base64 of an OpenSSH key") from error
    if blob[4 : 4 + length] != parts[0].encode():
        raise BootstrapInvalid(pointer, "format", f"the key is not of the type {parts[0]} it names")
