"""Migrations keep the previous version working while they run, and run on what the previous version left.

The linter judges them one by one, and its reading of SQL needs a database; that they go on from an older schema, with its
triggers in place, is tried.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection


def test_flt37_flt38_no_migration_breaks_the_version_before_it(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("lintmigrations", quiet=["ok", "ignore"])  # ends the process with a code when there is an error
    assert re.search(r"Erroneous migrations: 0/[1-9]", capsys.readouterr().out)


def test_flt37_an_installation_of_the_first_version_is_migrated_with_its_users(older_database: str) -> None:
    for first_version in (("access", "0002"), ("provisioning", "0001"), ("audit", "0002")):
        migrate(older_database, *first_version)
    with psycopg.connect(older_database, autocommit=True) as older:
        older.execute(
            "INSERT INTO identity_user (id, version, created_at, updated_at, username, display_name, password_hash,"
            " is_active, must_change_password) VALUES (gen_random_uuid(), 1, now(), now(), 'maria', '', '', true, false)"
        )
    migrate(older_database)
    with psycopg.connect(older_database, autocommit=True) as migrated:
        assert migrated.execute("SELECT username, kind FROM identity_user").fetchall() == [("maria", "person")]
        before = migrated.execute("SELECT value FROM access_accessepoch").fetchone()
        migrated.execute("UPDATE identity_user SET is_active = false")
        after = migrated.execute("SELECT value FROM access_accessepoch").fetchone()
        assert after != before, "a change of a user is seen by those who hold rights in memory"


def migrate(url: str, *target: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0", *target]
    done = subprocess.run(
        command, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def older_database(database_url: str) -> Iterator[str]:
    """The URL of an empty database of its own beside the tests'."""
    tests = str(connection.settings_dict["NAME"])
    name = f"{tests}_older"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    yield database_url.replace(f"/{tests}?", f"/{name}?")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")
