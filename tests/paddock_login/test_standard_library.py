"""paddock-login runs wherever there is a Python: nothing beyond the standard library, no syntax of yesterday."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import paddock_login

FILES = sorted(Path(paddock_login.__file__).parent.glob("*.py"))
OLDEST_PYTHON = (3, 9)


def imported(tree: ast.AST) -> Iterator[str]:
    """The top-level modules that a file imports, its own package aside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def test_there_are_files_to_look_at() -> None:
    assert {"cli.py", "flows.py", "store.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_needs_the_standard_library_alone(path: Path) -> None:
    foreign = set(imported(ast.parse(path.read_text()))) - sys.stdlib_module_names
    assert foreign == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_sec10_secrets_come_from_the_systems_random_source(path: Path) -> None:
    assert "random" not in set(imported(ast.parse(path.read_text())))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_old_python_reads_it(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
    newer = [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    assert newer == []
    if path.name not in ("__init__.py", "__main__.py"):  # else `X | None` would be evaluated
        assert "from __future__ import annotations" in path.read_text()
