"""Errors as data: a code from one registry, parameters, and a pointer to the input at fault.

The code and its parameters are the contract; the text shown is made in the client's language. They become HTTP in
``hub.api`` and a Kubernetes Status in ``hub.stream``, nowhere else. Each app defines its own codes beside what raises
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """What a code means: its HTTP status, and a title in English for those who read raw answers."""

    status: int
    title: str


ERROR_CODES: dict[str, ErrorCode] = {}


def define(code: str, status: int, title: str) -> str:
    """Registers an error code (``subject.problem``) and returns it. Raises ValueError when it is taken by another
    meaning.
    """
    known = ERROR_CODES.setdefault(code, ErrorCode(status, title))
    if known != ErrorCode(status, title):
        raise ValueError(f"error code {code} is defined twice")
    return code


class HubError(Exception):
    """A failure that the caller is told about. Parameters reach the client: they never carry a secret.

    ``pointer`` is the JSON pointer (RFC 6901) of the input at fault. ``causes`` are further errors of the same
    request, for inputs that are wrong in several places.
    """

    def __init__(
        self, code: str, *, pointer: str | None = None, causes: Sequence["HubError"] = (), **params: Any
    ) -> None:
        definition = ERROR_CODES[code]
        self.code = code
        self.status = definition.status
        self.title = definition.title
        self.pointer = pointer
        self.causes = tuple(causes)
        self.params: Mapping[str, Any] = params
        super().__init__(code)

    def __str__(self) -> str:
        detail = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.code}: {self.title}" + (f" ({detail})" if detail else "")


define("request.invalid", 400, "The request is not valid")
define("request.unauthenticated", 401, "Credentials are missing or not valid")
define("request.token_in_query", 400, "Credentials do not belong into a URL; send the header Authorization")
define("request.denied", 403, "You are not allowed to do this")
define("object.not_found", 404, "There is no such object")
define("object.in_use", 409, "The object is still in use")
define("object.being_deleted", 409, "The object is being deleted")
define("object.stale", 412, "The object has changed since you read it")
define("hub.unavailable", 503, "The hub cannot do this now; try again")
