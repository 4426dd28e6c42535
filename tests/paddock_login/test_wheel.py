"""The light distribution: installed without extras it logs in, and brings nothing else along."""

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.paddock_login.scripted_hub import ScriptedHub

pytestmark = pytest.mark.servers  # builds a wheel and an environment

ROOT = Path(__file__).parents[2]
SECONDS = 120
PACKAGES = ("hub", "workers", "node_driver", "kube", "simulator", "paddock_login")


def start(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited: Mapping[str, str] = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [str(part) for part in command],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd="/",
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built offline by the tools that are installed here."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", *PACKAGES):
        (source / name).symlink_to(ROOT / name)
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=source, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    done = start(folder / "bin" / "pip", "install", "--no-index", "--no-cache-dir", wheel)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


@pytest.mark.parametrize("name", ["paddock-login", "kubectl-paddock"])
def test_the_programs_are_there_and_explain_themselves(programs: Path, name: str) -> None:
    done = start(programs / name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(word in done.stdout for word in ("login", "logout", "token", "kubeconfig", "whoami"))


def test_it_logs_in_without_django(programs: Path, hub: ScriptedHub, ca_file: Path, tmp_path: Path) -> None:
    django = start(programs / "python", "-c", "import django")
    assert "ModuleNotFoundError" in django.stderr
    installed = start(programs / "pip", "list", "--format=freeze").stdout.lower().split()
    assert {line.partition("==")[0] for line in installed} <= {"paddock", "pip", "setuptools", "wheel"}
    variables = {"PADDOCK_CONFIG": str(tmp_path / "config")}
    done = start(programs / "paddock-login", "login", hub.url, "--ca-file", ca_file, "--device", **variables)
    assert done.returncode == 0, done.stderr
    done = start(programs / "kubectl-paddock", "whoami", **variables)
    assert done.stdout.startswith(f"anna at {hub.url}")
