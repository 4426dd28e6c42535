"""The life of virtual machines on a simulated and on a real API server."""

import asyncio
import json

import pytest

from kube.errors import KubeError
from kube.resources import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_QUOTAS,
    SECRETS,
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
)
from tests.simulator.controllers.conftest import Cluster
from tests.simulator.controllers.objects import cloud_init, machine, owned_by
from tests.simulator.guests.stage import eventually


async def test_a_machine_comes_to_run_with_an_address_told_by_its_agent(cluster: Cluster) -> None:
    instance = await cluster.start_machine("web")

    assert instance["metadata"]["labels"]["harvesterhci.io/vmName"] == "web"
    assert instance["status"]["nodeName"] in cluster.settings.node_names
    [interface] = instance["status"]["interfaces"]
    assert interface["name"] == "default"
    assert interface["infoSource"] == "domain, guest-agent"
    assert interface["ipAddresses"] == [interface["ipAddress"]]
    vm = await cluster.wait_status("web", "Running")
    assert vm["status"]["created"]
    assert vm["status"]["ready"]
    assert {c["type"]: c["status"] for c in vm["status"]["conditions"]}["Ready"] == "True"
    assert vm["metadata"]["annotations"]["harvesterhci.io/vmRunStrategy"] == "RerunOnFailure"
    phases = [entry["phase"] for entry in instance["status"]["phaseTransitionTimestamps"]]
    assert phases == ["Scheduling", "Scheduled", "Running"]


async def test_claims_of_the_annotation_are_made_bound_and_kept_unless_listed(cluster: Cluster) -> None:
    await cluster.start_machine("web", claims=["web-root", "web-data"])
    claim = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "web-root", cluster.namespace)
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["capacity"] == {"storage": "10Gi"}
    volume = await cluster.client.get(PERSISTENT_VOLUMES, claim["spec"]["volumeName"])
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    removed = {"metadata": {"annotations": {"harvesterhci.io/removedPersistentVolumeClaims": "web-root,unknown"}}}
    await cluster.client.patch(VIRTUAL_MACHINES, "web", removed, cluster.namespace)

    await cluster.client.delete(VIRTUAL_MACHINES, "web", cluster.namespace, propagation="Foreground")

    await cluster.until_gone(VIRTUAL_MACHINES, "web")
    await cluster.until_gone(PERSISTENT_VOLUME_CLAIMS, "web-root")
    await cluster.until_gone(PERSISTENT_VOLUMES, claim["spec"]["volumeName"])
    kept = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "web-data", cluster.namespace)
    assert kept["status"]["phase"] == "Bound"


async def test_a_larger_request_in_the_annotation_grows_the_claim(cluster: Cluster) -> None:
    await cluster.start_machine("web")
    vm = await cluster.vm("web")
    templates = json.loads(vm["metadata"]["annotations"]["harvesterhci.io/volumeClaimTemplates"])
    templates[0]["spec"]["resources"]["requests"]["storage"] = "20Gi"
    change = {"metadata": {"annotations": {"harvesterhci.io/volumeClaimTemplates": json.dumps(templates)}}}

    await cluster.client.patch(VIRTUAL_MACHINES, "web", change, cluster.namespace)

    await cluster.until(
        PERSISTENT_VOLUME_CLAIMS, "web-disk-0", lambda c: c["status"].get("capacity") == {"storage": "20Gi"}
    )


async def test_the_secret_and_instance_of_a_deleted_machine_go_with_it(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))
    vm = await cluster.vm("web")
    await cluster.client.create(SECRETS, owned_by(cloud_init("web", cluster.namespace), vm))
    await cluster.wait_running("web")

    await cluster.client.delete(VIRTUAL_MACHINES, "web", cluster.namespace)

    await cluster.until_gone(VIRTUAL_MACHINES, "web")
    assert await cluster.client.find(VIRTUAL_MACHINE_INSTANCES, "web", cluster.namespace) is None
    await cluster.until_gone(SECRETS, "web-cloudinit")
    assert cluster.guests.find(cluster.namespace, "web") is None


