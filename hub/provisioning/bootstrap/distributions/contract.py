"""What a distribution promises the bootstrap, and what K3s and RKE2 have in common.

Both are one binary that runs as `server` or `agent` and reads one YAML file whose keys are its long flag names. A key
that is none of its flags is skipped with a warning, so a misspelled one would be silent: here only known keys pass.
"""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from hub.provisioning.bootstrap.checks import BootstrapInvalid, check_text
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.tokens import agent_token, server_token

if TYPE_CHECKING:
    from hub.provisioning.bootstrap.model import NodeBootstrap
    from hub.provisioning.bootstrap.network import ClusterNetwork

OptionValue: TypeAlias = str | bool | int | Sequence[str]

# Components whose flags can be given, and whether agents run them.
COMPONENTS: Mapping[str, bool] = {
    "etcd": False,
    "kube-apiserver": False,
    "kube-controller-manager": False,
    "kube-scheduler": False,
    "kube-cloud-controller-manager": False,
    "kube-proxy": True,
    "kubelet": True,
}

# Options a tenant may set, by where they have a meaning. What the hub itself decides (token, server, node-name,
# addresses, the datastore, data-dir, join order) is in neither and so refused.
AGENT_OPTIONS = frozenset({
    "airgap-extra-registry", "bind-address", "debug", "disable-default-registry-endpoint", "node-external-dns",
    "node-external-ip", "node-internal-dns", "protect-kernel-defaults", "resolv-conf", "selinux", "snapshotter",
})  # fmt: skip
SERVER_OPTIONS = AGENT_OPTIONS | {
    "advertise-address", "disable", "disable-cloud-controller", "disable-kube-proxy", "egress-selector-mode",
    "embedded-registry", "enable-pprof", "etcd-disable-snapshots", "etcd-expose-metrics", "etcd-s3",
    "etcd-s3-bucket", "etcd-s3-bucket-lookup-type", "etcd-s3-config-secret", "etcd-s3-endpoint",
    "etcd-s3-endpoint-ca", "etcd-s3-folder", "etcd-s3-insecure", "etcd-s3-proxy", "etcd-s3-region",
    "etcd-s3-retention", "etcd-s3-skip-ssl-verify", "etcd-s3-timeout",
    "etcd-snapshot-compress", "etcd-snapshot-name", "etcd-snapshot-reconcile-interval", "etcd-snapshot-retention",
    "etcd-snapshot-schedule-cron", "helm-job-image", "secrets-encryption-provider", "service-node-port-range",
    "supervisor-metrics", "system-default-registry", "tls-san-security",
}  # fmt: skip

_ARGUMENT = re.compile(r"[a-z][A-Za-z0-9.-]{0,127}(?:=.*)?")


