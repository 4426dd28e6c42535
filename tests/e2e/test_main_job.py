"""The job Paddock exists for, on a real kube-apiserver: ordered over REST, done by real workers, shown by kubectl."""

import subprocess
from pathlib import Path

import pytest

from hub.quickstart.demo import Demo
from kube.resources import SECRETS, VIRTUAL_MACHINES
from tests.e2e.harvester import RealHarvester
from tests.e2e.work import Hub, names_of, nothing_left

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    ("fixture", "distribution"),
    [("harvester", "k3s"), ("harvester", "rke2"), ("harvester_with_real_crds", "k3s")],
    ids=["own-crds-k3s", "own-crds-rke2", "real-crds-k3s"],
)
def test_the_demo_s_job_ends_with_five_ready_nodes_and_its_deletion_with_nothing(
    hub: Hub, request: pytest.FixtureRequest, fixture: str, distribution: str, tmp_path: Path
) -> None:
    harvester: RealHarvester = request.getfixturevalue(fixture)
    told: list[str] = []
    kubeconfig = tmp_path / "harvester.kubeconfig"
    kubeconfig.write_text(harvester.kubeconfig())
    clusters = {harvester.name: kubeconfig}
    job = Demo(hub.client, clusters, tmp_path, distribution, say=told.append, revive=hub.stack.processes.revive)
    job.run()
    assert any("kubectl get nodes" in line for line in told)
    guest = hub.client.find("guest-clusters", name=f"demo-{distribution}")
    assert len(names_of(harvester, guest)["VirtualMachine"]) == 5
    hub.delete(guest)
    assert nothing_left(harvester, guest)


def test_a_guest_of_three_servers_still_answers_through_the_hub_when_the_first_one_dies(
    hub: Hub, harvester: RealHarvester, kubectl: Path, tmp_path: Path
) -> None:
    cluster = hub.import_harvester(harvester)
    guest = hub.ready(hub.order(cluster, servers=3, workers=0))
    answer = hub.client.post(f"clusters/{guest['member_cluster']}/kubeconfig", {})
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(answer["kubeconfig"])

    def nodes() -> list[str]:
        command = [str(kubectl), "--kubeconfig", str(kubeconfig), "get", "nodes", "-o", "name"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout.split()

    assert len(nodes()) == 3
    founder = min(hub.machines(guest), key=lambda machine: machine["created_at"])
    with harvester.client() as client:
        vm = next(obj for obj in client.list(VIRTUAL_MACHINES) if obj["metadata"]["name"] == founder["name"])
        halt = {"spec": {"runStrategy": "Halted"}}
        client.patch(VIRTUAL_MACHINES, founder["name"], halt, vm["metadata"]["namespace"])
    hub.until("the first server to be down", lambda: founder["name"] not in running_names(harvester))
    assert len(hub.until("an answer by another server", nodes, 60)) == 3
    hub.delete(guest)


def running_names(harvester: RealHarvester) -> set[str]:
    with harvester.client() as client:
        return {
            obj["metadata"]["name"]
            for obj in client.list(VIRTUAL_MACHINES)
            if obj.get("status", {}).get("printableStatus") == "Running"
        }


def test_sec09_no_join_material_is_left_in_the_hci_after_the_join(hub: Hub, harvester: RealHarvester) -> None:
    cluster = hub.import_harvester(harvester)
    guest = hub.ready(hub.order(cluster))

    def forgotten() -> bool:
        with harvester.client() as client:
            secrets = [s for s in client.list(SECRETS) if s["metadata"]["name"].startswith(guest["name"])]
        return len(secrets) == 2 and all(len(s["data"]["userdata"]) < 200 for s in secrets)

    assert hub.until("the bootstrap to be forgotten", forgotten, 60)
    hub.delete(guest)


def test_workers_are_scaled_up_and_down_by_the_pool_s_count(hub: Hub, harvester: RealHarvester) -> None:
    cluster = hub.import_harvester(harvester)
    guest = hub.ready(hub.order(cluster))
    pool = next(pool for pool in guest["pools"] if pool["role"] == "worker")
    for count in (3, 1):
        hub.client.patch(f"node-pools/{pool['id']}", {"count": count})
        hub.until(f"{count} workers", lambda count=count: len(ready_workers(hub, guest)) == count)  # type: ignore[misc]
        hub.ready(guest)
    assert len(names_of(harvester, guest)["VirtualMachine"]) == 2
    hub.delete(guest)


def ready_workers(hub: Hub, guest: dict[str, str]) -> list[str]:
    workers = [machine for machine in hub.machines(guest) if machine["role"] == "worker"]
    return [m["name"] for m in workers] if all(m["phase"] == "Ready" for m in workers) else []
