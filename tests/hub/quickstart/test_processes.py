"""Children are watched, started again when they end, and never left behind."""

import os
import sys
import time
from pathlib import Path

import pytest

from hub.quickstart.processes import MOST_RESTARTS, ProcessFailed, ProcessGroup

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
END = [sys.executable, "-c", "print('the end')"]


def wait_for(ended: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not ended():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_leaving_the_group_ends_every_child(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path, {}) as group:
        children = [group.start(name, SLEEP) for name in ("one", "two")]
        pids = [child.process.pid for child in children if child.process]
        assert all(exists(pid) for pid in pids)
    assert not any(exists(pid) for pid in pids)


def test_a_child_that_ended_is_started_again_and_named(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path, {}) as group:
        child = group.start("short", END)
        group.start("long", SLEEP)
        wait_for(lambda: child.ended)
        assert group.revive() == ["short"]


def test_a_child_that_keeps_ending_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path, {}) as group:
        child = group.start("short", END)
        for _ in range(MOST_RESTARTS):
            wait_for(lambda: child.ended)
            group.revive()
        wait_for(lambda: child.ended)
        with pytest.raises(ProcessFailed, match="the end"):
            group.revive()


def test_a_command_gives_its_output_or_its_words(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path, {"GREETING": "hello"}) as group:
        asked = [sys.executable, "-c", "import os; print(os.environ['GREETING'])"]
        assert group.run("asked", asked, timeout=30).strip() == "hello"
        with pytest.raises(ProcessFailed, match="no luck"):
            group.run("failing", [sys.executable, "-c", "import sys; sys.exit('no luck')"], timeout=30)
        with pytest.raises(ProcessFailed, match="did not end"):
            group.run("slow", SLEEP, timeout=0.2)
