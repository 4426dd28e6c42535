"""A run without the real parts skips by name and says so in its last lines; where they are required it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Runs pytest in processes of its own, which start for longer than most tests take.
pytestmark = pytest.mark.servers

REPOSITORY = Path(__file__).parents[2]

CONFTEST = "from tests.bed.fixtures import *"

TESTS = """
import pytest

def test_server(kube_apiserver): pass
def test_kubectl(kubectl): pass
def test_judge(cloud_init_schema): pass
def test_else(): pytest.skip("for another reason")
"""


def run(folder: Path, **environment: str) -> list[str]:
    """The lines that a pytest run over ``TESTS`` prints on a machine without any real part."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_parts.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PADDOCK_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rsf", "-p", "no:cacheprovider", "-p", "no:django", str(folder)],
        env={**clean, "PADDOCK_CACHE": str(folder / "cache"), "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=False,
    )
    return done.stdout.splitlines()


def test_missing_parts_are_skipped_by_name_and_counted_in_the_last_lines(tmp_path: Path) -> None:
    lines = run(tmp_path)
    assert lines[-3:-1] == [
        "NOT TESTED: 1 test(s) skipped, cloud-init's schema was not at hand",
        "NOT TESTED: 2 test(s) skipped, real kube-apiserver was not at hand",
    ]
    assert lines[-1].startswith("4 skipped")
    assert any("real kube-apiserver not at hand: nothing in" in line for line in lines)


def test_missing_parts_fail_where_they_are_required(tmp_path: Path) -> None:
    lines = run(tmp_path, PADDOCK_REQUIRE_BED="1")
    assert lines[-1].startswith("1 skipped, 3 errors")
    assert not any("NOT TESTED" in line for line in lines)
