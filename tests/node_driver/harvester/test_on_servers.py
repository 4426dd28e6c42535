"""What the driver says and does when Harvester's controllers go their own way; on simulated and real API server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kube.credentials import Credentials
from kube.names import random_suffix
from kube.resources import (
    KEY_PAIRS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    RESOURCE_QUOTAS,
    SECRETS,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.errors import InfrastructureUnavailable
from node_driver.harvester import builds
from node_driver.harvester.failures import driver_errors
from node_driver.harvester.ownership import OwnedObjects
from node_driver.harvester.settings import SETTINGS
from node_driver.types import MachinePhase, MachineRef, MachineView
from tests.bed.kubernetes import ApiServer
from tests.node_driver.harvester.bench import HarvesterBench
from tests.node_driver.harvester.orders import OWNER, build_order
from tests.node_driver.harvester.tapped_client import TappedClient
from tests.simulator.running import LOOPBACK

WITHOUT_AGENT = "#cloud-config\n{}\n"
EVERY_SETTING: dict[str, Any] = {
    "cpu_count": 4,
    "cpu_model": "Haswell",
    "cpu_pinning": True,
    "isolate_emulator_thread": True,
    "memory_gib": 8,
    "reserved_memory_mib": 256,
    "disk_gib": 20,
    "disk_bus": "sata",
    "extra_networks": ["default/vlan2"],
    "network_model": "e1000",
    "storage_class": "slow",
    "extra_disks": [{"size_gib": 1, "storage_class": "fast", "bus": "scsi"}, {"size_gib": 2}],
    "firmware": "efi-secure-boot",
    "tpm": True,
    "host_devices": ["nvidia.com/GRID_A100-4C"],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
    "ssh_user": "debian",
}


@pytest.fixture
def bench(server_bench: HarvesterBench) -> HarvesterBench:
    return server_bench


def see(bench: HarvesterBench, reason: str) -> MachineView:
    """The bench's machine once it is seen with that reason."""
    bench.until(lambda: bench.driver.get(bench.ref()).reason == reason, f"the reason {reason}")
    return bench.driver.get(bench.ref())


def test_flt26_a_machine_that_fits_no_host_is_told_as_unschedulable(bench: HarvesterBench) -> None:
    settings = SETTINGS.validate({**bench.settings, "memory_gib": 20000})
    bench.driver.create(bench.order(settings=settings))
    view = see(bench, "Unschedulable")
    assert view.phase is MachinePhase.STARTING
    assert view.message is not None
    assert "nodes are available" in view.message
    bench.remove(bench.ref())
    assert bench.parts() == []


def test_flt26_a_machine_beyond_the_namespaces_quota_is_told_as_such(bench: HarvesterBench) -> None:
    quota = {"metadata": {"name": "team", "namespace": bench.location}, "spec": {"hard": {"limits.memory": "1Gi"}}}
    bench.client.create(RESOURCE_QUOTAS, quota)
    bench.driver.create(bench.order())
    view = see(bench, "InsufficientResourceQuota")
    assert view.phase is MachinePhase.FAILED
    assert view.message is not None
    assert "limits.memory" in view.message
    bench.remove(bench.ref())
    assert bench.parts() == []


def test_flt26_a_guest_without_agent_runs_without_an_address_and_is_told_why(bench: HarvesterBench) -> None:
    bench.driver.create(bench.order(user_data=WITHOUT_AGENT))
    view = see(bench, "NoAddress")
    assert (view.phase, view.addresses) == (MachinePhase.RUNNING, ())
    assert view.message is not None
    assert bench.settings["network"] in view.message


def test_a_guest_without_agent_has_the_static_address_of_its_order(bench: HarvesterBench) -> None:
    network_data = "version: 2\nethernets: {nic0: {match: {name: 'en*'}, addresses: [127.81.0.9/20]}}\n"
    order = bench.order(user_data=WITHOUT_AGENT, network_data=network_data, static_addresses=("127.81.0.9",))
    assert bench.bring_up(order).addresses == ("127.81.0.9",)


