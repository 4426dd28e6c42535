"""What virtual machine and instance say, in the contract's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kube.resources import Object
from node_driver.harvester.observe import is_over, view_of, view_of_parts
from node_driver.types import MachinePhase, MachineView
from tests.node_driver.harvester.orders import REF

UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient memory."


def machine(
    printable: str = "",
    *,
    conditions: tuple[Object, ...] = (),
    annotations: dict[str, str] | None = None,
    strategy: str = "RerunOnFailure",
    deleted: bool = False,
) -> Object:
    metadata = {"uid": "uid-1", "creationTimestamp": "2026-11-24T08:00:00Z", "annotations": annotations or {}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-24T09:00:00Z"
    networks = [
        {"name": "nic-0", "multus": {"networkName": "default/vlan100"}},
        {"name": "nic-1", "multus": {"networkName": "default/vlan200"}},
    ]
    obj: Object = {
        "metadata": metadata,
        "spec": {"runStrategy": strategy, "template": {"spec": {"networks": networks}}},
    }
    if printable or conditions:
        obj["status"] = {"printableStatus": printable, "conditions": list(conditions)}
    return obj


def instance(phase: str, *interfaces: Object, conditions: tuple[Object, ...] = (), deleted: bool = False) -> Object:
    metadata = {"deletionTimestamp": "2026-11-24T09:00:00Z"} if deleted else {}
    return {
        "metadata": metadata,
        "status": {"phase": phase, "interfaces": list(interfaces), "conditions": list(conditions)},
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def seen(machine: Object, instance: Object | None = None) -> MachineView:
    return view_of(REF, machine, instance)


@pytest.mark.parametrize(
    ("vm", "vmi", "phase"),
    [
        (machine(), None, MachinePhase.PENDING),
        (machine("Provisioning"), None, MachinePhase.PENDING),
        (machine("Starting"), None, MachinePhase.STARTING),
        (machine("Stopped"), None, MachinePhase.STOPPED),
        (machine("Stopping"), None, MachinePhase.STOPPING),
        (machine("Starting"), instance(""), MachinePhase.STARTING),
        (machine("Starting"), instance("Pending"), MachinePhase.STARTING),
        (machine("Starting"), instance("Scheduling"), MachinePhase.STARTING),
        (machine("Starting"), instance("Scheduled"), MachinePhase.STARTING),
        (machine("Running"), instance("Running"), MachinePhase.RUNNING),
        (machine("Migrating"), instance("Running"), MachinePhase.RUNNING),
        (machine("Starting"), instance("WaitingForSync"), MachinePhase.STARTING),
        (machine("Stopped"), instance("Succeeded"), MachinePhase.STOPPED),
        (machine("Stopping"), instance("Running", deleted=True), MachinePhase.STOPPING),
        (machine("Running", deleted=True), instance("Running"), MachinePhase.DELETING),
        (machine(deleted=True), None, MachinePhase.DELETING),
        (machine("Starting"), instance("SomethingNew"), MachinePhase.STARTING),
        (machine("SomethingNew"), None, MachinePhase.STARTING),
    ],
)
def test_phases(vm: Object, vmi: Object | None, phase: MachinePhase) -> None:
    assert seen(vm, vmi).phase is phase


def test_an_ordinary_start_has_no_reason() -> None:
    view = seen(machine("Starting"), instance("Scheduling"))
    assert (view.reason, view.message, view.addresses) == (None, None, ())
    assert (view.external_id, view.created_at) == ("uid-1", datetime(2026, 11, 24, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    ("vm", "vmi", "phase", "reason", "message"),
    [
        (
            machine("ErrorUnschedulable"),
            instance("Scheduling", conditions=(condition("PodScheduled", "False", "Unschedulable", UNSCHEDULABLE),)),
            MachinePhase.STARTING,
            "Unschedulable",
            UNSCHEDULABLE,
        ),
        (
            machine("Starting", conditions=(condition("Failure", "True", "FailedCreate", "exceeded quota: q"),)),
            None,
            MachinePhase.STARTING,
            "FailedCreate",
            "exceeded quota: q",
        ),
        (
            machine("Stopped", annotations={"harvesterhci.io/insufficient-resource-quota": "limits.memory 4Gi > 2Gi"}),
            None,
            MachinePhase.FAILED,
            "InsufficientResourceQuota",
            "limits.memory 4Gi > 2Gi",
        ),
        (
            machine("ErrorPvcNotFound", conditions=(condition("Ready", "False", "X", "PVC m-disk-0 does not exist"),)),
            None,
            MachinePhase.STARTING,
            "ErrorPvcNotFound",
            "PVC m-disk-0 does not exist",
        ),
        (machine("WaitingForVolumeBinding"), None, MachinePhase.PENDING, "WaitingForVolumeBinding", None),
        (machine("CrashLoopBackOff"), instance("Failed"), MachinePhase.STARTING, "CrashLoopBackOff", None),
        (machine("Stopped", strategy="Once"), instance("Failed"), MachinePhase.FAILED, "Failed", None),
        (
            machine("Running"),
            instance(
                "Running",
                {"name": "nic-0", "ipAddress": "10.0.0.1"},
                conditions=(condition("Paused", "True", "PausedIOError", "no space"),),
            ),
            MachinePhase.RUNNING,
            "PausedIOError",
            "no space",
        ),
        (machine("Unknown"), instance("Unknown"), MachinePhase.RUNNING, "Unknown", None),
    ],
    ids=[
        "unschedulable",
        "quota-at-start",
        "quota-halted",
        "claim",
        "binding",
        "crash",
        "failed",
        "paused",
        "lost-host",
    ],
)
def test_flt26_what_holds_a_machine_up_is_told_in_harvesters_words(
    vm: Object, vmi: Object | None, phase: MachinePhase, reason: str, message: str | None
) -> None:
    view = seen(vm, vmi)
    assert (view.phase, view.reason, view.message) == (phase, reason, message)


def test_a_quota_message_of_the_past_does_not_matter_while_the_machine_runs() -> None:
    vm = machine("Running", annotations={"harvesterhci.io/insufficient-resource-quota": "old"})
    view = seen(vm, instance("Running", {"name": "nic-0", "ipAddress": "10.0.0.1"}))
    assert (view.phase, view.reason) == (MachinePhase.RUNNING, None)


def test_flt26_a_machine_that_runs_without_an_address_says_on_which_networks() -> None:
    view = seen(machine("Running"), instance("Running", {"name": "nic-0"}))
    assert (view.phase, view.reason, view.addresses) == (MachinePhase.RUNNING, "NoAddress", ())
    assert view.message is not None
    assert "default/vlan100, default/vlan200" in view.message


@pytest.mark.parametrize(
    ("interfaces", "addresses"),
    [
        ([{"name": "nic-0", "ipAddress": "10.0.0.1"}], ("10.0.0.1",)),
        ([{"name": "nic-0", "ipAddress": "10.0.0.1/24"}], ("10.0.0.1",)),
        (
            [{"name": "nic-0", "ipAddress": "fd00::1", "ipAddresses": ["fd00::1", "10.0.0.9", "10.0.0.1", "fe80::1"]}],
            ("10.0.0.9", "10.0.0.1", "fd00::1"),
        ),
        (
            [{"name": "nic-1", "ipAddress": "10.2.0.1"}, {"name": "nic-0", "ipAddress": "10.1.0.1"}],
            ("10.1.0.1", "10.2.0.1"),
        ),
        (
            [
                {"interfaceName": "cni0", "ipAddress": "10.42.0.1"},
                {"interfaceName": "lo", "ipAddress": "127.0.0.1", "name": ""},
            ],
            (),
        ),
        (
            [{"name": "nic-0", "ipAddresses": ["169.254.1.1", "224.0.0.1", "0.0.0.0", "fe80::1", "x", ""]}],
            (),
        ),
        ([{"name": "nic-0", "ipAddress": None, "ipAddresses": None}], ()),
    ],
    ids=["one", "prefix", "order", "cards", "inner-bridges", "unusable", "nothing"],
)
def test_addresses_are_those_of_the_machines_own_cards(interfaces: list[Object], addresses: tuple[str, ...]) -> None:
    assert seen(machine("Running"), instance("Running", *interfaces)).addresses == addresses


@pytest.mark.parametrize(
    ("interfaces", "addresses"),
    [([], ("10.9.0.1", "fd00::9")), ([{"name": "nic-0", "ipAddress": "10.0.0.1"}], ("10.0.0.1",))],
    ids=["guest-says-nothing", "guest-says-otherwise"],
)
def test_static_addresses_stand_in_for_a_guest_that_reports_none(
    interfaces: list[Object], addresses: tuple[str, ...]
) -> None:
    vm = machine("Running", annotations={"paddock.io/static-addresses": '["10.9.0.1", "fd00::9"]'})
    view = seen(vm, instance("Running", *interfaces))
    assert (view.addresses, view.reason) == (addresses, None)


def test_a_static_address_is_not_reported_before_the_machine_runs() -> None:
    vm = machine("Starting", annotations={"paddock.io/static-addresses": '["10.9.0.1"]'})
    assert seen(vm, instance("Scheduling")).addresses == ()


@pytest.mark.parametrize("written", ["", "nonsense", "{", "5", '["x"]', "[5, null]", '{"a": 1}'])
def test_an_edited_address_annotation_is_ignored(written: str) -> None:
    vm = machine("Running", annotations={"paddock.io/static-addresses": written})
    view = seen(vm, instance("Running"))
    assert all("." in address for address in view.addresses)
    assert (view.reason == "NoAddress") is (view.addresses == ())


@pytest.mark.parametrize(
    ("vmi", "over"),
    [
        (None, True),
        (instance("Succeeded"), True),
        (instance("Failed"), True),
        (instance("Running"), False),
        (instance(""), False),
    ],
)
def test_what_has_ended_is_over(vmi: Object | None, over: bool) -> None:
    assert is_over(vmi) is over


def test_parts_without_a_machine_are_named() -> None:
    view = view_of_parts(REF, ["Secret a/b", "PersistentVolumeClaim a/c"])
    assert (view.external_id, view.phase, view.reason) == ("", MachinePhase.PENDING, "Incomplete")
    assert view.message is not None
    assert "Secret a/b, PersistentVolumeClaim a/c" in view.message


@pytest.mark.parametrize("status", [None, {}, {"conditions": None}, {"interfaces": None, "phase": None}])
def test_missing_pieces_of_a_status_are_no_reason_to_fail(status: Any) -> None:
    vm = {**machine(), "status": status}
    assert seen(vm, {"metadata": {}, "status": status}).phase is MachinePhase.STARTING