async def test_a_machine_waits_for_its_cloud_init_secret(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))
    instance = await cluster.until(
        VIRTUAL_MACHINE_INSTANCES,
        "web",
        lambda i: any("waiting for Secret" in c.get("message", "") for c in i["status"].get("conditions", [])),
    )
    assert instance["status"]["phase"] == "Scheduling"

    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))

    await cluster.wait_running("web")


async def test_a_static_address_in_the_network_data_is_the_machines(cluster: Cluster) -> None:
    address = str(cluster.guests.network.block.network_address + 77)
    network_data = f"version: 2\nethernets: {{e: {{addresses: [{address}/16]}}}}\n"
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace, network_data=network_data))

    instance = await cluster.wait_running("web")

    assert instance["status"]["interfaces"][0]["ipAddress"] == address


async def test_without_a_guest_agent_a_bridged_machine_tells_no_address(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace, user_data="#cloud-config\n{}\n"))
    await cluster.wait_status("web", "Running")
    await eventually(
        lambda: any("no address" in line or "address 127" in line for line in _log(cluster, "web")), "network is up"
    )

    instance = await cluster.client.get(VIRTUAL_MACHINE_INSTANCES, "web", cluster.namespace)
    assert [sorted(i) for i in instance["status"]["interfaces"]] == [["infoSource", "mac", "name", "queueCount"]]


async def test_on_the_pod_network_the_address_needs_no_agent(cluster: Cluster) -> None:
    vm = machine("web", cluster.namespace, networks=[{"name": "default", "pod": {}}])
    vm["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"] = [{"name": "default", "masquerade": {}}]
    await cluster.client.create(VIRTUAL_MACHINES, vm)
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace, user_data="#cloud-config\n{}\n"))

    instance = await cluster.wait_running("web")

    assert instance["status"]["interfaces"][0]["infoSource"] == "domain"


async def test_the_fault_no_address_keeps_the_agent_silent(cluster: Cluster) -> None:
    cluster.settings.faults.no_address = True
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))
    await cluster.wait_status("web", "Running")

    cluster.settings.faults.no_address = False
    await cluster.wait_running("web")


async def test_a_machine_that_fits_no_host_is_unschedulable_with_the_reason(cluster: Cluster) -> None:
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, memory="900Gi"))

    vm = await cluster.wait_status("web", "ErrorUnschedulable")

    condition = next(c for c in vm["status"]["conditions"] if c["type"] == "PodScheduled")
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] == "0/3 nodes are available: 3 Insufficient memory."


async def test_a_machine_starts_when_room_is_made_for_it(cluster: Cluster) -> None:
    cluster.settings.faults.never_schedule = True
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))
    await cluster.wait_status("web", "ErrorUnschedulable")

    cluster.settings.faults.never_schedule = False

    await cluster.wait_running("web")
    vm = await cluster.wait_status("web", "Running")
    assert "PodScheduled" not in {c["type"] for c in vm["status"]["conditions"]}


async def test_a_claim_that_does_not_exist_is_named(cluster: Cluster) -> None:
    vm = machine("web", cluster.namespace, annotations={"harvesterhci.io/volumeClaimTemplates": ""})
    await cluster.client.create(VIRTUAL_MACHINES, vm)

    seen = await cluster.wait_status("web", "ErrorPvcNotFound")

    condition = next(c for c in seen["status"]["conditions"] if c["type"] == "Synchronized")
    assert condition["reason"] == "FailedPvcNotFound"
    assert f"{cluster.namespace}/web-disk-0" in condition["message"]


