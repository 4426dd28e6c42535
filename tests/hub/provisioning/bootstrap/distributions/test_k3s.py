"""K3s: the whole configuration of a first server, a joining server and an agent."""

import json
from collections.abc import Callable

from hub.provisioning.bootstrap.model import NodeBootstrap, Taint
from hub.provisioning.bootstrap.network import ClusterNetwork, StaticAddress
from hub.provisioning.bootstrap.pki import GuestPki

BuildNode = Callable[..., NodeBootstrap]


def test_the_first_server_founds_the_cluster_on_embedded_etcd(build_node: BuildNode, pki: GuestPki) -> None:
    node = build_node(
        "first",
        tls_sans=("api.shop.example", "10.0.0.100"),
        static_address=StaticAddress(("10.0.0.5/24",), ("10.0.0.1",), ("10.0.0.2",)),
        labels={"zone": "z1", "disk": "nvme"},
        taints=(Taint("node-role.kubernetes.io/control-plane", "NoSchedule"),),
        network=ClusterNetwork(("10.42.0.0/16", "fd00:42::/56"), ("10.43.0.0/16", "fd00:43::/112"), cni=("none",)),
        options={"disable": ["traefik", "servicelb"], "etcd-snapshot-retention": 7, "selinux": True},
        component_args={"kube-apiserver": ("audit-log-maxage=30",), "kubelet": ("max-pods=200",)},
    )
    assert node.distribution.config(node) == {
        "token": f"K10{pki.server_ca_hash}::server:{node.server_token}",
        "agent-token": node.agent_token,
        "cluster-init": True,
        "node-name": "shop-first-0",
        "node-ip": "10.0.0.5",
        "node-label": ["disk=nvme", "zone=z1"],
        "node-taint": ["node-role.kubernetes.io/control-plane:NoSchedule"],
        "cluster-cidr": "10.42.0.0/16,fd00:42::/56",
        "service-cidr": "10.43.0.0/16,fd00:43::/112",
        "cluster-dns": "10.43.0.10",
        "cluster-domain": "cluster.local",
        "flannel-backend": "none",
        "disable-network-policy": True,
        "tls-san": ["api.shop.example", "10.0.0.100"],
        "write-kubeconfig-mode": "0600",
        "secrets-encryption": True,
        "disable": ["traefik", "servicelb"],
        "etcd-snapshot-retention": 7,
        "selinux": True,
        "kube-apiserver-arg": ["audit-log-maxage=30"],
        "kubelet-arg": ["max-pods=200"],
    }


def test_the_first_server_is_given_the_authorities_where_k3s_looks_for_them(
    build_node: BuildNode, pki: GuestPki
) -> None:
    node = build_node("first")
    tls = "/var/lib/rancher/k3s/server/tls"
    files = {file.path: file for file in node.distribution.files(node)}
    assert {path: file.content for path, file in files.items() if path.startswith(tls)} == {
        f"{tls}/server-ca.crt": pki.server_ca.cert_pem,
        f"{tls}/server-ca.key": pki.server_ca.key_pem,
        f"{tls}/client-ca.crt": pki.client_ca.cert_pem,
        f"{tls}/client-ca.key": pki.client_ca.key_pem,
        f"{tls}/request-header-ca.crt": pki.request_header_ca.cert_pem,
        f"{tls}/request-header-ca.key": pki.request_header_ca.key_pem,
        f"{tls}/etcd/server-ca.crt": pki.etcd_server_ca.cert_pem,
        f"{tls}/etcd/server-ca.key": pki.etcd_server_ca.key_pem,
        f"{tls}/etcd/peer-ca.crt": pki.etcd_peer_ca.cert_pem,
        f"{tls}/etcd/peer-ca.key": pki.etcd_peer_ca.key_pem,
        f"{tls}/service.key": pki.service_account_key_pem,
    }
    assert {file.permissions for file in files.values()} == {"0600"}
    config = files["/etc/rancher/k3s/config.yaml.d/50-paddock.yaml"]
    assert json.loads(config.content) == node.distribution.config(node)


def test_a_joining_server_differs_from_the_first_by_how_it_comes_in_and_carries_no_key(build_node: BuildNode) -> None:
    first, second = build_node("first", node_name="n"), build_node("server", node_name="n")
    founding = first.distribution.config(first)
    joining = second.distribution.config(second)
    assert founding.pop("cluster-init") is True
    assert joining.pop("server") == "https://10.0.0.5:6443"
    assert joining == founding
    assert [file.path for file in second.distribution.files(second)] == [second.distribution.config_path]


def test_an_agent_gets_its_own_token_and_only_what_an_agent_reads(build_node: BuildNode, pki: GuestPki) -> None:
    node = build_node(
        labels={"zone": "z1"},
        options={"disable": ["traefik"], "resolv-conf": "/etc/resolv.conf", "pause-image": "pause:3"},
        component_args={"kubelet": ("v=2",), "kube-proxy": ("v=1",), "kube-apiserver": ("v=3",)},
        network=ClusterNetwork(cni=("host-gw",)),
        tls_sans=("api.shop.example",),
    )
    assert node.distribution.config(node) == {
        "token": f"K10{pki.server_ca_hash}::node:{node.agent_token}",
        "server": "https://10.0.0.5:6443",
        "node-name": "shop-agent-0",
        "node-label": ["zone=z1"],
        "resolv-conf": "/etc/resolv.conf",
        "pause-image": "pause:3",
        "kube-proxy-arg": ["v=1"],
        "kubelet-arg": ["v=2"],
    }


def test_a_tenant_may_say_otherwise_about_encryption(build_node: BuildNode) -> None:
    node = build_node("server", options={"secrets-encryption": False})
    assert node.distribution.config(node)["secrets-encryption"] is False


def test_units_are_named_by_role(build_node: BuildNode) -> None:
    k3s = build_node().distribution
    assert (k3s.unit("server"), k3s.unit("agent"), k3s.supervisor_port) == ("k3s", "k3s-agent", 6443)
