"""Kubeconfig text with embedded data, as an administrator of a cluster would hand it out."""

from __future__ import annotations

import base64

import yaml

from tests.bed.pki import KeyPair


def render_kubeconfig(name: str, server: str, ca_pem: str, client: KeyPair) -> str:
    """One cluster, one user with a client certificate, one context, all called ``name``."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _encode(ca_pem)}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _encode(client.certificate_pem),
                    "client-key-data": _encode(client.key_pem),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _encode(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