class Distribution(ABC):
    """A distribution's ports, paths and keys, and the files that make a machine one of its nodes. Holds no state."""

    name: ClassVar[str]
    supervisor_port: ClassVar[int]
    server_unit: ClassVar[str]
    agent_unit: ClassVar[str]
    own_agent_options: ClassVar[frozenset[str]]
    own_server_options: ClassVar[frozenset[str]]

    @abstractmethod
    def check_cni(self, cni: Sequence[str], pointer: str) -> None:
        """Raises BootstrapInvalid for a network plugin the distribution does not bring."""

    @abstractmethod
    def network_config(self, network: ClusterNetwork) -> dict[str, object]:
        """The server's keys for the network plugin."""

    @abstractmethod
    def founding_config(self) -> dict[str, object]:
        """The keys that only the first server of a cluster has."""

    def default_options(self) -> dict[str, OptionValue]:
        """What the hub sets on servers unless the tenant says otherwise."""
        return {"write-kubeconfig-mode": "0600"}

    @property
    def config_folder(self) -> str:
        """Where the distribution looks for config.yaml.d and registries.yaml."""
        return f"/etc/rancher/{self.name}"

    @property
    def config_path(self) -> str:
        """The one configuration file the hub writes; files of this folder are read after config.yaml and win."""
        return f"{self.config_folder}/config.yaml.d/50-paddock.yaml"

    @property
    def tls_folder(self) -> str:
        """Where ready-made certificate authorities must lie before the first start."""
        return f"/var/lib/rancher/{self.name}/server/tls"

    def unit(self, role: str) -> str:
        """The systemd unit that runs the role ("server" or "agent")."""
        return self.server_unit if role == "server" else self.agent_unit

    def server_url(self, host: str) -> str:
        """Where nodes join: the supervisor of a server, by IP address or DNS name."""
        return f"https://{_bracketed(host)}:{self.supervisor_port}"

    def check_options(self, options: Mapping[str, OptionValue], pointer: str) -> None:
        """Refuse keys this distribution does not have or that are the hub's; raises BootstrapInvalid."""
        known = SERVER_OPTIONS | self.own_server_options | self.own_agent_options
        for key, value in options.items():
            if key not in known:
                shown = re.sub(r"[^A-Za-z0-9_.-]", "?", str(key))[:64]
                raise BootstrapInvalid(pointer, "unknown", f"{shown} is no option of {self.name} that can be set here")
            _check_option(value, f"{pointer}/{key}")

    def check_component_args(self, component_args: Mapping[str, Sequence[str]], pointer: str) -> None:
        """Refuse unknown components and arguments that are not `flag=value`; raises BootstrapInvalid."""
        for component, arguments in component_args.items():
            if component not in COMPONENTS:
                raise BootstrapInvalid(pointer, "unknown", f"components are {', '.join(COMPONENTS)}")
            for index, argument in enumerate(arguments):
                place = f"{pointer}/{component}/{index}"
                check_text(argument, place, maximum=2048, ascii_only=True)
                if not _ARGUMENT.fullmatch(argument):
                    raise BootstrapInvalid(place, "format", "flag=value without leading dashes is wanted")

    def config(self, node: NodeBootstrap) -> dict[str, object]:
        """The node's configuration, in the distribution's own keys."""
        return self._server_config(node) if node.role == "server" else self._agent_config(node)

    def files(self, node: NodeBootstrap) -> list[NodeFile]:
        """Every file of the distribution's on this node: configuration, registries, and on the first server the CAs."""
        files = [NodeFile.of_json(self.config_path, self.config(node))]
        if node.registries is not None:
            files += node.registries.files(self.config_folder)
        return files + self._authority_files(node)

    def _authority_files(self, node: NodeBootstrap) -> list[NodeFile]:
        if node.pki is None:
            return []
        places = {
            "server-ca": node.pki.server_ca,
            "client-ca": node.pki.client_ca,
            "request-header-ca": node.pki.request_header_ca,
            "etcd/server-ca": node.pki.etcd_server_ca,
            "etcd/peer-ca": node.pki.etcd_peer_ca,
        }
        files: list[NodeFile] = []
        for place, authority in places.items():
            files.append(NodeFile(f"{self.tls_folder}/{place}.crt", authority.cert_pem))
            files.append(NodeFile(f"{self.tls_folder}/{place}.key", authority.key_pem))
        return [*files, NodeFile(f"{self.tls_folder}/service.key", node.pki.service_account_key_pem)]

    def _server_config(self, node: NodeBootstrap) -> dict[str, object]:
        network = node.network
        config: dict[str, object] = {
            "token": server_token(node.server_ca_hash, node.server_token),
            "agent-token": node.agent_token,
            **(self.founding_config() if node.first else self._join_config(node)),
            **_node_config(node),
            "cluster-cidr": ",".join(network.cluster_cidrs),
            "service-cidr": ",".join(network.service_cidrs),
            "cluster-dns": network.dns_address,
            "cluster-domain": network.cluster_domain,
            **self.network_config(network),
        }
        if node.tls_sans:
            config["tls-san"] = list(node.tls_sans)
        options = {**self.default_options(), **node.options}
        return {**config, **_plain_options(options), **_component_config(node, COMPONENTS)}

    def _agent_config(self, node: NodeBootstrap) -> dict[str, object]:
        allowed = AGENT_OPTIONS | self.own_agent_options
        options = {key: value for key, value in node.options.items() if key in allowed}
        return {
            "token": agent_token(node.server_ca_hash, node.agent_token),
            **self._join_config(node),
            **_node_config(node),
            **_plain_options(options),
            **_component_config(node, [component for component, on_agents in COMPONENTS.items() if on_agents]),
        }

    def _join_config(self, node: NodeBootstrap) -> dict[str, object]:
        return {"server": self.server_url(node.join_address)} if node.join_address else {}


def _node_config(node: NodeBootstrap) -> dict[str, object]:
    config: dict[str, object] = {"node-name": node.node_name}
    if node.static_address is not None:
        config["node-ip"] = ",".join(node.static_address.node_ips)
    if node.labels:
        config["node-label"] = [f"{key}={value}" for key, value in sorted(node.labels.items())]
    if node.taints:
        config["node-taint"] = [str(taint) for taint in node.taints]
    return config


def _component_config(node: NodeBootstrap, components: Sequence[str] | Mapping[str, bool]) -> dict[str, object]:
    return {f"{name}-arg": list(node.component_args[name]) for name in components if node.component_args.get(name)}


def _plain_options(options: Mapping[str, OptionValue]) -> dict[str, object]:
    return {key: value if isinstance(value, str | bool | int) else list(value) for key, value in options.items()}


def _check_option(value: object, pointer: str) -> None:
    if isinstance(value, bool | int):
        return
    if isinstance(value, str):
        check_text(value, pointer, ascii_only=True)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_text(item, f"{pointer}/{index}", ascii_only=True)
    else:
        raise BootstrapInvalid(pointer, "format", "a text, a number, true or false, or a list of texts is wanted")


def _bracketed(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
