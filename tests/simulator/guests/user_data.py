"""Cloud-init of K3s and RKE2 nodes, written by hand after the contract (guest-bootstrap §3, §4, §7)."""

import json
from typing import Any

import yaml

from simulator.guests.machines import BootOrder
from simulator.guests.pki import Authority, make_authority
from simulator.guests.tokens import ca_bundle_hash

K3S_VERSION = "v1.35.1+k3s1"
RKE2_VERSION = "v1.35.7+rke2r1"
SERVER_PASSWORD = "server-password-of-the-test"
AGENT_PASSWORD = "agent-password-of-the-test"


class ClusterPlan:
    """One guest cluster to be: its authorities, tokens, and the user data of each of its machines."""

    def __init__(self, distribution: str, name: str = "c1") -> None:
        self.distribution = distribution
        self.name = name
        self.version = K3S_VERSION if distribution == "k3s" else RKE2_VERSION
        self.join_port = 6443 if distribution == "k3s" else 9345
        self.server_ca = make_authority("server-ca")
        self.client_ca = make_authority("client-ca")
        ca_hash = ca_bundle_hash(self.server_ca.cert_pem.encode())
        self.server_token = f"K10{ca_hash}::server:{SERVER_PASSWORD}"
        self.agent_token = f"K10{ca_hash}::node:{AGENT_PASSWORD}"

    def first_server(self, name: str, **config: Any) -> BootOrder:
        first = {"cluster-init": True} if self.distribution == "k3s" else {}
        return self.server(name, None, authorities=True, **{**first, **config})

    def server(self, name: str, join: str | None, *, authorities: bool = False, **config: Any) -> BootOrder:
        values = {"token": self.server_token, "agent-token": AGENT_PASSWORD, "node-name": name, **config}
        if join:
            values["server"] = f"https://{join}:{self.join_port}"
        files = self._authority_files() if authorities else []
        return self.order(name, "server", values, files)

    def agent(self, name: str, join: str, **config: Any) -> BootOrder:
        values = {
            "server": f"https://{join}:{self.join_port}",
            "token": self.agent_token,
            "node-name": name,
            **config,
        }
        return self.order(name, "agent", values, [])

    def order(self, name: str, role: str, config: dict[str, Any], files: list[dict[str, Any]]) -> BootOrder:
        env = f"PADDOCK_ROLE={role}\nPADDOCK_DISTRIBUTION={self.distribution}\nPADDOCK_VERSION={self.version}\n"
        written = [
            {
                "path": f"/etc/rancher/{self.distribution}/config.yaml.d/50-paddock.yaml",
                "permissions": "0600",
                "content": json.dumps(config),
            },
            {"path": "/etc/paddock/install.env", "permissions": "0600", "content": env},
            {"path": "/usr/local/lib/paddock/install.sh", "permissions": "0755", "content": "#!/bin/sh\n"},
            *files,
        ]
        document = {
            "hostname": name,
            "packages": ["qemu-guest-agent"],
            "write_files": written,
            "runcmd": [
                ["systemctl", "enable", "--now", "qemu-guest-agent"],
                ["sh", "/usr/local/lib/paddock/install.sh"],
            ],
        }
        text = "#cloud-config\n" + yaml.safe_dump(document)
        return BootOrder("default", name, f"disk-of-{name}", name, text, cpus="2", memory="4Gi")

    def _authority_files(self) -> list[dict[str, Any]]:
        folder = f"/var/lib/rancher/{self.distribution}/server/tls"
        return [
            {"path": f"{folder}/{name}.{ending}", "permissions": "0600", "content": text}
            for name, authority in (("server-ca", self.server_ca), ("client-ca", self.client_ca))
            for ending, text in (("crt", authority.cert_pem), ("key", authority.key_pem))
        ]


def authority_order(plan: ClusterPlan, name: str, server_ca: Authority) -> BootOrder:
    """A first server whose server CA files are these."""
    plan.server_ca = server_ca
    return plan.first_server(name)
