"""The compose file says what the code has: commands, settings, health checks; and every service is locked down."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from hub.core.environment import Environment, is_secret, variable_name
from hub.core.management.commands.health import _CHECKS

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERFILE = (ROOT / "deploy/container/Containerfile").read_text()
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("paddock:")}


def known_variables() -> set[str]:
    names = {variable_name(name, field): field for name, field in Environment.model_fields.items()}
    return set(names) | {f"{name}_FILE" for name, field in names.items() if is_secret(field)}


def test_the_stack_has_the_processes_of_the_design() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "valkey", "prepare", "web", "stream", "worker", "watcher"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting_of_the_code(name: str) -> None:
    assert set(OURS[name]["environment"]) <= known_variables()


@pytest.mark.parametrize("name", sorted(set(OURS) - {"web"}))
def test_every_command_is_a_management_command(name: str) -> None:
    python, script, command, *_ = OURS[name]["command"]
    assert (python, script) == ("python", "manage.py")
    assert command in get_commands()


def test_the_web_process_serves_the_socket_that_the_public_port_asks() -> None:
    web = OURS["web"]
    assert web["command"][:2] == ["gunicorn", "hub.config.wsgi"]
    assert f"--bind=unix:{web['environment']['PADDOCK_WEB_SOCKET']}" in web["command"]


@pytest.mark.parametrize("name", ["web", "stream", "worker", "watcher"])
def test_every_health_check_is_one_that_the_code_has(name: str) -> None:
    assert OURS[name]["healthcheck"]["test"] == ["CMD", "python", "manage.py", "health", name]
    assert name in _CHECKS


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_runs_without_root_without_capabilities_and_read_only(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_every_secret_that_is_used_is_declared() -> None:
    used = {secret for service in COMPOSE["services"].values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])


def test_the_container_file_copies_what_is_there_and_the_user_of_the_compose_file_runs_it() -> None:
    for source in re.findall(r"^COPY ([\w./]+) ", CONTAINERFILE, re.MULTILINE):
        assert (ROOT / source).exists()
    assert re.findall(r"^USER (\S+)", CONTAINERFILE, re.MULTILINE) == [OURS["web"]["user"]]


def test_the_compose_client_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose not at hand: no such client on this machine")
    done = subprocess.run(
        [docker, "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
