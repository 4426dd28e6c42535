"""Follows node_driver/ADDING.md to the letter: its driver passes the battery, and the registry finds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Runs pytest in a process of its own, which starts for longer than most tests take.
pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "node_driver" / "ADDING.md"
FILE = re.compile(r"^`(?P<name>[\w/.]+)`\n\n```\w+\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)

# What a package tool writes when it installs the distribution of the page.
METADATA = "Metadata-Version: 2.1\nName: paddock-folder\nVersion: 1\n"


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """A folder with the page's files, as a reader would have written them, and installed."""
    for match in FILE.finditer(PAGE.read_text()):
        path = tmp_path / match["name"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(match["content"])
    installed = tmp_path / "paddock_folder-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(METADATA)
    table = (tmp_path / "pyproject.toml").read_text().replace('[project.entry-points."paddock.node_drivers"]', "")
    entry_points = "[paddock.node_drivers]\n" + table.replace('"', "")
    (installed / "entry_points.txt").write_text(entry_points)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_driver_of_the_page_passes_the_battery(followed: Path) -> None:
    options = ("--import-mode=importlib", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(followed))
    answer = run(followed, "-m", "pytest", *options, "test_battery.py")
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-2000:]
    passed = re.search(r"(\d+) passed", answer.stdout)
    assert passed is not None
    assert int(passed[1]) > 40


def test_the_registry_finds_the_driver_of_the_page(followed: Path) -> None:
    code = "from node_driver import registry as r; print(r.driver_names(), r.settings_schema('folder')['required'])"
    answer = run(followed, "-c", code)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "('fake', 'folder', 'harvester') ['image', 'network']"
