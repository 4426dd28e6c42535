"""Failpoints kill a process at a named place, once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from workers.failpoints import failpoint, parse_failpoints


def reach(names: str, plan: str, folder: Path) -> int:
    """Exit code of a process that reaches these failpoints in turn (negative: the signal that killed it)."""
    code = f"from workers.failpoints import failpoint\nfor name in {names.split()!r}: failpoint(name)"
    environment = {**os.environ, "PADDOCK_FAILPOINTS": plan, "PADDOCK_FAILPOINTS_FOLDER": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, env=environment, timeout=30, check=False
    ).returncode


def test_without_a_plan_nothing_happens() -> None:
    failpoint("machine.create.before_call")


def test_the_named_place_kills_without_asking(tmp_path: Path) -> None:
    assert reach("a b", "b=kill", tmp_path) == -signal.SIGKILL


def test_other_places_do_nothing(tmp_path: Path) -> None:
    assert reach("a c", "b=kill", tmp_path) == 0


def test_it_kills_once_across_restarts(tmp_path: Path) -> None:
    assert [reach("a", "a=kill", tmp_path) for _ in range(3)] == [-signal.SIGKILL, 0, 0]


def test_the_count_says_at_which_time_over_all_processes(tmp_path: Path) -> None:
    assert reach("a a", "a=kill:4", tmp_path) == 0
    assert reach("a a", "a=kill:4", tmp_path) == -signal.SIGKILL
    assert reach("a a", "a=kill:4", tmp_path) == 0


def test_several_places_count_apart(tmp_path: Path) -> None:
    assert reach("b b", "a=kill,b=kill:2", tmp_path) == -signal.SIGKILL
    assert reach("a", "a=kill,b=kill:2", tmp_path) == -signal.SIGKILL


@pytest.mark.parametrize("text", ["a", "a=", "a=pause", "=kill", "a=kill:0", "a=kill:x", "a=kill:-1", "a=kill;b=kill"])
def test_nonsense_is_refused_naming_the_variable(text: str) -> None:
    with pytest.raises(ValueError, match="PADDOCK_FAILPOINTS"):
        parse_failpoints(text)


def test_a_plan_is_parsed() -> None:
    assert parse_failpoints("a.b.before_call=kill,c=kill:3") == {"a.b.before_call": 1, "c": 3}
    assert parse_failpoints("") == {}