def test_flt28_a_machine_made_again_after_somebody_removed_it_boots_from_fresh_disks(bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    name = f"{bench.ref().name}-disk-0"
    old = bench.client.get(PERSISTENT_VOLUME_CLAIMS, name, bench.location)
    bench.client.delete(VIRTUAL_MACHINES, bench.ref().name, bench.location)
    bench.until(lambda: bench.client.find(VIRTUAL_MACHINES, bench.ref().name, bench.location) is None, "it to be gone")

    def made_again() -> bool:
        try:
            return bench.driver.create(bench.order()).phase is not MachinePhase.DELETING
        except InfrastructureUnavailable:
            return False

    bench.until(made_again, "the machine to be made again")
    bench.until(lambda: bench.driver.get(bench.ref()).addresses, "an address")
    new = bench.client.get(PERSISTENT_VOLUME_CLAIMS, name, bench.location)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert bench.documents(bench.ref())[0] == bench.order().user_data


def test_sec09_join_material_goes_with_a_machine_that_somebody_else_removes(bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    bench.client.delete(VIRTUAL_MACHINES, bench.ref().name, bench.location)
    name = f"{bench.ref().name}-cloudinit"
    bench.until(lambda: bench.client.find(SECRETS, name, bench.location) is None, "the Secret to be collected")


def test_preconditions_hold_off_writes_to_an_object_that_was_made_anew(bench: HarvesterBench) -> None:
    objects = OwnedObjects(bench.client, bench.ref())
    secret = builds.build_secret(bench.order())
    old = objects.ensure(SECRETS, secret)
    bench.client.delete(SECRETS, secret["metadata"]["name"], bench.location)
    new = objects.ensure(SECRETS, secret)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    with pytest.raises(InfrastructureUnavailable), driver_errors():
        objects.change(SECRETS, old, {"data": {"userdata": ""}})
    with pytest.raises(InfrastructureUnavailable), driver_errors():
        objects.delete(SECRETS, old)
    assert bench.documents(bench.ref())[0] == bench.order().user_data


def every_object(location: str) -> list[tuple[Resource, Object]]:
    """All that the driver writes for an order with every setting in use."""
    order = build_order(ref=MachineRef(location, "c1-pool1-abcde", OWNER), network_data="version: 2\n")
    order = replace(order, settings=SETTINGS.validate({**order.settings, **EVERY_SETTING}))
    claims = builds.build_claims(order, "lh-1")
    key_pair = builds.build_key_pair(order)
    assert key_pair is not None
    return [
        (SECRETS, builds.build_secret(order)),
        *((PERSISTENT_VOLUME_CLAIMS, claim) for claim in claims),
        (KEY_PAIRS, key_pair),
        (VIRTUAL_MACHINES, builds.build_virtual_machine(order, claims)),
    ]


def accept_unchanged(client: TappedClient, location: str) -> None:
    """Creates each object and finds everything of it in what the server stored: nothing was pruned or turned."""
    client.create(NAMESPACES, {"metadata": {"name": location}})
    for resource, obj in every_object(location):
        stored = client.create(resource, obj)
        client.delete(resource, obj["metadata"]["name"], location)
        assert covers(stored, obj), f"{resource.kind} was changed by the server: {stored}"


def covers(stored: Any, written: Any) -> bool:
    """Whether all that was written is in what is stored, which may have more."""
    if isinstance(written, dict):
        return isinstance(stored, dict) and all(key in stored and covers(stored[key], written[key]) for key in written)
    if isinstance(written, list):
        return isinstance(stored, list) and len(stored) == len(written) and all(map(covers, stored, written))
    return bool(stored == written)


@pytest.mark.parametrize("server", ["kube_apiserver", "kube_apiserver_with_real_crds"])
@pytest.mark.kube
@pytest.mark.servers
def test_every_object_is_stored_as_written_by_the_real_server(request: pytest.FixtureRequest, server: str) -> None:
    """With the project's own CRDs, and with those of KubeVirt and Harvester where they are at hand."""
    found: ApiServer = request.getfixturevalue(server)
    credentials = found.admin_credentials
    with TappedClient(credentials, guard=LOOPBACK) as client:
        accept_unchanged(client, f"team-{random_suffix()}")


def test_every_object_is_stored_as_written_by_the_simulated_server(simulated_harvester: Credentials) -> None:
    with TappedClient(simulated_harvester, guard=LOOPBACK) as client:
        accept_unchanged(client, f"team-{random_suffix()}")
