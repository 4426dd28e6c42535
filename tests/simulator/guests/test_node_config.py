"""Configuration files are merged and read by the distributions' rules."""

import json
from typing import Any

import pytest

from simulator.guests.distribution import K3S, RKE2, Distribution, Role
from simulator.guests.node_config import (
    ConfigRefused,
    NodeConfig,
    Taint,
    build_node_config,
    merge_config_files,
    parse_arguments,
)

FOLDER = "/etc/rancher/k3s"


def read(values: dict[str, Any], distribution: Distribution = K3S, role: Role = "server") -> NodeConfig:
    return build_node_config(distribution, role, values)


def test_the_last_value_of_a_key_wins_in_alphabetical_order() -> None:
    files = {
        f"{FOLDER}/config.yaml.d/50-hub.yaml": json.dumps({"token": "hub", "tls-san": ["b"]}).encode(),
        f"{FOLDER}/config.yaml.d/10-site.yaml": b"token: site\nnode-name: n1\n",
        f"{FOLDER}/config.yaml": b"token: base\ncluster-init: true\ntls-san: [a]\n",
        f"{FOLDER}/config.yaml.d/readme.txt": b"token: no",
        "/etc/rancher/rke2/config.yaml": b"token: other",
    }

    merged = merge_config_files(files, FOLDER)

    assert merged == {"token": "hub", "node-name": "n1", "cluster-init": True, "tls-san": ["b"]}


def test_a_key_with_plus_appends_to_lists_and_single_values() -> None:
    files = {
        f"{FOLDER}/config.yaml": b"tls-san: a\nnode-label: [x=1]\n",
        f"{FOLDER}/config.yaml.d/1.yaml": b"tls-san+: [b]\nnode-label+: y=2\nnode-taint+: [k:NoSchedule]\n",
    }

    merged = merge_config_files(files, FOLDER)

    assert merged == {"tls-san": ["a", "b"], "node-label": ["x=1", "y=2"], "node-taint": ["k:NoSchedule"]}


def test_a_broken_file_is_named() -> None:
    with pytest.raises(ConfigRefused, match=r"config\.yaml\.d/1\.yaml"):
        merge_config_files({f"{FOLDER}/config.yaml.d/1.yaml": b"a: [\n"}, FOLDER)


def test_arguments_are_flags_with_values_lists_and_switches() -> None:
    arguments = ["--cluster-init", "--token=s", "--tls-san", "a", "--tls-san", "b", "--node-name", "n1"]

    assert parse_arguments(arguments) == {
        "cluster-init": "true",
        "token": "s",
        "tls-san": ["a", "b"],
        "node-name": "n1",
    }
    with pytest.raises(ConfigRefused):
        parse_arguments(["server"])


def test_a_first_server_is_read_with_its_defaults() -> None:
    config = read(
        {
            "token": "s",
            "agent-token": "a",
            "cluster-init": True,
            "node-name": "C1-CP-0",
            "tls-san": ["api.example", "127.9.0.5"],
            "node-label": ["topology.kubernetes.io/zone=z1", "pool=cp"],
            "node-taint": ["node-role.kubernetes.io/control-plane:NoSchedule", "gpu=yes:NoExecute"],
        }
    )

    assert config.node_name == "c1-cp-0"
    assert config.cluster_init
    assert config.server is None
    assert config.labels == {"topology.kubernetes.io/zone": "z1", "pool": "cp"}
    assert config.taints == (
        Taint("node-role.kubernetes.io/control-plane", "", "NoSchedule"),
        Taint("gpu", "yes", "NoExecute"),
    )
    assert config.critical["cluster-cidr"] == "10.42.0.0/16"
    assert config.runs_cloud_controller
    assert config.has_network
    assert config.warnings == ()


def test_keys_of_the_other_sub_command_and_misspelled_ones_are_skipped_with_a_warning() -> None:
    config = read(
        {"server": "https://127.9.0.1:6443", "token": "a", "cluster-init": True, "node-lable": "x"}, role="agent"
    )

    assert not config.cluster_init
    assert [warning.split()[2] for warning in config.warnings] == ["--cluster-init", "--node-lable"]


def test_cluster_init_is_not_a_key_of_rke2() -> None:
    assert "--cluster-init" in read({"cluster-init": True}, RKE2).warnings[0]


@pytest.mark.parametrize(
    ("values", "role", "told"),
    [
        ({"token": "a"}, "agent", "--server is required"),
        ({"server": "https://x:6443"}, "agent", "--token is required"),
        ({"server": "https://x:6443"}, "server", "--token is required"),
        ({"server": "http://x:6443", "token": "a"}, "agent", "only https://"),
        ({"node-label": ["node-role.kubernetes.io/worker=true"]}, "server", "labels specified with --node-labels"),
        ({"node-label": ["k8s.io/x=1"]}, "server", "labels specified with --node-labels"),
        ({"node-label": ["novalue"]}, "server", "is not key=value"),
        ({"node-label": ["a=b c"]}, "server", "is not key=value"),
        ({"node-taint": ["a=b"]}, "server", "is not key=value:effect"),
        ({"node-taint": ["a=b:Never"]}, "server", "is not key=value:effect"),
        ({"node-name": "no_dns"}, "server", "not a DNS subdomain"),
        ({"node-ip": "here"}, "server", "is not an address"),
        ({"cluster-init": "maybe"}, "server", "must be true or false"),
        ({"token": ["a"]}, "server", "must be one value"),
        ({"service-cidr": "10.43.0.0/99"}, "server", "service-cidr"),
        ({"datastore-endpoint": "mysql://"}, "server", "datastore-endpoint is not simulated"),
        ({"https-listen-port": 7443}, "server", "https-listen-port"),
    ],
)
def test_what_a_service_would_refuse_is_refused(values: dict[str, Any], role: Role, told: str) -> None:
    with pytest.raises(ConfigRefused) as refusal:
        read(values, role=role)

    assert told in str(refusal.value)


@pytest.mark.parametrize("label", ["node.kubernetes.io/pool=a", "kubernetes.io/os=linux", "paddock.io/x=1", "plain=1"])
def test_labels_that_a_kubelet_may_set_itself_are_taken(label: str) -> None:
    assert read({"node-label": label}).labels


def test_an_external_cloud_provider_is_told_per_distribution() -> None:
    by_argument = read({"kubelet-arg": ["cloud-provider=external"], "disable-cloud-controller": True})
    by_name = read({"cloud-provider-name": "harvester"}, RKE2)

    assert (by_argument.kubelet_is_external, by_argument.runs_cloud_controller) == (True, False)
    assert (by_name.kubelet_is_external, by_name.runs_cloud_controller) == (True, False)
    assert not read({"disable-cloud-controller": True}).kubelet_is_external


def test_without_a_network_plugin_the_node_has_no_network() -> None:
    assert not read({"flannel-backend": "none"}).has_network
    assert not read({"cni": "none"}, RKE2).has_network
    assert read({"cni": ["multus", "calico"]}, RKE2).has_network
