"""Where secrets are made, nothing that can be foretold is at hand."""

import ast
from pathlib import Path

import pytest

import hub

ROOT = Path(hub.__file__).parent
FILES = sorted(path for part in ("identity", "pages", "access", "tenancy") for path in (ROOT / part).rglob("*.py"))
PREDICTABLE = {"random", "uuid1", "numpy"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sec10_secrets_come_from_the_systems_random_source_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = (
            {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.Import | ast.ImportFrom)
            else set()
        )
        module = {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()
        assert not (names | module) & PREDICTABLE, f"line {getattr(node, 'lineno', 0)}"
