"""A scripted hub, a configuration folder of the test's own, and the program in this process."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddock_login import flows
from paddock_login.cli import main
from paddock_login.store import Store
from tests.paddock_login.scripted_hub import ScriptedHub, scripted_hub

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub() -> Iterator[ScriptedHub]:
    with scripted_hub() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The folder that the program uses in this test; nothing of the machine's own is near."""
    for name in ("KUBECONFIG", "KUBERNETES_EXEC_INFO", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PADDOCK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(flows, "SLOWER_SECONDS", 0)
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("a browser was opened"))
    return Store()


@pytest.fixture
def ca_file(hub: ScriptedHub, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(hub.server.ca_pem)
    return path


@pytest.fixture
def run(store: Store, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program with these arguments: exit status, standard output, standard error."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run_it


@pytest.fixture
def logged_in(run: Run, hub: ScriptedHub, ca_file: Path) -> ScriptedHub:
    """The hub, after a login by device code."""
    assert run("login", hub.url, "--ca-file", ca_file, "--device")[0] == 0
    return hub
