"""The run-strategy state machine, without any API."""

from typing import Any

import pytest

from kube.resources import Object
from simulator.controllers.run_strategy import Step, next_step, printable_status, remaining_requests


def vm(strategy: str | None = None, **status: Any) -> Object:
    spec: Object = {} if strategy is None else {"runStrategy": strategy}
    return {"metadata": {"name": "web", "uid": "vm"}, "spec": spec, "status": status}


def instance(phase: str = "Running", uid: str = "one", *conditions: Object) -> Object:
    return {"metadata": {"name": "web", "uid": uid}, "status": {"phase": phase, "conditions": list(conditions)}}


STOP = {"action": "Stop", "uid": "one"}
START = {"action": "Start"}


@pytest.mark.parametrize(
    ("machine", "current", "step"),
    [
        (vm("Always"), None, Step.START),
        (vm("Always"), instance("Failed"), Step.RERUN),
        (vm("Always"), instance("Succeeded"), Step.RERUN),
        (vm("Always"), instance(), Step.NOTHING),
        (vm("RerunOnFailure"), None, Step.START),
        (vm("RerunOnFailure", runStrategy="Halted"), None, Step.START),
        (vm("RerunOnFailure", runStrategy="RerunOnFailure"), None, Step.NOTHING),
        (vm("RerunOnFailure", runStrategy="RerunOnFailure", stateChangeRequests=[START]), None, Step.START),
        (vm("RerunOnFailure"), instance("Failed"), Step.RERUN),
        (vm("RerunOnFailure"), instance("Succeeded"), Step.NOTHING),
        (vm("RerunOnFailure", stateChangeRequests=[STOP]), instance(), Step.STOP),
        (vm("RerunOnFailure", stateChangeRequests=[STOP]), instance(uid="two"), Step.NOTHING),
        (vm("Manual"), None, Step.NOTHING),
        (vm("Manual", stateChangeRequests=[START]), None, Step.START),
        (vm("Manual", stateChangeRequests=[STOP, START]), instance(), Step.STOP),
        (vm("Manual", runStrategy="Manual", stateChangeRequests=[STOP, START]), None, Step.NOTHING),
        (vm("Once"), None, Step.START),
        (vm("Once", runStrategy="Once"), None, Step.NOTHING),
        (vm("Once", runStrategy="Once"), instance("Failed"), Step.NOTHING),
        (vm("Halted"), None, Step.NOTHING),
        (vm("Halted"), instance(), Step.STOP),
        (vm(None), None, Step.NOTHING),
    ],
)
def test_each_strategy_takes_its_step(machine: Object, current: Object | None, step: Step) -> None:
    assert next_step(machine, current) is step


def test_the_old_field_running_means_always() -> None:
    machine = vm()
    machine["spec"]["running"] = True

    assert next_step(machine, None) is Step.START


def test_a_deleted_machine_stops_and_an_instance_on_its_way_out_is_left_alone() -> None:
    machine = vm("Always")
    machine["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    leaving = instance()
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert next_step(machine, instance()) is Step.STOP
    assert next_step(machine, None) is Step.NOTHING
    assert next_step(vm("Halted"), leaving) is Step.NOTHING


@pytest.mark.parametrize(
    ("requests", "current", "left"),
    [
        ([STOP, START], instance(), [STOP, START]),
        ([STOP, START], None, [START]),
        ([STOP, START], instance(uid="two"), []),
        ([STOP], instance(uid="two"), []),
        ([START], None, [START]),
        ([START], instance("Failed"), [START]),
        ([START], instance("Pending"), []),
        ([], None, []),
    ],
)
def test_fulfilled_requests_are_dropped(requests: list[Object], current: Object | None, left: list[Object]) -> None:
    assert remaining_requests(vm("Manual", stateChangeRequests=requests), current) == left


@pytest.mark.parametrize(
    ("machine", "current", "status"),
    [
        (vm("Always"), None, "Starting"),
        (vm("Halted"), None, "Stopped"),
        (vm("Halted"), instance(), "Stopping"),
        (vm("Always"), instance("Scheduling"), "Starting"),
        (vm("Always"), instance("Running"), "Running"),
        (vm("RerunOnFailure", runStrategy="RerunOnFailure"), instance("Succeeded"), "Stopped"),
        (vm("Always"), instance("Unknown"), "Unknown"),
        (
            vm("Always"),
            instance("Scheduling", "one", {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}),
            "ErrorUnschedulable",
        ),
        (
            vm("Always"),
            instance("Pending", "one", {"type": "Synchronized", "status": "False", "reason": "FailedPvcNotFound"}),
            "ErrorPvcNotFound",
        ),
    ],
)
def test_the_printable_status_is_one_word(machine: Object, current: Object | None, status: str) -> None:
    assert printable_status(machine, current) == status
