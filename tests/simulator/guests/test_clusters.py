"""Whole guest clusters from user data alone: founding, joining, failing, stopping and coming back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kube.errors import KubeError, Unavailable
from kube.resources import CONFIG_MAPS, ENDPOINTS, NODES, SECRETS
from simulator.guests.machines import GuestMachines
from simulator.guests.pki import make_authority
from simulator.guests.service import NodeService
from simulator.guests.timings import GuestTimings
from tests.simulator.guests.stage import FAST, Stage, eventually
from tests.simulator.guests.user_data import AGENT_PASSWORD, SERVER_PASSWORD, ClusterPlan, authority_order

DISTRIBUTIONS = pytest.mark.parametrize("distribution", ["k3s", "rke2"])


async def bring_up_servers(stage: Stage, plan: ClusterPlan, count: int) -> list[str]:
    """`count` servers, each joined after the one before; returns their addresses."""
    first = await stage.boot(plan.first_server("cp-0"))
    client = stage.client(plan, first.address)
    addresses = [first.address]
    ready = {"cp-0": "True"}
    await stage.wait_nodes(client, ready)
    for number in range(1, count):
        machine = await stage.boot(plan.server(f"cp-{number}", first.address))
        addresses.append(machine.address)
        ready[f"cp-{number}"] = "True"
        await stage.wait_nodes(client, ready)
    return addresses


@DISTRIBUTIONS
async def test_five_machines_become_a_ready_cluster(stage: Stage, distribution: str) -> None:
    plan = ClusterPlan(distribution)
    addresses = await bring_up_servers(stage, plan, 3)
    for number in range(2):
        await stage.boot(plan.agent(f"w-{number}", addresses[0], **{"node-label": ["pool=workers"]}))

    client = stage.client(plan, addresses[2])
    names = ["cp-0", "cp-1", "cp-2", "w-0", "w-1"]
    await stage.wait_nodes(client, dict.fromkeys(names, "True"))

    server = await client.get(NODES, "cp-1")
    assert server["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == "true"
    assert server["metadata"]["labels"]["node-role.kubernetes.io/etcd"] == "true"
    assert server["spec"]["providerID"] == f"{distribution}://cp-1"
    worker = await client.get(NODES, "w-0")
    assert worker["metadata"]["labels"]["pool"] == "workers"
    assert "node-role.kubernetes.io/control-plane" not in worker["metadata"]["labels"]
    assert worker["status"]["nodeInfo"]["kubeletVersion"] == plan.version
    assert worker["status"]["capacity"]["cpu"] == "2"
    machine = stage.guests.find("default", "w-0")
    assert machine is not None
    assert {"type": "InternalIP", "address": machine.address} in worker["status"]["addresses"]
    endpoints = await client.get(ENDPOINTS, "kubernetes", "default")
    assert sorted(a["ip"] for a in endpoints["subsets"][0]["addresses"]) == sorted(addresses)
    assert (await client.call("GET", "/version"))["gitVersion"] == plan.version


@DISTRIBUTIONS
async def test_the_supervisor_shows_the_authority_to_everybody_on_its_own_port(stage: Stage, distribution: str) -> None:
    plan = ClusterPlan(distribution)
    [address] = await bring_up_servers(stage, plan, 1)
    supervisor = stage.client(plan, address, port=plan.join_port)

    assert await supervisor.call("GET", "/cacerts", accept="text/plain") == plan.server_ca.cert_pem
    assert await supervisor.call("GET", "/ping", accept="text/plain") == "pong"


async def test_rke2_joined_at_the_apis_port_gets_nowhere(stage: Stage) -> None:
    plan = ClusterPlan("rke2")
    [address] = await bring_up_servers(stage, plan, 1)
    plan.join_port = 6443

    await stage.boot(plan.agent("w-0", address))

    await stage.logged("w-0", "failed to get CA certs")
    assert await stage.nodes(stage.client(plan, address)) == {"cp-0": "True"}


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("wrong", "401 Unauthorized"),
        (f"K10{'0' * 64}::node:{AGENT_PASSWORD}", "token CA hash does not match"),
        ("K10abc::node:x", "invalid token CA hash length"),
        ("", "--token is required"),
    ],
)
async def test_an_agent_with_a_wrong_token_stays_outside_and_says_why(stage: Stage, token: str, told: str) -> None:
    plan = ClusterPlan("k3s")
    [address] = await bring_up_servers(stage, plan, 1)

    await stage.boot(plan.agent("w-0", address, token=token))

    await stage.logged("w-0", told)
    assert await stage.nodes(stage.client(plan, address)) == {"cp-0": "True"}
    assert SERVER_PASSWORD not in "\n".join(stage.guests.boot_log("default", "w-0"))


async def test_the_agent_token_does_not_let_a_server_in(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    [address] = await bring_up_servers(stage, plan, 1)

    await stage.boot(plan.server("cp-1", address, token=plan.agent_token))

    await stage.logged("cp-1", "401 Unauthorized")


async def test_a_machine_whose_server_is_away_retries_until_it_is_there(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    first = plan.first_server("cp-0")
    stage.guests.network.claim("127.9.9.9", first.disk_id)
    network_data = "version: 2\nethernets: {e: {addresses: [127.9.9.9/16]}}\n"
    await stage.boot(plan.agent("w-0", "127.9.9.9"))
    await stage.logged("w-0", "no route to host")

    machine = await stage.boot(
        type(first)(first.namespace, first.name, first.disk_id, first.hostname, first.user_data, network_data)
    )

    assert machine.address == "127.9.9.9"
    await stage.wait_nodes(stage.client(plan, "127.9.9.9"), {"cp-0": "True", "w-0": "True"})


async def test_servers_that_join_at_the_same_time_take_turns(stage: Stage) -> None:
    plan = ClusterPlan("rke2")
    [address] = await bring_up_servers(stage, plan, 1)

    await asyncio.gather(*(stage.boot(plan.server(f"cp-{number}", address)) for number in (1, 2)))

    await stage.wait_nodes(stage.client(plan, address), dict.fromkeys(["cp-0", "cp-1", "cp-2"], "True"))


async def test_a_server_that_comes_before_the_first_is_up_waits_for_it(stage: Stage) -> None:
    stage.guests.timings.start = 0.3
    plan = ClusterPlan("k3s")
    first = await stage.boot(plan.first_server("cp-0"))
    await stage.boot(plan.server("cp-1", first.address))

    await stage.logged("cp-1", "503 Service Unavailable")
    await stage.wait_nodes(stage.client(plan, first.address), {"cp-0": "True", "cp-1": "True"})


async def test_a_first_server_without_cluster_init_stays_alone(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    first = await stage.boot(plan.first_server("cp-0", **{"cluster-init": False}))
    client = stage.client(plan, first.address)
    await stage.wait_nodes(client, {"cp-0": "True"})

    await stage.boot(plan.server("cp-1", first.address))

    await stage.logged("cp-1", "no managed etcd")
    node = await client.get(NODES, "cp-0")
    assert "node-role.kubernetes.io/etcd" not in node["metadata"]["labels"]


@pytest.mark.parametrize(
    "different", [{"cluster-cidr": "10.99.0.0/16"}, {"disable": ["servicelb"]}, {"agent-token": "other"}]
)
async def test_servers_must_agree_on_critical_values(stage: Stage, different: dict[str, Any]) -> None:
    plan = ClusterPlan("k3s")
    [address] = await bring_up_servers(stage, plan, 1)

    await stage.boot(plan.server("cp-1", address, **different))

    await stage.logged("cp-1", "critical configuration value mismatch")


async def test_a_node_name_is_free_again_only_when_its_node_is_deleted(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    [address] = await bring_up_servers(stage, plan, 1)
    client = stage.client(plan, address)
    await stage.boot(plan.agent("w-0", address))
    await stage.wait_nodes(client, {"cp-0": "True", "w-0": "True"})
    await stage.guests.halt("default", "w-0")
    await stage.guests.discard_disk("disk-of-w-0")

    await stage.boot(plan.agent("w-0", address))
    await stage.logged("w-0", "Node password rejected")
    await client.delete(NODES, "w-0")

    await stage.wait_nodes(client, {"cp-0": "True", "w-0": "True"})
    secret = await client.get(SECRETS, "w-0.node-password.k3s", "kube-system")
    assert secret["data"]["hash"]


async def test_after_one_of_three_servers_fell_the_others_answer_and_tell(stage: Stage) -> None:
    plan = ClusterPlan("rke2")
    addresses = await bring_up_servers(stage, plan, 3)

    await stage.guests.halt("default", "cp-0")

    client = stage.client(plan, addresses[1])
    await stage.wait_nodes(client, {"cp-0": "Unknown", "cp-1": "True", "cp-2": "True"})
    taints = {taint["key"] for taint in (await client.get(NODES, "cp-0"))["spec"]["taints"]}
    assert taints == {"node.kubernetes.io/unreachable"}
    with pytest.raises(Unavailable):
        await stage.client(plan, addresses[0]).get(NODES, "cp-1")
    endpoints = await client.get(ENDPOINTS, "kubernetes", "default")
    assert sorted(a["ip"] for a in endpoints["subsets"][0]["addresses"]) == sorted(addresses[1:])


async def test_without_a_majority_the_api_answers_503_until_one_is_back(stage: Stage) -> None:
    plan = ClusterPlan("rke2")
    addresses = await bring_up_servers(stage, plan, 3)
    client = stage.client(plan, addresses[2])
    await stage.guests.halt("default", "cp-0")
    await stage.guests.halt("default", "cp-1")

    with pytest.raises(KubeError) as refusal:
        await client.get(NODES, "cp-2")
    assert refusal.value.code == 503

    await stage.boot(plan.server("cp-1", addresses[0]))
    await stage.wait_nodes(client, {"cp-0": "Unknown", "cp-1": "True", "cp-2": "True"})


async def test_deleting_a_servers_node_removes_it_from_etcd(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    addresses = await bring_up_servers(stage, plan, 3)
    client = stage.client(plan, addresses[0])

    await client.delete(NODES, "cp-2")
    await stage.logged("cp-2", "removed from the cluster")
    await stage.logged("cp-2", "permanently removed")
    await stage.guests.halt("default", "cp-1")

    # Two members are left, of which one runs: no majority.
    async def has_no_majority() -> bool:
        try:
            await client.get(NODES, "cp-0")
        except KubeError as error:
            return error.code == 503
        return False

    await eventually(has_no_majority, "the API answers 503")


async def test_a_cluster_comes_back_with_its_machines_after_a_restart_of_the_simulator(tmp_path: Path) -> None:
    plan = ClusterPlan("k3s")
    before = Stage(GuestMachines(tmp_path, timings=GuestTimings(**FAST)))
    addresses = await bring_up_servers(before, plan, 3)
    await before.boot(plan.agent("w-0", addresses[0]))
    client = before.client(plan, addresses[0])
    names = ["cp-0", "cp-1", "cp-2", "w-0"]
    await before.wait_nodes(client, dict.fromkeys(names, "True"))
    await client.create(CONFIG_MAPS, {"metadata": {"name": "kept", "namespace": "default"}, "data": {"a": "b"}})
    uid = (await client.get(NODES, "w-0"))["metadata"]["uid"]
    block = before.guests.network.block
    await before.close()

    after = Stage(GuestMachines(tmp_path, block=block, timings=GuestTimings(**FAST)))
    try:
        # The join material is gone from the orders, as the hub takes it away.
        returned: dict[str, str] = {}
        for name in names:
            order = plan.agent(name, "127.0.0.1")
            blank = type(order)(order.namespace, name, order.disk_id, name, "#cloud-config\n{}\n")
            returned[name] = (await after.boot(blank)).address
        assert [returned[f"cp-{number}"] for number in range(3)] == addresses
        client = after.client(plan, addresses[1])
        await after.wait_nodes(client, dict.fromkeys(names, "True"))
        assert (await client.get(CONFIG_MAPS, "kept", "default"))["data"] == {"a": "b"}
        assert (await client.get(NODES, "w-0"))["metadata"]["uid"] == uid
        await after.logged("cp-0", "bootstrap already complete")
    finally:
        await after.close()


async def test_a_cluster_is_gone_with_its_last_disk(tmp_path: Path) -> None:
    plan = ClusterPlan("k3s")
    stage = Stage(GuestMachines(tmp_path, timings=GuestTimings(**FAST)))
    try:
        [address] = await bring_up_servers(stage, plan, 1)
        assert list((tmp_path / "clusters").iterdir())
        await stage.guests.halt("default", "cp-0")
        await stage.guests.discard_disk("disk-of-cp-0")

        assert list((tmp_path / "clusters").iterdir()) == []
        assert list((tmp_path / "disks").iterdir()) == []
        again = await stage.boot(plan.first_server("cp-0"))
        await stage.wait_nodes(stage.client(plan, again.address), {"cp-0": "True"})
        assert again.address == address
    finally:
        await stage.close()


async def test_authorities_that_do_not_fit_stop_the_server(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    broken = type(plan.server_ca)(make_authority("a").cert_pem, make_authority("b").key_pem)

    await stage.boot(authority_order(plan, "cp-0", broken))

    await stage.logged("cp-0", "does not match the certificate")


async def test_without_ready_made_authorities_the_server_makes_its_own(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    machine = await stage.boot(plan.server("cp-0", None, token="plain", **{"cluster-init": True}))
    await stage.logged("cp-0", "server is up")

    with pytest.raises(KubeError):
        await stage.client(plan, machine.address).get(NODES, "cp-0")
    await stage.boot(plan.agent("w-0", machine.address, token=AGENT_PASSWORD))
    await stage.logged("w-0", "node w-0 registered")


async def test_an_external_cloud_provider_leaves_the_node_uninitialized(stage: Stage) -> None:
    plan = ClusterPlan("k3s")
    config = {"disable-cloud-controller": True, "kubelet-arg": ["cloud-provider=external"]}
    first = await stage.boot(plan.first_server("cp-0", **config))
    client = stage.client(plan, first.address)
    await stage.wait_nodes(client, {"cp-0": "True"})

    node = await client.get(NODES, "cp-0")
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["node.cloudprovider.kubernetes.io/uninitialized"]
    assert "providerID" not in node["spec"]


async def test_without_a_network_plugin_nodes_stay_not_ready(stage: Stage) -> None:
    plan = ClusterPlan("rke2")
    first = await stage.boot(plan.first_server("cp-0", cni="none"))

    await stage.wait_nodes(stage.client(plan, first.address), {"cp-0": "False"})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"node-ip": "127.1.2.3"}, "not found in the host's network interfaces"),
        ({"node-label": ["node-role.kubernetes.io/worker=true"]}, "labels specified with --node-labels"),
        ({"datastore-endpoint": "mysql://x"}, "is not simulated"),
    ],
)
async def test_what_a_kubelet_or_server_refuses_is_in_the_log(stage: Stage, config: dict[str, Any], told: str) -> None:
    await stage.boot(ClusterPlan("k3s").first_server("cp-0", **config))

    await stage.logged("cp-0", told)


async def test_a_fault_of_the_simulator_is_in_the_log_and_not_a_silent_wait(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(service: NodeService) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(NodeService, "run", broken)

    await stage.boot(ClusterPlan("k3s").first_server("cp-0"))

    await stage.logged("cp-0", "simulator: internal error: RuntimeError('a bug')")


async def test_refused_user_data_leaves_a_machine_with_an_address_and_nothing_else(stage: Stage) -> None:
    order = ClusterPlan("k3s").first_server("cp-0")
    machine = await stage.boot(
        type(order)(order.namespace, order.name, order.disk_id, order.hostname, "#cloud-config\nrun_cmd: []\n")
    )

    await stage.logged("cp-0", "user data refused: user data: unknown top-level keys run_cmd")
    assert not machine.guest_agent


async def test_a_cluster_whose_first_server_is_switched_off_before_it_is_up_leaves_nothing(tmp_path: Path) -> None:
    slow_start = GuestTimings(**{**FAST, "start": 30.0})
    stage = Stage(GuestMachines(tmp_path, timings=slow_start))
    await stage.boot(ClusterPlan("k3s").first_server("cp-0"))
    clusters = tmp_path / "clusters"
    await eventually(lambda: clusters.exists() and list(clusters.iterdir()), "the cluster is founded")

    await stage.guests.halt("default", "cp-0")

    assert list(clusters.iterdir()) == []
    await stage.close()