async def test_a_claim_of_a_class_that_does_not_exist_holds_the_machine(cluster: Cluster) -> None:
    vm = machine("web", cluster.namespace)
    text = vm["metadata"]["annotations"]["harvesterhci.io/volumeClaimTemplates"].replace(
        "harvester-longhorn", "lh-none"
    )
    vm["metadata"]["annotations"]["harvesterhci.io/volumeClaimTemplates"] = text
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, vm)

    seen = await cluster.wait_status("web", "ErrorUnschedulable")

    condition = next(c for c in seen["status"]["conditions"] if c["type"] == "PodScheduled")
    assert "unbound immediate PersistentVolumeClaims" in condition["message"]


async def test_a_network_that_does_not_exist_is_named(cluster: Cluster) -> None:
    networks = [{"name": "default", "multus": {"networkName": "default/nowhere"}}]
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, networks=networks))

    instance = await cluster.until(
        VIRTUAL_MACHINE_INSTANCES,
        "web",
        lambda i: any(c["type"] == "Synchronized" for c in i["status"].get("conditions", [])),
    )

    condition = next(c for c in instance["status"]["conditions"] if c["type"] == "Synchronized")
    assert condition["reason"] == "FailedCreate"
    assert "default/nowhere not found" in condition["message"]


async def test_a_machine_beyond_the_quota_is_halted_and_told_why(cluster: Cluster) -> None:
    quota = {
        "metadata": {"name": "small", "namespace": cluster.namespace},
        "spec": {"hard": {"limits.memory": "6Gi", "limits.cpu": "8"}},
    }
    await cluster.client.create(RESOURCE_QUOTAS, quota)
    await cluster.start_machine("first")
    await cluster.client.create(VIRTUAL_MACHINES, machine("second", cluster.namespace))

    vm = await cluster.until(VIRTUAL_MACHINES, "second", lambda vm: vm["spec"]["runStrategy"] == "Halted")

    message = vm["metadata"]["annotations"]["harvesterhci.io/insufficient-resource-quota"]
    assert "limits.memory" in message
    assert await cluster.client.find(VIRTUAL_MACHINE_INSTANCES, "second", cluster.namespace) is None

    await cluster.client.delete(RESOURCE_QUOTAS, "small", cluster.namespace)
    await cluster.client.create(SECRETS, cloud_init("second", cluster.namespace))
    await cluster.client.patch(VIRTUAL_MACHINES, "second", {"spec": {"runStrategy": "Always"}}, cluster.namespace)
    await cluster.wait_running("second")
    vm = await cluster.vm("second")
    assert "harvesterhci.io/insufficient-resource-quota" not in vm["metadata"]["annotations"]


async def test_halting_by_run_strategy_stops_and_always_starts_again_on_the_same_disk(cluster: Cluster) -> None:
    before = await cluster.start_machine("web")
    await cluster.client.patch(VIRTUAL_MACHINES, "web", {"spec": {"runStrategy": "Halted"}}, cluster.namespace)
    await cluster.until_gone(VIRTUAL_MACHINE_INSTANCES, "web")
    vm = await cluster.wait_status("web", "Stopped")
    assert not vm["status"]["created"]
    assert not vm["status"]["ready"]

    await cluster.client.patch(VIRTUAL_MACHINES, "web", {"spec": {"runStrategy": "Always"}}, cluster.namespace)

    after = await cluster.wait_running("web")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["interfaces"][0]["ipAddress"] == before["status"]["interfaces"][0]["ipAddress"]
    assert any("instance id unchanged" in line for line in _log(cluster, "web"))


@pytest.mark.parametrize("strategy", ["RerunOnFailure", "Always"])
async def test_a_failed_instance_is_replaced(cluster: Cluster, strategy: str) -> None:
    before = await cluster.start_machine("web", strategy=strategy)
    failed = {"status": {"phase": "Failed"}}
    await cluster.client.patch(VIRTUAL_MACHINE_INSTANCES, "web", failed, cluster.namespace)

    def is_another(instance: Object) -> bool:
        return bool(instance["metadata"]["uid"] != before["metadata"]["uid"])

    await cluster.until(VIRTUAL_MACHINE_INSTANCES, "web", is_another)
    await cluster.wait_running("web")


