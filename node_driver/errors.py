"""The one family of errors a driver may raise; the class says whether trying again can help.

A driver raises nothing outside this family (rule ND-23), so the retry loop above all drivers needs one `except`.
Programming mistakes (an illegal name in a MachineRef) are ValueError at construction and never reach a driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from node_driver.types import Problem


class DriverError(Exception):
    """Base of the family. Raise a subclass.

    message: for people, never with user data, tokens or passwords in it.
    reason: the infrastructure's own word where it has one, else a PascalCase word of the driver.
    """

    code: ClassVar[str] = "driver_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class UnknownDriver(DriverError):
    """No driver of that name is installed."""

    code = "unknown_driver"


class InvalidSettings(DriverError):
    """Settings that do not fit the driver's schema; `problems` says where, by JSON pointer, without the values."""

    code = "invalid_settings"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in self.problems))


class ImageMissing(DriverError):
    """The machine's image does not exist or its import has failed for good."""

    code = "image_missing"


class NetworkMissing(DriverError):
    """A network the machine shall be attached to does not exist."""

    code = "network_missing"


class QuotaExceeded(DriverError):
    """The location's quota does not allow the machine. Someone must free or raise it."""

    code = "quota_exceeded"


class Rejected(DriverError):
    """The infrastructure (or the driver on its behalf) refuses the order as it stands."""

    code = "rejected"


class OwnershipConflict(DriverError):
    """An object with the machine's name exists and belongs to somebody else. It was left untouched."""

    code = "ownership_conflict"


class AccessDenied(DriverError):
    """The credential is refused, lacks a right, or the endpoint may not be contacted."""

    code = "access_denied"


class MachineNotFound(DriverError):
    """The machine does not exist on the infrastructure."""

    code = "machine_not_found"


class InfrastructureUnavailable(DriverError):
    """No answer, a broken answer, or not now. The effect of the call is unknown: call again, it is idempotent."""

    code = "infrastructure_unavailable"
    retryable = True


class Throttled(DriverError):
    """The infrastructure asks for fewer calls. `retry_after` is in seconds, None when it did not say."""

    code = "throttled"
    retryable = True

    def __init__(self, message: str, *, reason: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after
