"""Where the test bed keeps what is dear to make, and how two runs share it.

Leaves to others what is kept there: binaries in ``binaries``, CRD snapshots in ``templates``, cloud-init in
``cloud_init``. Standard library only, because the build runs before any environment exists.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """``PADDOCK_CACHE``, else ``~/.cache/paddock``; not created here."""
    given = os.environ.get("PADDOCK_CACHE")
    return Path(given).absolute() if given else Path.home() / ".cache" / "paddock"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the one lock of ``folder`` (created when missing) against every other process of this machine.

    The lock dies with its holder, so a killed build blocks nobody.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A new folder beside ``target`` that takes its name when the block ends well and vanishes when it does not.

    Readers see all of ``target`` or nothing. Whoever writes holds ``exclusive`` on a folder above.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
