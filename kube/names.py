"""Kubernetes' rules for names and labels, and the ways to make names that follow them.

The rules are those of apimachinery's validation package (DNS-1123 labels and subdomains, qualified names, label
values). ``is_`` answers, ``check_`` returns the value or raises ValueError with a text that says what to do.
"""

from __future__ import annotations

import hashlib
import re
import secrets

LABEL_LIMIT = 63
SUBDOMAIN_LIMIT = 253

RANDOM_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes, so that no word and no misreading comes out; the alphabet Kubernetes uses too."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)


def is_dns_label(value: str) -> bool:
    """DNS-1123: names of namespaces, host names."""
    return len(value) <= LABEL_LIMIT and _DNS_LABEL.fullmatch(value) is not None


def is_dns_subdomain(value: str) -> bool:
    """DNS-1123, names of most objects: labels of any length joined by dots, for Kubernetes limits only the whole."""
    return len(value) <= SUBDOMAIN_LIMIT and all(_DNS_LABEL.fullmatch(part) for part in value.split("."))


def is_label_key(value: str) -> bool:
    """``name`` or ``dns.prefix/name``."""
    prefix, slash, name = value.rpartition("/")
    if slash and not is_dns_subdomain(prefix):
        return False
    return len(name) <= LABEL_LIMIT and _QUALIFIED.fullmatch(name) is not None


def is_label_value(value: str) -> bool:
    """May be empty."""
    return value == "" or (len(value) <= LABEL_LIMIT and _QUALIFIED.fullmatch(value) is not None)


def check_dns_label(value: str) -> str:
    if not is_dns_label(value):
        raise ValueError(
            f"Use at most {LABEL_LIMIT} lower-case letters, digits and '-', with a letter or digit at both ends"
        )
    return value


def check_dns_subdomain(value: str) -> str:
    if not is_dns_subdomain(value):
        raise ValueError(
            f"Use at most {SUBDOMAIN_LIMIT} lower-case letters, digits, '-' and '.', "
            "with a letter or digit at both ends and beside every dot"
        )
    return value


def check_label_key(value: str) -> str:
    if not is_label_key(value):
        raise ValueError(
            f"Use a name of at most {LABEL_LIMIT} letters, digits, '-', '_' and '.', with a letter or digit at both "
            "ends; before it a DNS domain and '/' may stand"
        )
    return value


def check_label_value(value: str) -> str:
    if not is_label_value(value):
        raise ValueError(
            f"Leave it empty or use at most {LABEL_LIMIT} letters, digits, '-', '_' and '.', "
            "with a letter or digit at both ends"
        )
    return value


def shorten_with_hash(name: str, limit: int = LABEL_LIMIT) -> str:
    """``name`` itself when it fits, else its start and eight hex digits of its SHA-256: the same for the same name."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    if limit <= len(digest):
        raise ValueError(f"A limit of {limit} leaves no room for the hash")
    start = name[: limit - len(digest) - 1].rstrip("-.")
    return f"{start}-{digest}" if start else digest


def random_suffix(length: int = 5) -> str:
    """A random ending for a name; five characters are one of 14 million."""
    return "".join(secrets.choice(RANDOM_ALPHABET) for _ in range(length))
