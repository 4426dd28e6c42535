"""Finding and building the programs: what is missing is named, and two runs do not build twice.

A stand-in for ``go`` writes small files: what the real one builds is tried by every test that uses a server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bed.binaries import PROGRAMS, Binaries, built_folder
from tests.bed.build import BuildFailed, ensure_binaries
from tests.bed.cache import atomic_folder
from tests.bed.go_toolchain import go_version

REPOSITORY = Path(__file__).parents[2]

GO = """#!/bin/sh
[ "$1" = env ] && { echo go1.99.1; exit; }
[ -f go.mod ] || exit 9
if [ -e "$FAIL" ]; then echo 'module lookup refused' >&2; exit 1; fi
while [ "$1" != -o ]; do shift; done
echo "$3" >> "$CALLS"
sleep 0.1
echo binary > "$2"; chmod 755 "$2"
"""


@pytest.fixture
def stand_in_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a ``go`` first on PATH; the folder with ``calls``, where it notes what it built."""
    go = tmp_path / "path" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PADDOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAIL", str(tmp_path / "fail"))
    monkeypatch.delenv("PADDOCK_KUBE_BIN", raising=False)
    return tmp_path


def test_two_runs_at_once_build_each_program_once(stand_in_go: Path) -> None:
    assert Binaries.locate() is None
    command = [sys.executable, "-c", "from tests.bed.build import ensure_binaries; ensure_binaries()"]
    runs = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0]
    built = (stand_in_go / "calls").read_text().split()
    assert len(built) == len(set(built)) == len(PROGRAMS)
    assert Binaries.locate() == Binaries(built_folder() / "bin")


def test_a_build_that_fails_says_what_go_said_and_leaves_nothing(stand_in_go: Path) -> None:
    (stand_in_go / "fail").touch()
    with pytest.raises(BuildFailed, match="module lookup refused"):
        ensure_binaries()
    assert Binaries.locate() is None
    assert [path.name for path in built_folder().parent.iterdir()] == [".lock"]
    (stand_in_go / "fail").unlink()
    assert ensure_binaries().kubectl.exists()


def test_a_folder_of_prebuilt_programs_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_KUBE_BIN", str(tmp_path))
    for program in PROGRAMS[:-1]:
        (tmp_path / program).touch(mode=0o755)
    with pytest.raises(FileNotFoundError, match=f"has no executable {PROGRAMS[-1]}"):
        Binaries.locate()
    (tmp_path / PROGRAMS[-1]).touch(mode=0o755)
    assert Binaries.locate() == Binaries(tmp_path)


def test_a_command_that_is_no_go_has_version_zero(stand_in_go: Path) -> None:
    assert go_version(stand_in_go / "path" / "go") == (1, 99)
    assert go_version(Path("/bin/false")) == (0, 0)


def test_a_folder_half_made_is_never_seen(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def stop_half_way() -> None:
        with atomic_folder(target) as scratch:
            (scratch / "half").touch()
            assert not target.exists()
            raise KeyError

    with pytest.raises(KeyError):
        stop_half_way()
    assert list(tmp_path.iterdir()) == []
