"""Join tokens of K3s and RKE2: how they are made, and the form that pins the cluster's CA.

Source: contracts of both distributions, "Secure form `K10{sha256 of the CA bundle}::{user}:{password}`". A node given
this form checks the server's CA before it sends its password; the short form trusts whoever answers.
"""

from __future__ import annotations

import secrets

TOKEN_BYTES = 32


def generate_token() -> str:
    """A fresh token of 256 bits, as 64 hexadecimal digits. Each cluster gets its own server token and agent token."""
    return secrets.token_hex(TOKEN_BYTES)


def server_token(ca_hash: str, password: str) -> str:
    """What a server presents: it may fetch the cluster's CA keys with it, so agents never see it."""
    return f"K10{ca_hash}::server:{password}"


def agent_token(ca_hash: str, password: str) -> str:
    """What an agent presents: it can join as a worker with it and no more."""
    return f"K10{ca_hash}::node:{password}"
