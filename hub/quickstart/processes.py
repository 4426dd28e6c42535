"""The hub's processes on one machine: started in order, watched, restarted when one dies, stopped in reverse order.

It knows nothing of what the processes do. Each child writes to its own log file and ends with its parent, even when that
one is killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .embedded import die_with_parent, log_tail, stop_process

ROOT = Path(__file__).resolve().parents[2]
MOST_RESTARTS = 10  # of one process, within RESTART_WINDOW; more means that it cannot run
RESTART_WINDOW = 60.0


class ProcessFailed(RuntimeError):
    """A child could not run; the message carries the end of its log."""


@dataclass
class Child:
    """One process: its name (also of its log), its command, and when it was started."""

    name: str
    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: list[float] = field(default_factory=list)

    def start(self, environment: Mapping[str, str]) -> None:
        now = time.monotonic()
        self.starts = [at for at in self.starts if now - at < RESTART_WINDOW] + [now]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=dict(environment),
                preexec_fn=lambda: die_with_parent(signal.SIGTERM),
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None


class ProcessGroup:
    """The children of one launcher; a context manager that leaves no process behind."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs = logs
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self.children: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str]) -> Child:
        child = Child(name, command, self.logs / f"{name}.log")
        child.start(self.environment)
        self.children.append(child)
        return child

    def run(self, name: str, command: Sequence[str], timeout: float) -> str:
        """Runs a command to its end and returns what it printed; raises ProcessFailed with its words otherwise."""
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{name} did not end within {timeout:.0f} s.") from None
        (self.logs / f"{name}.log").write_text(done.stderr)
        if done.returncode != 0:
            raise ProcessFailed(f"{name} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def revive(self) -> list[str]:
        """Starts again what has ended; returns the names. Raises ProcessFailed when one keeps dying."""
        revived = []
        for child in self.children:
            if not child.ended:
                continue
            if len(child.starts) > MOST_RESTARTS:
                raise ProcessFailed(f"{child.name} keeps ending. The end of {child.log}:\n{log_tail(child.log)}")
            child.start(self.environment)
            revived.append(child.name)
        return revived

    def stop(self) -> None:
        """Asks all children to end, the last started first, and waits for them."""
        running = [child.process for child in reversed(self.children) if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        for process in running:
            stop_process(process, signal.SIGTERM)
        self.children.clear()


def manage(*arguments: str) -> list[str]:
    """The command line of one of our management commands, by this very interpreter."""
    return [sys.executable, str(ROOT / "manage.py"), *arguments]
