"""Controllers whose API fails them, as a real one may: they go on where they were (FLT-17, FLT-19, FLT-20)."""

import asyncio

import pytest

from kube.errors import KubeError
from kube.resources import SECRETS, VIRTUAL_MACHINE_INSTANCES, VIRTUAL_MACHINES
from simulator.apiserver.faults import Fault, FaultKind
from tests.simulator.controllers.conftest import Cluster
from tests.simulator.controllers.objects import cloud_init, machine


@pytest.mark.parametrize("cluster", ["simulated"], indirect=True)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.AWAY, seconds=0.5),
        Fault(FaultKind.SERVER_ERROR, method="PATCH", count=4),
        Fault(FaultKind.TOO_MANY_REQUESTS, count=10, seconds=0),
        Fault(FaultKind.RESET, count=10),
        Fault(FaultKind.EXPIRED, verb="watch", count=5),
        Fault(FaultKind.LOST_RESPONSE, method="POST", resource="virtualmachineinstances"),
        Fault(FaultKind.TRUNCATED, method="GET", count=5),
    ],
    ids=lambda fault: str(fault.kind),
)
async def test_flt17_a_machine_starts_through_the_faults_of_the_api(cluster: Cluster, fault: Fault) -> None:
    await cluster.client.create(SECRETS, cloud_init("web", cluster.namespace))
    vm = machine("web", cluster.namespace, strategy="Halted")
    await cluster.client.create(VIRTUAL_MACHINES, vm)
    await cluster.wait_status("web", "Stopped")
    await cluster.client.patch(VIRTUAL_MACHINES, "web", {"spec": {"runStrategy": "Always"}}, cluster.namespace)

    cluster.inject(fault)

    async with asyncio.timeout(30):
        while not await _runs(cluster):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("cluster", ["simulated"], indirect=True)
async def test_flt17_a_failed_instance_is_replaced_although_the_status_could_not_be_written_at_first(
    cluster: Cluster,
) -> None:
    before = await cluster.start_machine("web", strategy="RerunOnFailure")
    await cluster.wait_status("web", "Running")
    cluster.inject(Fault(FaultKind.SERVER_ERROR, method="PATCH", path="*/virtualmachines/web/status", count=2))

    failed = {"status": {"phase": "Failed"}}
    await cluster.client.patch(VIRTUAL_MACHINE_INSTANCES, "web", failed, cluster.namespace)

    await cluster.until(
        VIRTUAL_MACHINE_INSTANCES, "web", lambda instance: instance["metadata"]["uid"] != before["metadata"]["uid"]
    )


async def _runs(cluster: Cluster) -> bool:
    try:
        vm = await cluster.vm("web")
    except KubeError:
        return False  # the fault met the test itself
    return bool(vm["status"].get("printableStatus") == "Running")
