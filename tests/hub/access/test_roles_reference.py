"""The page of roles is what the table says."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from hub.access.built_in_roles import ROLES
from hub.access.management.commands import roles_reference
from hub.access.permissions import RESOURCES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "roles.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == roles_reference.render_reference(), (
        "run: python manage.py roles_reference"
    )


def test_it_has_every_resource_and_every_role() -> None:
    page = roles_reference.render_reference()
    for resource in RESOURCES:
        assert f"| {resource} |" in page
    for role in ROLES:
        assert f"\n### {role}\n" in page


def test_the_check_tells_what_to_run(tmp_path: Path, settings) -> None:  # type: ignore[no-untyped-def]
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(CommandError, match=r"manage\.py roles_reference"):
        call_command("roles_reference", "--check")
    call_command("roles_reference")
    call_command("roles_reference", "--check")
