"""The requests that are open now, so that a right that is gone ends what it had opened (SEC-23, SEC-48).

Every look at the rights is held against the registry; what they no longer allow is cut. So a stream outlives its right by
seconds, not by its own length.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class OpenStream:
    """One request under way: whether it is still allowed is asked of ``allowed``; ``cut`` ends it at once."""

    allowed: Callable[[], bool]
    cut: Callable[[], None]


class StreamRegistry:
    """All open streams of this process."""

    def __init__(self) -> None:
        self._open: set[OpenStream] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def hold(self, stream: OpenStream) -> Iterator[None]:
        self._open.add(stream)
        try:
            yield
        finally:
            self._open.discard(stream)

    def cut_revoked(self) -> int:
        """Ends every stream whose right is gone; returns how many."""
        revoked = [stream for stream in self._open if not stream.allowed()]
        for stream in revoked:
            self._open.discard(stream)  # it takes a moment to unwind
            stream.cut()
        return len(revoked)
