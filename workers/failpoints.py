"""Named places where a test may kill the worker: before a call, after it, before the commit, after it.

A failpoint does nothing unless PADDOCK_FAILPOINTS names it: ``harvester.create.after_call=kill`` kills at the first
time it is reached, ``...=kill:3`` at the third; several are separated by commas. PADDOCK_FAILPOINTS_FOLDER holds one
file per failpoint that counts the times over all processes and restarts, so each kills once.
"""

import os
import signal
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import billiard


def failpoint(name: str) -> None:
    """Marks a place. The name says whose step, which step, and where in it: ``owner.step.before_call``."""
    plan = _plan()
    if name in plan and _reached(name) == plan[name]:
        _kill()


def parse_failpoints(text: str) -> Mapping[str, int]:
    """``a=kill,b=kill:3`` as {"a": 1, "b": 3}. Raises ValueError for anything else."""
    plan: dict[str, int] = {}
    for entry in filter(None, text.split(",")):
        name, _, action = entry.partition("=")
        verb, _, count = action.partition(":")
        if not name or verb != "kill" or not (count or "1").isdecimal() or int(count or "1") < 1:
            raise ValueError(f"PADDOCK_FAILPOINTS: {entry!r} is not NAME=kill or NAME=kill:COUNT")
        plan[name] = int(count or "1")
    return plan


@cache
def _plan() -> Mapping[str, int]:
    return parse_failpoints(os.environ.get("PADDOCK_FAILPOINTS", ""))


def _reached(name: str) -> int:
    """Counts this time; which one it is. Appending is atomic, and leaves the file's offset behind what was appended."""
    path = Path(os.environ["PADDOCK_FAILPOINTS_FOLDER"]) / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, b".")
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)


def _kill() -> None:
    """As the kernel's out-of-memory killer would: no handler runs. In a pool, the worker that owns it dies first."""
    if billiard.current_process().name != "MainProcess":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
