"""Faults on request: what a server, a network or a site does wrong, switched on for some requests.

The first fault whose conditions fit a request is used, and counts down. What each does is ``saboteur``'s part.
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from simulator.apiserver.requests import RequestInfo


class FaultKind(StrEnum):
    """What goes wrong."""

    TOO_MANY_REQUESTS = "too-many-requests"  # 429 with Retry-After
    SERVER_ERROR = "server-error"  # 500
    UNAVAILABLE = "unavailable"  # 503
    EXPIRED = "expired"  # 410, for a watch as its ERROR event
    RESET = "reset"  # the connection breaks before anything is done
    SLOW = "slow"  # the answer comes after `seconds`
    TRUNCATED = "truncated"  # half of the body comes, then the connection breaks
    HALF_OPEN = "half-open"  # nothing comes any more, nothing breaks
    LOST_RESPONSE = "lost-response"  # done, but the connection breaks before the answer
    AWAY = "away"  # the whole server is gone for `seconds`


@dataclass(slots=True)
class Fault:
    """A fault and the requests it meets.

    ``method`` (upper case), ``verb``, ``resource`` (plural) and ``namespace`` fit all when empty; ``path`` is a pattern
    with ``*``. ``count`` None means until it is removed. ``probability`` is between 0 and 1. ``seconds`` is the delay,
    the time away, or what Retry-After says.
    """

    kind: FaultKind
    method: str = ""
    path: str = "*"
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    count: int | None = 1
    probability: float = 1.0
    seconds: float = 1.0
    met: int = 0

    def fits(self, method: str, info: RequestInfo) -> bool:
        """Whether the fault's conditions name this request."""
        return (
            self.method in ("", method)
            and self.verb in ("", info.verb)
            and self.resource in ("", info.resource)
            and self.namespace in ("", info.namespace)
            and fnmatchcase(info.path, self.path)
        )


@dataclass(slots=True)
class Faults:
    """The faults switched on, by number. ``chance`` decides on probabilities; give a seeded one for repeatable runs."""

    chance: random.Random = field(default_factory=random.Random)
    _active: dict[int, Fault] = field(default_factory=dict)
    _last: int = 0

    def add(self, fault: Fault) -> int:
        """Switch a fault on; returns its number."""
        self._last += 1
        self._active[self._last] = fault
        return self._last

    def remove(self, number: int) -> None:
        """Switch one off; succeeds when it is not on."""
        self._active.pop(number, None)

    def clear(self) -> None:
        """Switch all off."""
        self._active.clear()

    def take(self, method: str, info: RequestInfo) -> Fault | None:
        """The fault that meets this request, which counts as met; one that is used up is switched off."""
        for number, fault in self._active.items():
            if not fault.fits(method, info) or self.chance.random() >= fault.probability:
                continue
            fault.met += 1
            if fault.count is not None and fault.met >= fault.count:
                del self._active[number]
            return fault
        return None
