"""SEC-10: what has to be unguessable comes from ``secrets``; the predictable generator stays out of code that decides."""

import ast
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from hub.core.access import SYSTEM
from hub.identity.tokens import issue_token, rotate_token
from tests.hub.builders import make_user

ROOT = Path(settings.BASE_DIR)
GUARDED = ("hub", "paddock_login", "workers", "kube", "node_driver")
# Pauses between attempts are spread, which nobody gains by guessing.
SPREADS_PAUSES = {
    "hub/audit/forwarding.py",
    "hub/core/transactions.py",
    "kube/reflector.py",
    "workers/reconcilers/contract.py",
}
_PREDICTABLE = {"random", "numpy.random"}
_PREDICTABLE_CALLS = {("uuid", "uuid1"), ("uuid", "uuid3"), ("uuid", "uuid5"), ("crypto", "get_random_string")}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in GUARDED:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def predictable_in(tree: ast.Module) -> list[int]:
    """Lines that import or call what can be predicted."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        else:
            names = []
        if any(name in _PREDICTABLE for name in names):
            found.append(node.lineno)  # type: ignore[attr-defined]
        called = node.func if isinstance(node, ast.Call) else None
        if not (isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)):
            continue
        if (called.value.id, called.attr) in _PREDICTABLE_CALLS:
            found.append(called.lineno)
    return found


def test_sec10_no_module_uses_a_generator_that_can_be_predicted() -> None:
    found = {path: lines for path, tree in modules() if (lines := predictable_in(tree))}
    assert set(found) - SPREADS_PAUSES == set()


@pytest.mark.parametrize(
    "code",
    ["import random", "from random import choice", "import uuid\nuuid.uuid1()", "import random as r\nr.random()"],
)
def test_the_search_finds_it(code: str) -> None:
    assert predictable_in(ast.parse(code))


@pytest.mark.django_db
def test_sec10_rotated_twice_there_are_three_different_tokens() -> None:
    token, first = issue_token(SYSTEM, make_user(), name="t")
    rotated, second = rotate_token(SYSTEM, token, datetime.timedelta(minutes=1))
    _, third = rotate_token(SYSTEM, rotated, datetime.timedelta(minutes=1))
    assert len({text.split("_")[2] for text in (first, second, third)}) == 3
    assert len({text.split("_")[1] for text in (first, second, third)}) == 3
