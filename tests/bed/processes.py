"""Child processes that never outlive the test run: start, wait until they serve, stop, and the tail of their log.

Leaves to others which program is run with which flags.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bed.waiting import DeadlinePassed, wait_for

PORT_ATTEMPTS = 5
_TAIL_BYTES = 4000


class ProcessFailed(RuntimeError):
    """A program ended or did not serve in time; the message names it and carries the tail of its log."""


class PortTaken(ProcessFailed):
    """The program found its port in use: another one is worth a try."""


def free_port() -> int:
    """A TCP port that nothing on 127.0.0.1 uses now; somebody may take it before you do (see ``PortTaken``)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """One program in a session of its own (a Ctrl-C in the terminal is not for it), killed when the test run dies."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        # The kernel's parent-death signal follows the thread that forked, not the process.
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"{name} must be started from the main thread: it would die with this one")
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_serving(self, probe: Callable[[], bool], *, seconds: float) -> None:
        """Wait until ``probe`` says yes. Raises PortTaken or ProcessFailed, and the program is then stopped."""
        try:
            wait_for(f"{self.name} to serve", lambda: self._check_alive() and probe(), seconds=seconds)
        except DeadlinePassed as error:
            self.stop()
            raise ProcessFailed(f"{error}; its log ends:\n{self.log_tail()}") from error

    def _check_alive(self) -> bool:
        code = self._process.poll()
        if code is None:
            return True
        tail = self.log_tail()
        failure = PortTaken if "address already in use" in tail else ProcessFailed
        raise failure(f"{self.name} ended with code {code}; its log ends:\n{tail}")

    def log_tail(self) -> str:
        """The last few kilobytes of what the program said."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return log.read().decode(errors="replace")

    def stop(self, *, grace: float = 10.0) -> None:
        """Terminate, after ``grace`` seconds kill, and reap; nothing when it has ended already."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait(timeout=grace)
