"""Django's settings, as a process of the hub reads them."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings


def run_python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A fresh process in the project's folder, with this process's environment changed as told ("" unsets)."""
    merged = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={name: value for name, value in merged.items() if value != ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_sec04_there_is_no_debug_mode() -> None:
    done = run_python(
        "from hub.config import settings; print(settings.DEBUG)", DEBUG="1", DJANGO_DEBUG="1", PADDOCK_DEBUG="1"
    )
    assert done.stdout == "False\n"


def test_every_command_starts_without_database_broker_and_keys() -> None:
    done = run_python(
        "import django; django.setup(); from django.core.management import call_command; call_command('check')",
        DJANGO_SETTINGS_MODULE="hub.config.settings",
        DATABASE_URL="",
        REDIS_URL="",
        PADDOCK_KEYS_FILE="",
    )
    assert done.returncode == 0, done.stderr


def test_the_signing_key_is_the_keys_files_and_the_same_in_every_process() -> None:
    code = "from hub.config import settings; print(settings.SECRET_KEY)"
    first, second = run_python(code), run_python(code)
    assert first.stdout == second.stdout
    without = {run_python(code, PADDOCK_KEYS_FILE="").stdout for _ in range(2)}
    assert len(without) == 2


def test_a_command_refuses_nonsense_in_one_line_without_a_trace() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "PADDOCK_LISTEN": "nonsense"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "PADDOCK_LISTEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_web_process_refuses_to_start_without_what_it_needs() -> None:
    done = run_python("import hub.config.wsgi", PADDOCK_KEYS_FILE="")
    assert done.returncode == 1
    assert "PADDOCK_KEYS_FILE" in done.stderr


def test_every_migration_is_linear_and_named_in_its_app() -> None:
    for path in Path(settings.BASE_DIR).glob("hub/*/migrations"):
        migrations = sorted(file.stem for file in path.glob("0*.py"))
        if migrations:
            assert (path / "max_migration.txt").read_text().strip() == migrations[-1]
            assert [name[:4] for name in migrations] == [f"{number:04}" for number in range(1, len(migrations) + 1)]


def test_models_and_migrations_agree() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": "postgresql:///x?host=/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
