"""A sign of life of a process that listens nowhere: a file in the temporary folder, touched by its main loop."""

import tempfile
import time
from pathlib import Path


def heartbeat_file(process: str) -> Path:
    return Path(tempfile.gettempdir()) / f"paddock-{process}.alive"


def beat(process: str) -> None:
    heartbeat_file(process).touch()


def seconds_since_beat(process: str) -> float | None:
    """None when it never beat."""
    try:
        return time.time() - heartbeat_file(process).stat().st_mtime
    except FileNotFoundError:
        return None
