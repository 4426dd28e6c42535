"""A machine's boot log: what its console would show, with the time of each line."""

from collections import deque
from datetime import UTC, datetime
from pathlib import Path

MAX_LINES = 2000


class BootLog:
    """Lines of one machine over all its boots, the last 2000 of them; also appended to a file when one is given.

    A line that repeats the one before it (a service that fails the same way at each try) is counted, not written again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._path = path
        self._last = ""
        self.repeats = 0

    def write(self, source: str, text: str) -> None:
        line = f"{source}: {text}"
        if line == self._last:
            self.repeats += 1
            return
        self._last, self.repeats = line, 0
        stamped = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z {line}"
        self._lines.append(stamped)
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(f"{stamped}\n")

    def lines(self) -> list[str]:
        """All lines, oldest first, each `<time> <source>: <text>`."""
        return list(self._lines)

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in self._lines)
