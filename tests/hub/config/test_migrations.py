"""Migrations keep the previous version working while they run: held to the linter, whose reading of SQL needs a database."""

import re

import pytest
from django.core.management import call_command


def test_flt37_flt38_no_migration_breaks_the_version_before_it(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("lintmigrations", quiet=["ok", "ignore"])  # ends the process with a code when there is an error
    assert re.search(r"Erroneous migrations: 0/[1-9]", capsys.readouterr().out)
