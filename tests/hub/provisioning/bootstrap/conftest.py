"""A guest cluster's authorities, made once (they take a moment), and nodes of it to vary."""

from collections.abc import Callable
from typing import Any

import pytest

from hub.provisioning.bootstrap.model import NodeBootstrap
from hub.provisioning.bootstrap.pki import GuestPki
from hub.provisioning.bootstrap.releases import get_release, load_releases

SERVER_TOKEN = "5e6c8f0a1b2d3c4e" * 4
AGENT_TOKEN = "a0b1c2d3e4f56789" * 4
VERSIONS = {"k3s": "v1.35.5+k3s1", "rke2": "v1.35.7+rke2r1"}

BuildNode = Callable[..., NodeBootstrap]


@pytest.fixture(scope="session")
def pki() -> GuestPki:
    return GuestPki.generate("shop")


@pytest.fixture(scope="session")
def build_node(pki: GuestPki) -> BuildNode:
    """A node of cluster `shop`: the first server, a joining `server` or an `agent`, with any field changed."""

    def build(kind: str = "agent", distribution: str = "k3s", **changes: Any) -> NodeBootstrap:
        first = kind == "first"
        fields: dict[str, Any] = {
            "release": get_release(load_releases(), distribution, VERSIONS[distribution]),
            "cluster_name": "shop",
            "node_name": f"shop-{kind}-0",
            "role": "agent" if kind == "agent" else "server",
            "first": first,
            "join_address": None if first else "10.0.0.5",
            "server_token": SERVER_TOKEN,
            "agent_token": AGENT_TOKEN,
            "server_ca_pem": pki.server_ca.cert_pem,
            "pki": pki if first else None,
        }
        return NodeBootstrap(**{**fields, **changes})

    return build
