"""Which objects are ours."""

from __future__ import annotations

import pytest

from kube.errors import Conflict, FieldCause, Invalid
from kube.resources import (
    KEY_PAIRS,
    PERSISTENT_VOLUME_CLAIMS,
    SECRETS,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.errors import InfrastructureUnavailable, OwnershipConflict
from node_driver.harvester.ownership import OwnedObjects, machine_of, owner_labels
from tests.node_driver.harvester.orders import OWNER_LABELS, REF
from tests.node_driver.harvester.recording_api import RecordingApi


def owned(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": "team-a", "labels": {**OWNER_LABELS, **labels}}}


@pytest.fixture
def api() -> RecordingApi:
    return RecordingApi()


@pytest.fixture
def objects(api: RecordingApi) -> OwnedObjects:
    return OwnedObjects(api, REF)


def test_the_labels_name_hub_machine_and_tenant() -> None:
    assert owner_labels(REF) == OWNER_LABELS


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (VIRTUAL_MACHINES, "c1-pool1-abcde"),
        (PERSISTENT_VOLUME_CLAIMS, "c1-pool1-abcde-disk-0"),
        (PERSISTENT_VOLUME_CLAIMS, "c1-pool1-abcde-disk-12"),
        (SECRETS, "c1-pool1-abcde-cloudinit"),
        (KEY_PAIRS, "c1-pool1-abcde-key"),
    ],
)
def test_an_object_with_our_labels_and_our_name_is_ours(resource: Resource, name: str) -> None:
    assert machine_of(resource, owned(name)) == REF


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (VIRTUAL_MACHINES, "my-clone"),
        (PERSISTENT_VOLUME_CLAIMS, "c1-pool1-abcde-disk-0-x8k2p"),
        (PERSISTENT_VOLUME_CLAIMS, "restore-backup-1-c1-pool1-abcde-disk-0"),
        (PERSISTENT_VOLUME_CLAIMS, "c1-pool1-abcde-disk-x"),
        (SECRETS, "c1-pool1-abcde"),
        (KEY_PAIRS, "c1-pool1-abcde-cloudinit"),
    ],
)
def test_a_copy_that_harvester_made_with_our_labels_is_not_ours(resource: Resource, name: str) -> None:
    assert machine_of(resource, owned(name)) is None


@pytest.mark.parametrize(
    "labels",
    [
        {"paddock.io/owner-kind": "cluster"},
        {"paddock.io/hub-epoch": "x"},
        {"paddock.io/hub-epoch": "-1"},
        {"paddock.io/hub-id": ""},
        {"paddock.io/machine-name": ".*"},
        {"paddock.io/machine-name": ""},
        {"paddock.io/owner-id": ""},
    ],
)
def test_sec43_nonsense_in_the_labels_makes_an_object_nobodys(labels: dict[str, str]) -> None:
    assert machine_of(VIRTUAL_MACHINES, owned("c1-pool1-abcde", **labels)) is None


@pytest.mark.parametrize("labels", [None, {}, {"paddock.io/hub-id": "hub-1"}])
def test_an_object_without_our_labels_is_nobodys(labels: dict[str, str] | None) -> None:
    obj = {"metadata": {"name": "c1-pool1-abcde", "namespace": "team-a", "labels": labels}}
    assert machine_of(VIRTUAL_MACHINES, obj) is None


def test_flt22_ensure_creates_once_and_then_answers_what_is_there(api: RecordingApi, objects: OwnedObjects) -> None:
    first = objects.ensure(VIRTUAL_MACHINES, owned("c1-pool1-abcde"))
    assert objects.ensure(VIRTUAL_MACHINES, owned("c1-pool1-abcde")) == first
    assert len(api.objects) == 1


def test_flt22_ensure_refuses_the_object_of_somebody_else(api: RecordingApi, objects: OwnedObjects) -> None:
    foreign = api.put(SECRETS, owned("c1-pool1-abcde-cloudinit", **{"paddock.io/owner-id": "machine-2"}))
    with pytest.raises(OwnershipConflict, match="Secret team-a/c1-pool1-abcde-cloudinit"):
        objects.ensure(SECRETS, owned("c1-pool1-abcde-cloudinit"))
    assert list(api.objects.values()) == [foreign]


def test_flt28_ensure_does_not_take_up_what_is_being_deleted(api: RecordingApi, objects: OwnedObjects) -> None:
    objects.ensure(VIRTUAL_MACHINES, owned("c1-pool1-abcde"))
    api.delete(VIRTUAL_MACHINES, "c1-pool1-abcde", "team-a")
    with pytest.raises(InfrastructureUnavailable, match="being deleted") as refused:
        objects.ensure(VIRTUAL_MACHINES, owned("c1-pool1-abcde"))
    assert refused.value.reason == "StillDeleting"


def test_change_and_delete_touch_this_very_object_only(api: RecordingApi, objects: OwnedObjects) -> None:
    old = objects.ensure(SECRETS, owned("c1-pool1-abcde-cloudinit"))
    api.delete(SECRETS, "c1-pool1-abcde-cloudinit", "team-a")
    objects.ensure(SECRETS, owned("c1-pool1-abcde-cloudinit"))
    with pytest.raises(InfrastructureUnavailable, match="made anew"):
        objects.change(SECRETS, old, {"data": {"userdata": ""}})
    with pytest.raises(Conflict):
        objects.delete(SECRETS, old)
    assert "data" not in api.peek(SECRETS, "c1-pool1-abcde-cloudinit", "team-a")


def test_changing_what_went_away_meanwhile_is_retryable(api: RecordingApi, objects: OwnedObjects) -> None:
    old = objects.ensure(SECRETS, owned("c1-pool1-abcde-cloudinit"))
    api.delete(SECRETS, "c1-pool1-abcde-cloudinit", "team-a")
    with pytest.raises(InfrastructureUnavailable, match="went away"):
        objects.change(SECRETS, old, {"data": {}})


def test_list_leaves_out_what_a_newer_epoch_took(api: RecordingApi, objects: OwnedObjects) -> None:
    api.put(SECRETS, owned("c1-pool1-abcde-cloudinit", **{"paddock.io/hub-epoch": "4"}))
    assert objects.list(SECRETS) == []


def test_a_change_that_the_api_refuses_for_another_reason_is_not_mistaken(
    api: RecordingApi, objects: OwnedObjects
) -> None:
    old = objects.ensure(SECRETS, owned("c1-pool1-abcde-cloudinit"))
    cause = FieldCause("FieldValueInvalid", "data", "too long")
    with api.disturb("PATCH", error=Invalid("too long", causes=(cause,))), pytest.raises(Invalid):
        objects.change(SECRETS, old, {"data": {}})
