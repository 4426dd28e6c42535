"""Makes the Python environment of a lock file and prints its interpreter: ``environment.py requirements/hub.txt``.

Standard library only, because it runs before anything is installed. An environment is named after the lock's digest, so a
changed lock makes a new one and an old checkout keeps its own.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
INSTALL_TIMEOUT = 1800


def main() -> int:
    lock_file = Path(sys.argv[1])
    if sys.version_info < OLDEST_PYTHON:
        return refuse(
            f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed. PYTHON=/path/to/python3.11 names another."
        )
    cache = Path(os.environ.get("PADDOCK_CACHE", "~/.cache/paddock")).expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return refuse(f"PADDOCK_CACHE: cannot write to {cache} ({error.strerror}). Name another folder.")
    digest = hashlib.sha256(
        lock_file.read_bytes() + sysconfig.get_platform().encode() + sys.version.encode()
    ).hexdigest()
    folder = cache / f"python-{lock_file.stem}-{digest[:12]}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two starts at once: the second waits and finds it made
        if not (folder / "complete").exists():
            install(folder, lock_file)
    print(folder / "bin" / "python")
    return 0


def install(folder: Path, lock_file: Path) -> None:
    started = time.monotonic()
    say(f"Installing the packages of {lock_file} into {folder} ...")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            refuse(f"Python cannot make an environment. On Debian, as root: apt-get install -y python{version}-venv")
        )
    pip = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    done = subprocess.run(
        [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock_file)],
        timeout=INSTALL_TIMEOUT,
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(refuse("The packages could not be installed; pip's words are above. Run the command again to go on."))
    (folder / "complete").touch()
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def refuse(text: str) -> int:
    say(text)
    return 1


if __name__ == "__main__":
    sys.exit(main())
