"""Children end with their parent, and a start that fails says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.bed.processes import Child, PortTaken, ProcessFailed
from tests.bed.waiting import DeadlinePassed, wait_for

REPOSITORY = Path(__file__).parents[2]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.bed.processes import Child\n"
        "child = Child('sleeper', ['sleep', '300'], Path(sys.argv[1]))\n"
        "print(child.pid, flush=True); time.sleep(300)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        comm = Path(f"/proc/{pid}/comm")  # the wrapper asks for the signal before it becomes the program
        wait_for("the child to be itself", lambda: comm.read_text().strip() == "sleep", seconds=10)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(timeout=10)
        wait_for("the child to be gone", lambda: not is_running(pid), seconds=10)


def test_a_child_that_ends_at_once_shows_the_tail_of_its_log(tmp_path: Path) -> None:
    child = Child("grumbler", ["sh", "-c", "echo no such flag; exit 3"], tmp_path / "log")
    with pytest.raises(ProcessFailed, match=r"grumbler ended with code 3(?s:.)*no such flag"):
        child.wait_until_serving(lambda: False, seconds=10)


def test_a_taken_port_is_told_apart(tmp_path: Path) -> None:
    child = Child("latecomer", ["sh", "-c", "echo bind: address already in use; exit 1"], tmp_path / "log")
    with pytest.raises(PortTaken):
        child.wait_until_serving(lambda: False, seconds=10)


def test_a_child_that_never_serves_is_stopped_and_named(tmp_path: Path) -> None:
    child = Child("mute", ["sleep", "300"], tmp_path / "log")
    with pytest.raises(ProcessFailed, match="mute to serve"):
        child.wait_until_serving(lambda: False, seconds=0.2)
    assert not is_running(child.pid)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], log)
    child.wait_until_serving(lambda: "ready" in child.log_tail(), seconds=10)
    child.stop(grace=0.3)
    assert not is_running(child.pid)
    child.stop()


def test_a_child_is_not_started_from_a_thread_that_may_end_before_the_run(tmp_path: Path) -> None:
    refusals: list[str] = []

    def start() -> None:
        try:
            Child("early", ["sleep", "300"], tmp_path / "log")
        except RuntimeError as error:
            refusals.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert refusals == ["early must be started from the main thread: it would die with this one"]


def test_a_wait_that_fails_names_what_was_waited_for() -> None:
    with pytest.raises(DeadlinePassed, match="in vain for rain"):
        wait_for("rain", lambda: None, seconds=0)
