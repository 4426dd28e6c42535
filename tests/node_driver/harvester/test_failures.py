"""Failures of the Kubernetes API in the contract's words."""

from __future__ import annotations

import pytest

from kube import errors as kube
from node_driver.errors import (
    AccessDenied,
    DriverError,
    InfrastructureUnavailable,
    QuotaExceeded,
    Rejected,
    Throttled,
)
from node_driver.harvester.failures import driver_error, driver_errors

QUOTA = 'pods "x" is forbidden: exceeded quota: q, requested: limits.memory=4Gi, used: limits.memory=8Gi'
WEBHOOK = 'admission webhook "validator.harvesterhci.io" denied the request: PVC disk-0 is already used by other VM'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kube.Unauthorized("no"), AccessDenied),
        (kube.Forbidden('secrets is forbidden: User "x" cannot create resource "secrets"'), AccessDenied),
        (kube.Forbidden(QUOTA), QuotaExceeded),
        (kube.BadRequest(f"{WEBHOOK}; resource quota exceeded"), QuotaExceeded),
        (kube.Forbidden(WEBHOOK), Rejected),
        (kube.BadRequest(WEBHOOK), Rejected),
        (kube.Forbidden("unable to create in namespace x because it is being terminated"), Rejected),
        (kube.AddressRefused("no"), AccessDenied),
        (kube.TlsRefused("no"), AccessDenied),
        (kube.Redirected("no"), AccessDenied),
        (kube.NotFound('namespaces "x" not found'), Rejected),
        (kube.NotServed("404"), Rejected),
        (kube.MethodNotAllowed("405"), Rejected),
        (kube.Invalid("spec: Invalid value"), Rejected),
        (kube.ResponseTooLarge("big"), Rejected),
        (kube.AlreadyExists("there"), Rejected),
        (kube.Conflict("changed"), InfrastructureUnavailable),
        (kube.Expired("old"), InfrastructureUnavailable),
        (kube.ServerError("500 quota webhook is down"), InfrastructureUnavailable),
        (kube.Unavailable("refused"), InfrastructureUnavailable),
        (kube.RequestTimeout("slow"), InfrastructureUnavailable),
        (kube.Garbled("html"), InfrastructureUnavailable),
        (kube.TooManyRequests("slow down"), Throttled),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_each_kube_error_has_one_class_here(error: kube.KubeError, expected: type[DriverError]) -> None:
    told = driver_error(error)
    assert type(told) is expected
    assert told.retryable is error.retryable
    assert told.message.startswith(error.message)


def test_every_class_of_kube_errors_is_covered_by_one_of_the_family() -> None:
    def classes(kind: type[kube.KubeError]) -> set[type[kube.KubeError]]:
        return {kind}.union(*(classes(child) for child in kind.__subclasses__()))

    for kind in classes(kube.KubeError):
        assert driver_error(kind("x")).retryable is kind.retryable


def test_retry_after_is_passed_on() -> None:
    told = driver_error(kube.TooManyRequests("slow down", retry_after=7.0))
    assert isinstance(told, Throttled)
    assert told.retry_after == 7.0


def test_the_servers_reason_and_field_causes_are_kept() -> None:
    causes = (kube.FieldCause("FieldValueInvalid", "spec.cpu", "must be positive"),)
    told = driver_error(kube.Invalid("VirtualMachine is invalid", reason="Invalid", causes=causes))
    assert told.reason == "Invalid"
    assert told.message == "VirtualMachine is invalid; spec.cpu: must be positive"


def test_a_cause_that_the_message_has_already_is_not_said_twice() -> None:
    causes = (kube.FieldCause("FieldValueInvalid", "spec.cpu", "must be positive"),)
    told = driver_error(kube.Invalid("spec.cpu: must be positive", causes=causes))
    assert told.message == "spec.cpu: must be positive"


def test_errors_that_are_not_kubernetes_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), driver_errors():
        raise ZeroDivisionError
    with pytest.raises(Rejected), driver_errors():
        raise Rejected("already one of ours")
