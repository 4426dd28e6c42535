"""Creation: the order of calls, and a death at each of them."""

from __future__ import annotations

import base64

import pytest

from kube.errors import Forbidden, NotFound, Unavailable
from kube.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINES,
)
from node_driver.errors import DriverError, InfrastructureUnavailable, OwnershipConflict, QuotaExceeded
from node_driver.harvester.builds import build_owner_reference
from tests.node_driver.harvester.bench import IMAGE, HarvesterBench, seed
from tests.node_driver.harvester.recording_api import RecordingApi

NAME = "c1-pool1-abcde"
LOCATION = "tenant-1-web"
CALLS = 14
"""Of a create that meets nothing."""


@pytest.fixture
def api() -> RecordingApi:
    api = RecordingApi()
    seed(api)
    return api


@pytest.fixture
def bench(api: RecordingApi) -> HarvesterBench:
    return HarvesterBench(api, LOCATION, api.play)


def writes(api: RecordingApi) -> list[tuple[str, str]]:
    """(method, plural[/name]) of what was written, in order."""
    return [
        (method, path.split(f"/namespaces/{LOCATION}/")[-1])
        for method, path in api.requests
        if method != "GET" and f"/namespaces/{LOCATION}/" in path
    ]


def test_the_machine_itself_is_made_last(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.create(bench.order())
    assert writes(api) == [
        ("POST", "secrets"),
        ("POST", "persistentvolumeclaims"),
        ("POST", "persistentvolumeclaims"),
        ("POST", "keypairs"),
        ("POST", "virtualmachines"),
        ("PATCH", f"secrets/{NAME}-cloudinit"),
        ("PATCH", f"persistentvolumeclaims/{NAME}-disk-0"),
        ("PATCH", f"persistentvolumeclaims/{NAME}-disk-1"),
    ]


def test_a_machine_without_a_key_has_no_key_pair(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.create(bench.order(ssh_public_key=None))
    assert ("POST", "keypairs") not in writes(api)
    assert ("POST", "virtualmachines") in writes(api)


def test_create_of_a_complete_machine_writes_nothing(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.create(bench.order())
    api.requests.clear()
    bench.driver.create(bench.order())
    assert writes(api) == []


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(CALLS))
def test_flt22_death_at_any_call_of_create_leaves_one_machine_after_the_next(
    api: RecordingApi, bench: HarvesterBench, call: int, after_effect: bool
) -> None:
    with api.disturb(skip=call, times=1, after_effect=after_effect), pytest.raises(InfrastructureUnavailable):
        bench.driver.create(bench.order())
    owned = bench.driver.list_owned(LOCATION, "hub-1")
    assert bool(owned) is bool(bench.parts()), "an object is not in the sweeper's list"
    bench.bring_up(bench.order())
    assert len(bench.driver.list_owned(LOCATION, "hub-1")) == 1
    machine = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)
    secret = api.peek(SECRETS, f"{NAME}-cloudinit", LOCATION)
    assert secret["metadata"]["ownerReferences"] == [build_owner_reference(machine)]
    bench.remove(bench.ref())
    assert bench.parts() == []


def test_there_are_no_more_calls_than_the_deaths_cover(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.driver.create(bench.order())
    made = len(api.requests) - 2  # the seed's own
    assert made == CALLS


@pytest.mark.parametrize("call", range(CALLS))
def test_flt26_death_at_any_call_of_create_can_be_cleaned_up(
    api: RecordingApi, bench: HarvesterBench, call: int
) -> None:
    with api.disturb(skip=call, times=1, after_effect=True), pytest.raises(InfrastructureUnavailable):
        bench.driver.create(bench.order())
    for view in bench.driver.list_owned(LOCATION, "hub-1"):
        bench.remove(view.ref)
    assert bench.parts() == []


def test_flt26_a_quota_that_refuses_the_machine_leaves_parts_that_delete_removes(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    refusal = Forbidden("exceeded quota: team, limited: limits.memory=2Gi", code=403, reason="Forbidden")
    with (
        api.disturb("POST", "/virtualmachines", error=refusal),
        pytest.raises(QuotaExceeded, match=r"limits\.memory=2Gi"),
    ):
        bench.driver.create(bench.order())
    assert bench.driver.delete(bench.ref()).gone
    assert bench.parts() == []


@pytest.mark.parametrize("resource", [SECRETS, PERSISTENT_VOLUME_CLAIMS], ids=["secret", "claim"])
def test_flt22_a_part_of_somebody_else_is_a_conflict_and_keeps_its_content(
    api: RecordingApi, bench: HarvesterBench, resource: object
) -> None:
    name = f"{NAME}-cloudinit" if resource is SECRETS else f"{NAME}-disk-0"
    kind = SECRETS if resource is SECRETS else PERSISTENT_VOLUME_CLAIMS
    foreign = dict(api.put(kind, {"metadata": {"name": name, "namespace": LOCATION}}))
    with pytest.raises(OwnershipConflict, match=name):
        bench.driver.create(bench.order())
    assert api.peek(kind, name, LOCATION) == foreign
    bench.remove(bench.ref())
    assert bench.parts() == [f"{kind.kind} {name}"]


def test_a_disk_of_an_earlier_machine_is_not_used_again(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order())
    old = api.peek(PERSISTENT_VOLUME_CLAIMS, f"{NAME}-disk-0", LOCATION)["metadata"]["uid"]
    # Somebody deletes the virtual machine in Harvester's UI and keeps its disks.
    api.delete(VIRTUAL_MACHINES, NAME, LOCATION)
    api.play()
    with pytest.raises(InfrastructureUnavailable) as refused:
        bench.driver.create(bench.order())
    assert refused.value.reason == "StillDeleting"
    bench.until(lambda: _created(bench), "the machine to be made on fresh disks")
    assert api.peek(PERSISTENT_VOLUME_CLAIMS, f"{NAME}-disk-0", LOCATION)["metadata"]["uid"] != old


def _created(bench: HarvesterBench) -> bool:
    try:
        bench.driver.create(bench.order())
    except InfrastructureUnavailable:
        return False
    return True


def test_the_secret_of_an_earlier_machine_is_brought_up_to_date(api: RecordingApi, bench: HarvesterBench) -> None:
    bench.bring_up(bench.order(user_data="old"))
    api.delete(VIRTUAL_MACHINES, NAME, LOCATION)
    api.play()
    bench.until(lambda: _created(bench), "the machine to be made again")
    secret = api.peek(SECRETS, f"{NAME}-cloudinit", LOCATION)
    assert base64.b64decode(secret["data"]["userdata"]).decode() == bench.order().user_data
    assert (
        secret["metadata"]["ownerReferences"][0]["uid"] == api.peek(VIRTUAL_MACHINES, NAME, LOCATION)["metadata"]["uid"]
    )


def test_the_root_claim_of_a_cdi_image_is_left_to_harvester(api: RecordingApi, bench: HarvesterBench) -> None:
    namespace, name = IMAGE.split("/")
    api.peek(VIRTUAL_MACHINE_IMAGES, name, namespace)["spec"]["backend"] = "cdi"
    bench.driver.create(bench.order())
    assert f"PersistentVolumeClaim {NAME}-disk-0" not in bench.parts()
    assert f"PersistentVolumeClaim {NAME}-disk-1" in bench.parts()
    machine = api.peek(VIRTUAL_MACHINES, NAME, LOCATION)
    templates = machine["metadata"]["annotations"]["harvesterhci.io/volumeClaimTemplates"]
    assert f'"name":"{NAME}-disk-0"' in templates


def test_a_root_disk_that_harvester_filled_for_an_earlier_machine_is_not_used_again(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    namespace, name = IMAGE.split("/")
    api.peek(VIRTUAL_MACHINE_IMAGES, name, namespace)["spec"]["backend"] = "cdi"
    labels = {**bench.labels_of_parts()}
    api.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": f"{NAME}-disk-0", "namespace": LOCATION, "labels": labels}})
    with pytest.raises(InfrastructureUnavailable, match="earlier machine"):
        bench.driver.create(bench.order())
    assert f"PersistentVolumeClaim {NAME}-disk-0" not in bench.parts()


def test_a_machine_made_meanwhile_keeps_its_disks(api: RecordingApi, bench: HarvesterBench) -> None:
    """Two creates at once: the slower one finds the disks in use by the machine that the faster one has made."""
    bench.driver.create(bench.order())
    disk = api.peek(PERSISTENT_VOLUME_CLAIMS, f"{NAME}-disk-0", LOCATION)["metadata"]["uid"]
    # The slow one's first look was before the fast one's machine.
    unseen = NotFound("not yet", code=404, reason="NotFound")
    with api.disturb("GET", f"/virtualmachines/{NAME}", error=unseen, times=1):
        view = bench.driver.create(bench.order())
    assert view.external_id == api.peek(VIRTUAL_MACHINES, NAME, LOCATION)["metadata"]["uid"]
    assert api.peek(PERSISTENT_VOLUME_CLAIMS, f"{NAME}-disk-0", LOCATION)["metadata"]["uid"] == disk


def test_an_image_that_is_still_being_imported_is_waited_for_and_nothing_is_made(
    api: RecordingApi, bench: HarvesterBench
) -> None:
    namespace, name = IMAGE.split("/")
    api.peek(VIRTUAL_MACHINE_IMAGES, name, namespace)["status"]["progress"] = 12
    with pytest.raises(DriverError, match="12 %") as refused:
        bench.driver.create(bench.order())
    assert refused.value.retryable
    assert bench.parts() == []


def test_an_error_of_the_secrets_call_is_told_without_its_content(api: RecordingApi, bench: HarvesterBench) -> None:
    with api.disturb("POST", "/secrets", error=Unavailable("reset")), pytest.raises(DriverError) as lost:
        bench.driver.create(bench.order())
    assert "canary" not in f"{lost.value!r}{lost.value.__cause__!r}"
