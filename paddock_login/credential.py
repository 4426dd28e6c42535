"""kubectl's side: what it tells a credential plugin, and the ``ExecCredential`` that it is told back.

``client.authentication.k8s.io/v1``, see "client-go credential plugins" in Kubernetes' documentation.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from .hub_client import LoginError, parse_hub_url
from .store import Token

API_VERSION = "client.authentication.k8s.io/v1"
CLUSTERS_PATH = "/k8s/clusters/"


@dataclass(frozen=True)
class ExecInfo:
    """What ``KUBERNETES_EXEC_INFO`` says: the hub of the cluster that is asked for, its CA, and whether somebody is there."""

    hub: str | None = None
    ca_pem: str | None = None
    interactive: bool = False


def read_exec_info() -> ExecInfo:
    """From the environment; started by hand, somebody is there when the terminal is. Raises LoginError."""
    text = os.environ.get("KUBERNETES_EXEC_INFO")
    if not text:
        return ExecInfo(interactive=sys.stdin is not None and sys.stdin.isatty())
    try:
        spec: dict[str, Any] = json.loads(text)["spec"]
        cluster: dict[str, Any] = spec.get("cluster") or {}
        server, encoded = str(cluster.get("server") or ""), str(cluster.get("certificate-authority-data") or "")
        ca_pem = base64.b64decode(encoded, validate=True).decode() if encoded else None
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise LoginError("KUBERNETES_EXEC_INFO is not what kubectl tells a plugin") from None
    head, found, _ = server.partition(CLUSTERS_PATH)
    return ExecInfo(parse_hub_url(head) if found else None, ca_pem, spec.get("interactive") is True)


def render_credential(token: Token) -> str:
    """The ``ExecCredential`` that kubectl reads; it asks again once the token has ended."""
    status = {"token": token.token, "expirationTimestamp": f"{token.expires_at[:19]}Z"}
    return json.dumps({"apiVersion": API_VERSION, "kind": "ExecCredential", "status": status})
