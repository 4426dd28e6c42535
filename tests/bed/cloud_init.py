"""cloud-init's own judgement of user data: Debian's package, unpacked into the cache and never installed.

``python -m tests.bed.build`` fetches it. Not for judging network data (this version has no schema for it), nor for
misspelt top-level keys (its schema lets unknown ones pass). Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.bed.cache import atomic_folder, cache_folder, exclusive

# What "cloud-init schema" imports, as Debian 12 packages it; compiled parts fit Debian's own interpreter.
_PACKAGES = (
    "cloud-init",
    "python3-attr",
    "python3-certifi",
    "python3-chardet",
    "python3-charset-normalizer",
    "python3-configobj",
    "python3-idna",
    "python3-jinja2",
    "python3-json-pointer",
    "python3-jsonpatch",
    "python3-jsonschema",
    "python3-markupsafe",
    "python3-netifaces",
    "python3-oauthlib",
    "python3-pyrsistent",
    "python3-requests",
    "python3-serial",
    "python3-six",
    "python3-urllib3",
    "python3-yaml",
)
_INTERPRETER = Path("/usr/bin/python3")
_PROGRAM = Path("usr/bin/cloud-init")
_LIBRARIES = Path("usr/lib/python3/dist-packages")
_VERDICT = re.compile(r"Cloud config schema errors: (.*)\Z", re.DOTALL)
_NEXT_PROBLEM = re.compile(r", (?=[A-Za-z0-9_.-]+: )")  # the problems are printed as "path: text, path: text"

APT_DEADLINE = 300.0
VALIDATE_DEADLINE = 60.0
"""Seconds; one verdict takes about 0.6."""


class CloudInitMissing(RuntimeError):
    """cloud-init's packages cannot be had or do not work here; the message says why."""


def locate() -> Path | None:
    """The folder of the unpacked packages, the newest if several; None when there is none."""
    programs = cache_folder().joinpath("cloud-init").glob(f"[!.]*/{_PROGRAM}")
    newest = max(programs, key=lambda program: program.stat().st_ctime, default=None)
    return None if newest is None else newest.parents[len(_PROGRAM.parts) - 1]


def ensure() -> Path:
    """The folder of the unpacked packages, fetched with apt's ordinary client when missing; needs no root.

    Raises CloudInitMissing on a machine without apt, or when apt cannot fetch them.
    """
    home = cache_folder() / "cloud-init"
    with exclusive(home):
        return locate() or _fetch(home)


def validate(user_data: str) -> list[str]:
    """What ``cloud-init schema`` has against this user data, each as ``path: text``; empty when it is content.

    Raises CloudInitMissing when it was not fetched.
    """
    folder = locate()
    if folder is None:
        raise CloudInitMissing("cloud-init's schema is not at hand: run python -m tests.bed.build")
    return _judge(folder, user_data)


def _judge(folder: Path, user_data: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="paddock-cloud-init-") as scratch:
        file = Path(scratch) / "user-data"
        file.touch(mode=0o600)
        file.write_text(user_data)
        done = subprocess.run(
            [str(_INTERPRETER), str(folder / _PROGRAM), "schema", "--config-file", str(file)],
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(folder / _LIBRARIES)},
            capture_output=True,
            text=True,
            timeout=VALIDATE_DEADLINE,
            check=False,
        )
    if done.returncode == 0:
        return []
    said = (done.stdout + done.stderr).strip()
    verdict = _VERDICT.search(said)
    return _NEXT_PROBLEM.split(verdict[1]) if verdict else [said]


def _fetch(home: Path) -> Path:
    if not all(shutil.which(program) for program in ("apt-get", "dpkg-deb")) or not _INTERPRETER.exists():
        raise CloudInitMissing(f"no apt-get, dpkg-deb or {_INTERPRETER}: cloud-init's schema needs Debian's packages")
    with tempfile.TemporaryDirectory(prefix=".apt-", dir=home) as scratch:
        packages = _download(Path(scratch))
        version = next(file.name.split("_")[1] for file in packages if file.name.startswith("cloud-init_"))
        with atomic_folder(home / version) as folder:
            for package in packages:
                _run(["dpkg-deb", "-x", str(package), str(folder)], cwd=folder)
            problems = _judge(folder, "#cloud-config\nhostname: probe\n")
            if problems:
                raise CloudInitMissing(f"cloud-init {version} does not run here: {problems[0]}")
    return home / version


def _download(scratch: Path) -> list[Path]:
    """The packages as files, by apt with state of its own: the machine's is not touched, and no root is needed."""
    debs = scratch / "debs"
    for folder in (scratch / "state/lists/partial", scratch / "cache/archives/partial", debs):
        folder.mkdir(parents=True)
    settings = {
        "Dir::State": scratch / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": scratch / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",  # that is: nobody else, who could not write below our cache
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"], cwd=debs)
    _run([*apt, "download", *_PACKAGES], cwd=debs)
    return sorted(debs.glob("*.deb"))


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=APT_DEADLINE, check=False)
    if done.returncode != 0:
        raise CloudInitMissing(f"{' '.join(command[:2])} ... failed:\n{done.stderr[-2000:]}")
