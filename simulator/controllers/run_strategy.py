"""The run-strategy state machine: from a VirtualMachine and its instance to the next step, and to the printable status.

Pure functions after KubeVirt 1.7's VirtualMachine controller; `virtual_machines.py` carries the steps out.
"""

from enum import Enum

from kube.resources import Object

FINAL_PHASES = frozenset({"Succeeded", "Failed"})


class Step(Enum):
    """What is to happen to the instance."""

    NOTHING = "nothing"
    START = "start"
    STOP = "stop"
    RERUN = "rerun"
    """Stop the instance that ended and start another."""


def effective_run_strategy(vm: Object) -> str:
    """`spec.runStrategy`, or what the older `spec.running` stands for."""
    spec = vm["spec"]
    return str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))


def phase_of(instance: Object | None) -> str:
    return "" if instance is None else str(instance.get("status", {}).get("phase") or "")


def is_final(instance: Object) -> bool:
    return phase_of(instance) in FINAL_PHASES


def next_step(vm: Object, instance: Object | None) -> Step:
    """The step to take now. An instance that is being deleted already needs none."""
    if instance is not None and instance["metadata"].get("deletionTimestamp"):
        return Step.NOTHING
    if vm["metadata"].get("deletionTimestamp"):
        return Step.NOTHING if instance is None else Step.STOP
    strategy = effective_run_strategy(vm)
    if instance is None:
        return Step.START if _should_start(vm, strategy) else Step.NOTHING
    if _has_stop_request(vm, instance) or strategy == "Halted":
        return Step.STOP
    if strategy == "Always" and is_final(instance):
        return Step.RERUN
    if strategy == "RerunOnFailure" and phase_of(instance) == "Failed":
        return Step.RERUN
    return Step.NOTHING


def _should_start(vm: Object, strategy: str) -> bool:
    requested = has_start_request(vm)
    if strategy == "Always":
        return True
    if strategy in ("RerunOnFailure", "Once"):
        # Coming from another strategy, or new: it has to run; later only on request.
        return vm.get("status", {}).get("runStrategy") != strategy or (requested and strategy != "Once")
    return requested


def has_start_request(vm: Object) -> bool:
    """Whether a start is asked for and no stop stands before it."""
    requests = vm.get("status", {}).get("stateChangeRequests") or []
    return bool(requests) and requests[0].get("action") == "Start"


def _has_stop_request(vm: Object, instance: Object) -> bool:
    requests = vm.get("status", {}).get("stateChangeRequests") or []
    if not requests or requests[0].get("action") != "Stop":
        return False
    return requests[0].get("uid") in (None, instance["metadata"]["uid"])


def remaining_requests(vm: Object, instance: Object | None) -> list[dict[str, object]]:
    """`status.stateChangeRequests` without those that are fulfilled."""
    requests = list(vm.get("status", {}).get("stateChangeRequests") or [])
    uid = None if instance is None else instance["metadata"]["uid"]
    if requests and requests[0].get("action") == "Stop" and (uid is None or requests[0].get("uid", uid) != uid):
        requests.pop(0)
    if requests and requests[0].get("action") == "Start" and instance is not None and not is_final(instance):
        requests.pop(0)
    return requests


def printable_status(vm: Object, instance: Object | None) -> str:
    """`status.printableStatus`: one word for people."""
    if vm["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if instance is None:
        return "Starting" if next_step(vm, None) is Step.START else "Stopped"
    if instance["metadata"].get("deletionTimestamp") or next_step(vm, instance) is Step.STOP:
        return "Stopping"
    reasons = {c["type"]: c.get("reason") for c in instance.get("status", {}).get("conditions") or []}
    if reasons.get("Synchronized") == "FailedPvcNotFound":
        return "ErrorPvcNotFound"
    if reasons.get("PodScheduled") == "Unschedulable":
        return "ErrorUnschedulable"
    by_phase = {"Running": "Running", "Succeeded": "Stopped", "Failed": "Stopped", "Unknown": "Unknown"}
    return by_phase.get(phase_of(instance), "Starting")
