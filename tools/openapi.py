"""Writes docs/openapi.json from the code; ``--check`` compares instead, and says what to run when it is stale.

Needs no database: views are asked what they declare, and run nothing.
"""

import difflib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "openapi.json"
SHOWN_LINES = 20


def main(arguments: list[str]) -> int:
    wanted = render()
    if arguments == ["--check"]:
        return check(wanted)
    FILE.write_text(wanted, encoding="utf-8")
    return 0


def render() -> str:
    """The description as the file holds it."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.config.settings")
    import django

    django.setup()
    from hub.api.openapi import build_openapi

    return json.dumps(build_openapi(), indent=2, ensure_ascii=False) + "\n"


def check(wanted: str) -> int:
    found = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    if found == wanted:
        return 0
    changes = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), "docs/openapi.json", "the code", lineterm=""
    )
    print("\n".join(list(changes)[:SHOWN_LINES]))
    print("docs/openapi.json is not what the code says. Run: python tools/openapi.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
