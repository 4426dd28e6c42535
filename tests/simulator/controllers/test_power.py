"""The rules of start, stop and restart: each strategy and state has one answer."""

from typing import Any

import pytest

from kube.resources import Object
from simulator.controllers.power import (
    ACTIONS,
    PowerChange,
    PowerRefused,
    RequestStateChange,
    SetRunStrategy,
)

STOP = {"action": "Stop", "uid": "one"}
START = {"action": "Start"}


def vm(strategy: str, **changes: Any) -> Object:
    return {
        "metadata": {"name": "web", "annotations": changes.get("annotations", {})},
        "spec": {"runStrategy": strategy},
        "status": changes.get("status", {}),
    }


def instance(phase: str = "Running", **spec: Any) -> Object:
    return {"metadata": {"name": "web", "uid": "one"}, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("action", "machine", "current", "options", "change"),
    [
        ("start", vm("Halted"), None, {}, SetRunStrategy("RerunOnFailure")),
        (
            "start",
            vm("Halted", annotations={"harvesterhci.io/vmRunStrategy": "Always"}),
            None,
            {},
            SetRunStrategy("Always"),
        ),
        ("start", vm("Manual"), None, {}, RequestStateChange((START,))),
        (
            "start",
            vm("Halted"),
            None,
            {"paused": True},
            RequestStateChange(({"action": "Start", "data": {"paused": "true"}},)),
        ),
        ("start", vm("RerunOnFailure"), instance("Succeeded"), {}, RequestStateChange((STOP, START))),
        ("start", vm("Manual"), instance("Failed"), {}, RequestStateChange((STOP, START))),
        ("stop", vm("Always"), instance(), {}, SetRunStrategy("Halted")),
        ("stop", vm("Once"), instance(), {}, SetRunStrategy("Halted")),
        ("stop", vm("Manual"), instance(), {"gracePeriod": 0}, RequestStateChange((STOP,))),
        ("stop", vm("RerunOnFailure"), instance(), {}, RequestStateChange((STOP,))),
        ("stop", vm("Halted"), instance(terminationGracePeriodSeconds=120), {"gracePeriod": 0}, None),
        ("restart", vm("RerunOnFailure"), instance(), {}, RequestStateChange((STOP, START))),
        ("restart", vm("Always"), instance(), {"gracePeriodSeconds": 0}, RequestStateChange((STOP, START))),
    ],
)
def test_an_allowed_action_has_its_change(
    action: str, machine: Object, current: Object | None, options: dict[str, Any], change: PowerChange | None
) -> None:
    assert ACTIONS[action](machine, current, options) == change


@pytest.mark.parametrize(
    ("action", "machine", "current", "options", "code"),
    [
        ("start", vm("Always"), None, {}, 409),
        ("start", vm("Once"), None, {}, 409),
        ("start", vm("Manual"), instance(), {}, 409),
        ("start", vm("RerunOnFailure"), instance("Failed"), {}, 409),
        ("start", vm("Manual", status={"stateChangeRequests": [START]}), None, {}, 409),
        ("stop", vm("Halted"), None, {}, 409),
        ("stop", vm("Halted"), instance(), {}, 409),
        ("stop", vm("Halted"), instance(terminationGracePeriodSeconds=0), {"gracePeriod": 30}, 409),
        ("stop", vm("Manual"), None, {}, 409),
        ("stop", vm("Manual"), instance("Succeeded"), {}, 409),
        ("restart", vm("Halted"), instance(), {}, 409),
        ("restart", vm("Once"), instance(), {}, 409),
        ("restart", vm("Always"), None, {}, 409),
        ("restart", vm("Always"), instance(), {"gracePeriodSeconds": 5}, 400),
        ("restart", vm("Manual", status={"stateChangeRequests": [STOP]}), instance(), {}, 409),
    ],
)
def test_a_refused_action_has_its_code(
    action: str, machine: Object, current: Object | None, options: dict[str, Any], code: int
) -> None:
    with pytest.raises(PowerRefused) as refusal:
        ACTIONS[action](machine, current, options)

    assert refusal.value.code == code
