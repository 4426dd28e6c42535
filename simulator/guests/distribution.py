"""What differs between K3s and RKE2, as data: ports, units, paths, and which keys each sub-command knows.

Source: contract guest-bootstrap §1, §4, §6. How a configuration is read is `node_config.py`'s part.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["server", "agent"]

API_PORT = 6443

_AGENT_KEYS = """
    airgap-extra-registry bind-address container-runtime-endpoint data-dir debug default-runtime
    disable-default-registry-endpoint image-credential-provider-bin-dir image-credential-provider-config
    kube-proxy-arg kubelet-arg lb-server-port log node-external-dns node-external-ip node-internal-dns node-ip
    node-label node-name node-taint private-registry protect-kernel-defaults resolv-conf selinux server snapshotter
    token token-file v vmodule with-node-id
"""
_SERVER_KEYS = """
    advertise-address advertise-port agent-token agent-token-file cluster-cidr cluster-dns cluster-domain
    cluster-reset cluster-reset-restore-path datastore-cafile datastore-certfile datastore-endpoint datastore-keyfile
    disable disable-apiserver disable-cloud-controller disable-controller-manager disable-etcd disable-kube-proxy
    disable-scheduler egress-selector-mode embedded-registry enable-pprof etcd-arg etcd-disable-snapshots
    etcd-expose-metrics etcd-s3 etcd-s3-access-key etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-config-secret
    etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-folder etcd-s3-insecure etcd-s3-proxy etcd-s3-region
    etcd-s3-retention etcd-s3-secret-key etcd-s3-session-token etcd-s3-skip-ssl-verify etcd-s3-timeout
    etcd-snapshot-compress etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-reconcile-interval
    etcd-snapshot-retention etcd-snapshot-schedule-cron helm-job-image kube-apiserver-arg
    kube-cloud-controller-manager-arg kube-controller-manager-arg kube-scheduler-arg secrets-encryption-provider
    service-cidr service-node-port-range servicelb-namespace supervisor-metrics system-default-registry tls-san
    tls-san-security write-kubeconfig write-kubeconfig-group write-kubeconfig-mode
"""
_K3S_AGENT_KEYS = "docker flannel-cni-conf flannel-conf flannel-iface pause-image prefer-bundled-bin rootless vpn-auth"
_K3S_SERVER_KEYS = """
    cluster-init default-local-storage-path disable-helm-controller disable-network-policy flannel-backend
    flannel-external-ip flannel-ipv6-masq https-listen-port secrets-encryption
"""
_RKE2_AGENT_KEYS = """
    cloud-provider-config cloud-provider-name control-plane-probe-configuration kubelet-path
    node-name-from-cloud-provider-metadata profile
"""
_RKE2_SERVER_KEYS = """
    audit-policy-file cni control-plane-resource-limits control-plane-resource-requests enable-servicelb
    ingress-controller kube-apiserver-image kube-controller-manager-image kube-proxy-image kube-scheduler-image
    etcd-image pause-image runtime-image cloud-controller-manager-image pod-security-admission-config-file
    kube-apiserver-extra-mount kube-apiserver-extra-env kube-controller-manager-extra-mount
    kube-controller-manager-extra-env kube-scheduler-extra-mount kube-scheduler-extra-env kube-proxy-extra-mount
    kube-proxy-extra-env etcd-extra-mount etcd-extra-env cloud-controller-manager-extra-mount
    cloud-controller-manager-extra-env
"""

# Values that must be equal on all servers of a cluster, with what an absent key stands for.
CRITICAL_DEFAULTS: Mapping[str, str] = {
    "agent-token": "",
    "cluster-cidr": "10.42.0.0/16",
    "cluster-dns": "10.43.0.10",
    "cluster-domain": "cluster.local",
    "disable-cloud-controller": "false",
    "disable-helm-controller": "false",
    "disable-kube-proxy": "false",
    "disable-network-policy": "false",
    "egress-selector-mode": "agent",
    "embedded-registry": "false",
    "flannel-backend": "vxlan",
    "flannel-external-ip": "false",
    "flannel-ipv6-masq": "false",
    "secrets-encryption": "false",
    "secrets-encryption-provider": "aescbc",
    "service-cidr": "10.43.0.0/16",
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution. `join_port` is its supervisor's, where servers and agents join."""

    name: Literal["k3s", "rke2"]
    join_port: int
    units: Mapping[Role, str]
    keys: Mapping[Role, frozenset[str]]
    version_form: re.Pattern[str]
    installer_starts_service: bool

    @property
    def config_folder(self) -> str:
        return f"/etc/rancher/{self.name}"

    @property
    def tls_folder(self) -> str:
        return f"/var/lib/rancher/{self.name}/server/tls"


K3S = Distribution(
    name="k3s",
    join_port=API_PORT,
    units={"server": "k3s", "agent": "k3s-agent"},
    keys={
        "server": frozenset(f"{_AGENT_KEYS} {_SERVER_KEYS} {_K3S_AGENT_KEYS} {_K3S_SERVER_KEYS}".split()),
        "agent": frozenset(f"{_AGENT_KEYS} {_K3S_AGENT_KEYS}".split()),
    },
    version_form=re.compile(r"v1\.\d+\.\d+(-[0-9a-z.]+)?\+k3s\d+"),
    installer_starts_service=True,
)
RKE2 = Distribution(
    name="rke2",
    join_port=9345,
    units={"server": "rke2-server", "agent": "rke2-agent"},
    keys={
        "server": frozenset(f"{_AGENT_KEYS} {_SERVER_KEYS} {_RKE2_AGENT_KEYS} {_RKE2_SERVER_KEYS}".split()),
        "agent": frozenset(f"{_AGENT_KEYS} {_RKE2_AGENT_KEYS}".split()),
    },
    version_form=re.compile(r"v1\.\d+\.\d+(-[0-9a-z.]+)?\+rke2r\d+"),
    installer_starts_service=False,
)
DISTRIBUTIONS: Mapping[str, Distribution] = {"k3s": K3S, "rke2": RKE2}


def find_unit(unit: str) -> tuple[Distribution, Role] | None:
    """The distribution and role whose systemd unit this is."""
    name = unit.removesuffix(".service")
    for distribution in DISTRIBUTIONS.values():
        for role, known in distribution.units.items():
            if name == known:
                return distribution, role
    return None
