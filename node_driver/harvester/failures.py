"""Tells failures of the Kubernetes API in the contract's words, keeping Harvester's own reason and message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kube import errors as kube
from node_driver.errors import (
    AccessDenied,
    DriverError,
    InfrastructureUnavailable,
    QuotaExceeded,
    Rejected,
    Throttled,
)

# Kubernetes tells a used-up quota by 403 and a text, Harvester's webhooks by a text alone: there is no code to look at.
_QUOTA = re.compile(r"\bquota\b", re.IGNORECASE)
# 403 is also how admission refuses an object, which no other credential would change.
_REFUSED_BY_ADMISSION = re.compile(r"admission|denied the request|being terminated")

_NO_ENTRY = (kube.Unauthorized, kube.Forbidden, kube.AddressRefused, kube.TlsRefused, kube.Redirected)


@contextmanager
def driver_errors() -> Iterator[None]:
    """Turns KubeError into DriverError."""
    try:
        yield
    except kube.KubeError as error:
        raise driver_error(error) from error


def driver_error(error: kube.KubeError) -> DriverError:
    """The contract's error for a Kubernetes one. Retryable exactly where the Kubernetes error is."""
    if isinstance(error, kube.TooManyRequests):
        return Throttled(error.message, reason=error.reason, retry_after=error.retry_after)
    return _error_class(error)(_message(error), reason=error.reason)


def _error_class(error: kube.KubeError) -> type[DriverError]:
    if error.retryable:
        return InfrastructureUnavailable
    if _QUOTA.search(error.message):
        return QuotaExceeded
    if isinstance(error, kube.Forbidden) and _REFUSED_BY_ADMISSION.search(error.message):
        return Rejected
    if isinstance(error, _NO_ENTRY):
        return AccessDenied
    return Rejected


def _message(error: kube.KubeError) -> str:
    missing = [f"{cause.field}: {cause.message}" for cause in error.causes if cause.message not in error.message]
    return "; ".join([error.message, *missing])
