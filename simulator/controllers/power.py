"""What start, stop and restart do to a virtual machine: the rules alone, without any API.

Each rule looks at a VirtualMachine and its instance and answers with the change to make or a refusal with its HTTP
code. Source: contract harvester-vm §3 and KubeVirt's virt-api of 1.7. `aggregated.py` serves them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kube.resources import Object
from simulator.controllers.run_strategy import effective_run_strategy, is_final, phase_of

LAST_STRATEGY = "harvesterhci.io/vmRunStrategy"


class PowerRefused(Exception):
    """The action is refused; `code` is the HTTP status, `reason` the API's word for it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class SetRunStrategy:
    """Patch `spec.runStrategy`."""

    strategy: str


@dataclass(frozen=True, slots=True)
class RequestStateChange:
    """Write `status.stateChangeRequests`."""

    requests: tuple[Mapping[str, Any], ...]


PowerChange = SetRunStrategy | RequestStateChange


def start(vm: Object, instance: Object | None, options: Mapping[str, Any]) -> PowerChange:
    """Starting. Raises PowerRefused."""
    strategy = effective_run_strategy(vm)
    phase = phase_of(instance)
    if instance is not None and not is_final(instance) and phase not in ("", "Unknown"):
        raise _conflict("VM is already running")
    if strategy in ("Always", "Once"):
        raise _conflict(f"{strategy} does not support manual start requests")
    if strategy == "RerunOnFailure" and phase == "Failed":
        raise _conflict("RerunOnFailure does not support starting VM from failed state")
    begin: dict[str, Any] = {"action": "Start"}
    if options.get("paused") is True:
        begin["data"] = {"paused": "true"}
    if strategy == "Halted" and "data" not in begin:
        # Harvester's webhook replaces virt-api's Always by the strategy the machine had before it was halted.
        return SetRunStrategy(_annotation(vm, LAST_STRATEGY) or "RerunOnFailure")
    _check_no_request_pending(vm)
    if instance is not None and is_final(instance):
        return RequestStateChange((_stop_request(instance), begin))
    return RequestStateChange((begin,))


def stop(vm: Object, instance: Object | None, options: Mapping[str, Any]) -> PowerChange | None:
    """Stopping; None when nothing is left to change (a halted machine whose grace period is cut short)."""
    strategy = effective_run_strategy(vm)
    if strategy == "Halted":
        if instance is None or not _shortens_grace_period(instance, options.get("gracePeriod")):
            raise _conflict("Halted does not support manual stop requests")
        return None
    if strategy in ("Always", "Once"):
        return SetRunStrategy("Halted")
    if instance is None or is_final(instance):
        raise _conflict("VM is not running")
    _check_no_request_pending(vm)
    return RequestStateChange((_stop_request(instance),))


def restart(vm: Object, instance: Object | None, options: Mapping[str, Any]) -> PowerChange:
    """Restarting: one request to stop the instance there is, one to start another."""
    grace = options.get("gracePeriodSeconds")
    if grace is not None and grace != 0:
        raise PowerRefused(400, "BadRequest", "For force restart, only gracePeriod=0 is supported for now")
    strategy = effective_run_strategy(vm)
    if strategy in ("Halted", "Once"):
        raise _conflict(f"{strategy} does not support manual restart requests")
    if instance is None:
        raise _conflict("VM is not running")
    _check_no_request_pending(vm)
    return RequestStateChange((_stop_request(instance), {"action": "Start"}))


ACTIONS = {"start": start, "stop": stop, "restart": restart}


def _conflict(message: str) -> PowerRefused:
    return PowerRefused(409, "Conflict", message)


def _stop_request(instance: Object) -> dict[str, Any]:
    return {"action": "Stop", "uid": instance["metadata"]["uid"]}


def _check_no_request_pending(vm: Object) -> None:
    if vm.get("status", {}).get("stateChangeRequests"):
        raise _conflict("unable to complete request: stop/start already underway")


def _shortens_grace_period(instance: Object, grace: Any) -> bool:
    own = instance.get("spec", {}).get("terminationGracePeriodSeconds")
    return isinstance(grace, int) and own is not None and grace < own


def _annotation(obj: Object, key: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(key, ""))
