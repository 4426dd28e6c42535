"""Removal: its order, and a death at each call."""

from __future__ import annotations

import pytest

from kube.errors import Forbidden
from kube.resources import PERSISTENT_VOLUME_CLAIMS, SECRETS, VIRTUAL_MACHINE_INSTANCES, VIRTUAL_MACHINES
from node_driver.errors import InfrastructureUnavailable, Rejected
from node_driver.harvester.builds import REMOVED_CLAIMS
from tests.node_driver.harvester.bench import HarvesterBench, seed
from tests.node_driver.harvester.recording_api import RecordingApi

NAME = "c1-pool1-abcde"
LOCATION = "tenant-1-web"


@pytest.fixture
def api() -> RecordingApi:
    api = RecordingApi()
    seed(api)
    return api


@pytest.fixture
def bench(api: RecordingApi) -> HarvesterBench:
    bench = HarvesterBench(api, LOCATION, api.play)
    bench.bring_up(bench.order())
    return bench


def test_harvester_is_told_which_claims_go_before_the_machine_is_deleted(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    api.requests.clear()
    bench.driver.delete(bench.ref())
    machine = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)
    assert machine["metadata"]["annotations"][REMOVED_CLAIMS] == f"{NAME}-disk-0,{NAME}-disk-1"
    writes = [(method, path.rsplit("/", 2)[-2]) for method, path in api.requests if method != "GET"]
    assert writes[:2] == [("PATCH", "virtualmachines"), ("DELETE", "virtualmachines")]


def test_claims_wait_for_the_machine_and_its_instance(api: RecordingApi, bench: HarvesterBench) -> None:
    remains = bench.driver.delete(bench.ref())
    assert remains.objects == (
        f"VirtualMachine {LOCATION}/{NAME}",
        f"VirtualMachineInstance {LOCATION}/{NAME}",
        f"PersistentVolumeClaim {LOCATION}/{NAME}-disk-0",
        f"PersistentVolumeClaim {LOCATION}/{NAME}-disk-1",
    )
    instance = api.peek(VIRTUAL_MACHINE_INSTANCES, NAME, LOCATION)
    api.play()
    api.put(VIRTUAL_MACHINE_INSTANCES, {key: instance[key] for key in ("metadata", "spec", "status")})
    remains = bench.driver.delete(bench.ref())
    assert remains.objects[0] == f"VirtualMachineInstance {LOCATION}/{NAME}"
    assert len(remains.objects) == 3
    api.delete(VIRTUAL_MACHINE_INSTANCES, NAME, LOCATION)
    assert bench.driver.delete(bench.ref()).gone
    assert bench.parts() == []


def test_asking_again_while_the_machine_is_being_deleted_writes_nothing(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    bench.driver.delete(bench.ref())
    api.requests.clear()
    bench.driver.delete(bench.ref())
    assert [method for method, _ in api.requests if method != "GET"] == []


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(24))
def test_flt27_death_at_any_call_of_delete_leaves_nothing_after_the_next(
    api: RecordingApi, bench: HarvesterBench, call: int, after_effect: bool
) -> None:
    requests_before = len(api.requests)
    with api.disturb(skip=call, times=1, after_effect=after_effect):
        for _ in range(2):  # The second pass finds the machine gone and goes for its claims.
            try:
                bench.driver.delete(bench.ref())
            except InfrastructureUnavailable:
                break
            api.play()
    assert len(api.requests) - requests_before > call, "the calls did not reach that far: lower the range"
    owned = bench.driver.list_owned(LOCATION, "hub-1")
    assert bool(owned) is bool(bench.parts()), "an object is not in the sweeper's list"
    bench.remove(bench.ref())
    assert bench.parts() == []


def test_a_claim_that_harvester_made_without_our_labels_is_taken_and_removed(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    del api.peek(PERSISTENT_VOLUME_CLAIMS, f"{NAME}-disk-0", LOCATION)["metadata"]["labels"]
    bench.remove(bench.ref())
    assert bench.parts() == []


def test_a_users_own_claim_that_was_attached_to_the_machine_stays(api: RecordingApi, bench: HarvesterBench) -> None:
    for name in ("users-data", f"{NAME}-disk-7"):
        labels = {"paddock.io/machine-name": "other"} if name != "users-data" else {"app": "db"}
        api.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": name, "namespace": LOCATION, "labels": labels}})
    machine = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)
    entries = ",".join(f'{{"metadata":{{"name":"{name}"}}}}' for name in ("users-data", f"{NAME}-disk-7", "not-there"))
    machine["metadata"]["annotations"]["harvesterhci.io/volumeClaimTemplates"] = f"[{entries}]"
    bench.driver.delete(bench.ref())
    assert api.peek(VIRTUAL_MACHINES, NAME, LOCATION)["metadata"]["annotations"][REMOVED_CLAIMS] == ""
    bench.remove(bench.ref())
    assert bench.parts() == [f"PersistentVolumeClaim {NAME}-disk-7", "PersistentVolumeClaim users-data"]


@pytest.mark.parametrize("written", ["", "null", "nonsense", "{}", "[5]", '[{"metadata": {}}]', '["x"]'])
def test_an_edited_claim_template_annotation_does_not_stop_removal(
    api: RecordingApi, bench: HarvesterBench, written: str
) -> None:
    annotations = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)["metadata"]["annotations"]
    annotations["harvesterhci.io/volumeClaimTemplates"] = written
    bench.remove(bench.ref())
    assert bench.parts() == []


def test_a_refusal_of_harvester_is_told_in_its_words(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.delete(bench.ref())
    api.play()
    message = 'admission webhook "validator.harvesterhci.io" denied the request: volume is attached to VM other'
    refusal = Forbidden(message, code=403, reason="Forbidden")
    with (
        api.disturb("DELETE", "/persistentvolumeclaims/", error=refusal),
        pytest.raises(Rejected, match="attached to VM other"),
    ):
        bench.driver.delete(bench.ref())


def test_join_material_goes_at_once(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.delete(bench.ref())
    assert api.list(SECRETS, LOCATION) == []


def test_a_users_copy_of_the_machine_is_left_alone(api: RecordingApi, bench: HarvesterBench) -> None:
    """Harvester's clone copies labels: the copy names our machine, under a name of its own."""
    machine = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)
    metadata = {"name": "my-copy", "namespace": LOCATION, "labels": dict(machine["metadata"]["labels"])}
    api.put(VIRTUAL_MACHINES, {"metadata": metadata, "spec": machine["spec"]})
    assert len(bench.driver.list_owned(LOCATION, "hub-1")) == 1
    bench.remove(bench.ref())
    assert [part for part in bench.parts() if "Instance" not in part] == ["VirtualMachine my-copy"]