@pytest.mark.parametrize("strategy", ["RerunOnFailure", "Once", "Manual"])
async def test_an_instance_that_shut_itself_down_stays_down(cluster: Cluster, strategy: str) -> None:
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy=strategy))
    if strategy == "Manual":
        await cluster.wait_status("web", "Stopped")
        await cluster.act("web", "start")
    await cluster.wait_running("web")

    ended = {"status": {"phase": "Succeeded"}}
    await cluster.client.patch(VIRTUAL_MACHINE_INSTANCES, "web", ended, cluster.namespace)

    await cluster.wait_status("web", "Stopped")
    await eventually(lambda: cluster.guests.find(cluster.namespace, "web") is None, "the machine is off")


async def test_a_halted_machine_is_never_started(cluster: Cluster) -> None:
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy="Halted"))

    await cluster.wait_status("web", "Stopped")
    # Its claims are made all the same.
    await cluster.until(PERSISTENT_VOLUME_CLAIMS, "web-disk-0", lambda c: c["status"].get("phase") == "Bound")
    assert await cluster.client.find(VIRTUAL_MACHINE_INSTANCES, "web", cluster.namespace) is None


async def test_a_slow_deletion_hangs_as_terminating(cluster: Cluster) -> None:
    await cluster.start_machine("web")
    cluster.settings.faults.slow_delete = 0.5
    await cluster.client.delete(VIRTUAL_MACHINES, "web", cluster.namespace)
    await cluster.wait_status("web", "Terminating")

    await cluster.until_gone(VIRTUAL_MACHINES, "web")


async def test_a_machine_made_anew_under_its_name_starts_blank(cluster: Cluster) -> None:
    annotations = {"harvesterhci.io/removedPersistentVolumeClaims": "web-disk-0"}
    await cluster.start_machine("web", annotations=annotations)
    await cluster.client.delete(VIRTUAL_MACHINES, "web", cluster.namespace)
    await cluster.until_gone(VIRTUAL_MACHINES, "web")
    await cluster.until_gone(PERSISTENT_VOLUME_CLAIMS, "web-disk-0")

    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace))

    await cluster.wait_running("web")
    assert not any("instance id unchanged" in line for line in _log(cluster, "web"))


async def test_many_machines_spread_over_the_hosts(cluster: Cluster) -> None:
    instances = await asyncio.gather(*(cluster.start_machine(f"m-{number}") for number in range(6)))

    placed = sorted(instance["status"]["nodeName"] for instance in instances)
    assert placed == sorted([*cluster.settings.node_names, *cluster.settings.node_names])
    addresses = {instance["status"]["interfaces"][0]["ipAddress"] for instance in instances}
    assert len(addresses) == 6


async def test_the_hosts_are_ready_and_untainted(cluster: Cluster) -> None:
    for name in cluster.settings.node_names:
        node = await cluster.until(
            NODES, name, lambda n: any(c["type"] == "Ready" for c in n["status"].get("conditions", []))
        )
        assert node["status"]["allocatable"]["cpu"] == "16"
        assert not node["spec"].get("taints")


async def test_an_annotation_that_is_no_json_does_not_stop_the_machine(cluster: Cluster) -> None:
    vm = machine("web", cluster.namespace, claims=[], annotations={"harvesterhci.io/volumeClaimTemplates": "{["})
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, vm)

    await cluster.wait_running("web")


async def test_two_starts_at_once_make_one_instance(cluster: Cluster) -> None:
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    await cluster.client.create(VIRTUAL_MACHINES, machine("web", cluster.namespace, strategy="Manual"))
    await cluster.wait_status("web", "Stopped")

    answers = await asyncio.gather(*(cluster.act("web", "start") for _ in range(3)), return_exceptions=True)

    assert any(answer is None for answer in answers)
    assert all(answer is None or (isinstance(answer, KubeError) and answer.code == 409) for answer in answers)
    await cluster.wait_running("web")


def _log(cluster: Cluster, name: str) -> list[str]:
    return cluster.guests.boot_log(cluster.namespace, name)
